"""Contenders, each in a process of its own, and the packages of peers that they need.

The peers are installed into a folder of their own, beside the torch that is there; metawright does
not need them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from harness import PROJECT

__all__ = ["HAND", "INSTALLED", "OURS", "Contender", "contenders", "install"]

OURS, HAND = "metawright", "loop"
INSTALLED = {  # peers and what they need, beside torch
    "higher": ("higher==0.2.1",),
    "TorchOpt": ("torchopt==0.7.3", "optree", "graphviz", "typing-extensions"),
    "learn2learn": ("learn2learn==0.2.0",),
}
PATIENCE = 180  # seconds for one peer to be installed


class Contender:
    """A process of `contenders/serve.py`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        paths = [str(PROJECT / "benchmarks")]
        if name in INSTALLED:
            paths.append(str(folder / name))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MKL_"))}
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        script = PROJECT / "benchmarks" / "contenders" / "serve.py"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Its answer; {"error": ...} where it failed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            return {"error": f"the process ended with exit code {self.process.wait()}"}
        return cast(dict[str, Any], json.loads(line))

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def install(
    folder: Path, *, patient: bool, only: Collection[str] = tuple(INSTALLED)
) -> dict[str, str]:
    """Puts the peers into folders of their own; gives the reason for each that is missing."""
    missing = {}
    for name in only:
        packages = INSTALLED[name]
        target = folder / name
        if (target / "installed").exists():
            continue
        if name == "learn2learn" and not patient:
            missing[name] = "not tried in a quick run"
            continue
        # Without their dependencies: torch is here, and nothing else heavy is needed.
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        command = [*pip, "--disable-pip-version-check", "--target", str(target), *packages]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            missing[name] = f"pip did not end within {PATIENCE} s"
        except subprocess.CalledProcessError as error:
            missing[name] = _reason(error.stderr)
        else:
            (target / "installed").touch()
    return missing


def _reason(text: str) -> str:
    """The line that says most in what pip printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for sign in ("fatal error", "Error: ", "error: command", "ERROR", ""):
        for line in lines:
            if sign in line:
                return line[:200]
    return "pip failed and said nothing"


@contextmanager
def contenders(names: Sequence[str], folder: Path) -> Iterator[dict[str, Contender]]:
    """A process for each name."""
    with ExitStack() as stack:
        found = {}
        for name in names:
            found[name] = Contender(name, folder)
            stack.callback(found[name].close)
        yield found
