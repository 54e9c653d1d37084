"""NAS-Bench-Graph: graph networks of four operations, 26,206 of them different, on nine graphs.

A network is a tree: each of four nodes applies an operation to the input or to an earlier node,
and the leaves together are the output. Trees that differ only in the order of branches are the
same network; a skip that has something behind it, or nothing beside it, changes nothing either.
The table has one row for each class of equal networks.
"""

from collections import Counter
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np

from metawright.errors import InputError
from metawright.evaluate.tabular.table import Table
from metawright.spaces.design import Design
from metawright.spaces.space import Choice, Point, Record, Repeat
from metawright.tasks.data_folder import data_file, read_arrays

__all__ = [
    "GRAPHS",
    "LINKS",
    "OPERATIONS",
    "canonical",
    "form",
    "nasbench_graph",
    "space",
    "structure",
]

GRAPHS = (
    "arxiv", "citeseer", "computers", "cora", "cs", "photo", "physics", "pubmed", "proteins",
)  # fmt: skip
"""The nine graphs; of "proteins" only the networks of `PROTEINS` operations were trained."""

LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
"""What each of the four nodes reads: 0 the input, else an earlier node."""

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
PROTEINS = ("gcn", "sage", "arma", "fc", "skip")

Tree: TypeAlias = "tuple[str, tuple[Tree, ...]]"

_WEIGHT = 0.35  # of the structure beside the decisions; chosen on other seeds


def space(operations: tuple[str, ...] = OPERATIONS) -> Record:
    """The nine trees with an operation at each of four nodes."""
    nodes = Repeat(Choice(operations), 4, 4)
    return Record({"links": Choice(LINKS), "operations": nodes})


def nasbench_graph(graph: str = "cora", *, root: Path | str | None = None) -> Table:
    """Accuracy (0..1; of "proteins", the area under the curve) and cost of every network.

    Scores: `accuracy` on the validation nodes, by which a search chooses, and `test_accuracy`.
    Nine of the 59,049 designs have skips alone and no result.

    Arguments:
        graph: one of `GRAPHS`.
        root: the folder of `nas_bench_graph_light.npz`; None: `nas` in METAWRIGHT_DATA.

    Raises:
        InputError: there is no such graph or file.

    References:
        NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search, Qin, Zhang, Wang, Zhang
        and Zhu, 2022, https://arxiv.org/abs/2206.09166
    """
    if graph not in GRAPHS:
        raise InputError(f"`graph` must be one of {', '.join(GRAPHS)}, but got {graph!r}.")
    path = data_file(root, "nas", "nas_bench_graph_light.npz")
    (figures,) = read_arrays(path, [graph])
    valid, test, latency, millions = figures.astype(np.float64).T
    return Table(
        space(PROTEINS if graph == "proteins" else OPERATIONS),
        task=f"nasbench-graph/{graph}",
        score="accuracy",
        scores={"accuracy": valid, "test_accuracy": test},
        cost={"latency": latency, "parameters": 1e6 * millions},
        row=partial(_row, _rows(path)),
        known={
            "canonical": partial(canonical, root=root),
            "features": structure,
            "features_weight": _WEIGHT,
        },
    )


def canonical(design: Design, *, root: Path | str | None = None) -> Design:
    """The design by which the table names all that are equal to this one; itself where the table
    has none of them.

    Raises:
        InputError: there is no file, as in `nasbench_graph`.
    """
    path = data_file(root, "nas", "nas_bench_graph_light.npz")
    row = _rows(path).get(form(design["links"], design["operations"]))
    return design if row is None else _designs(path)[row]


def form(links: str, operations: tuple[str, ...]) -> Tree:
    """What all equal networks have in common: the tree without the skips that change nothing,
    its branches in order.

    Example:
        >>> form("0001", ("fc", "gcn", "gat", "gin")) == form("0001", ("fc", "gat", "gcn", "gin"))
        True
        >>> form("0123", ("skip", "gcn", "skip", "fc"))
        ('', (('gcn', (('fc', ()),)),))
    """
    reads = {node: int(link) for node, link in enumerate(links, start=1)}
    idle = next((node for node in reads if _idle(node, reads, operations)), None)
    while idle is not None:
        before = reads.pop(idle)
        reads = {node: before if read == idle else read for node, read in reads.items()}
        idle = next((node for node in reads if _idle(node, reads, operations)), None)

    def tree(node: int) -> Tree:
        behind = (tree(after) for after, read in reads.items() if read == node)
        return (operations[node - 1] if node else "", tuple(sorted(behind)))

    return tree(0)


def structure(design: Design) -> list[list[float]]:
    """What a network does, in numbers: how often each operation occurs, at each depth, and right
    behind each other one (or the input). Equal networks have equal numbers.

    Measures for a surrogate: where in a design an operation stands says little of what it reads.
    """
    counts: Counter[object] = Counter()

    def walk(tree: Tree, depth: int) -> None:
        before, behind = tree
        for operation, after in behind:
            counts.update([operation, (operation, depth), (before, operation)])
            walk((operation, after), depth + 1)

    walk(form(design["links"], design["operations"]), 1)
    return [[float(counts[column]) for column in measure] for measure in _STRUCTURE]


_STRUCTURE: tuple[tuple[object, ...], ...] = (
    OPERATIONS,
    tuple(product(OPERATIONS, range(1, 5))),
    tuple(product(("", *OPERATIONS), OPERATIONS)),
)


def _idle(node: int, reads: dict[int, int], operations: tuple[str, ...]) -> bool:
    """Whether a node skips and something is behind it, or nothing beside it, or it would only
    hand the input on."""
    if operations[node - 1] != "skip":
        return False
    beside = any(read == reads[node] for other, read in reads.items() if other != node)
    return node in reads.values() or not beside or reads[node] == 0


@lru_cache(maxsize=2)
def _designs(path: Path) -> list[Design]:
    """The design of each row. A row is named by a number: the tree, then a digit an operation."""
    (names,) = read_arrays(path, ["hash"])
    found = []
    for name in names.tolist():
        tree, *digits = list(f"{int(name):05}")
        operations = tuple(OPERATIONS[int(digit)] for digit in digits)
        found.append(Design({"links": LINKS[int(tree)], "operations": operations}))
    return found


@lru_cache(maxsize=2)
def _rows(path: Path) -> dict[Tree, int]:
    """The row of each form."""
    rows = enumerate(_designs(path))
    return {form(design["links"], design["operations"]): row for row, design in rows}


def _row(rows: dict[Tree, int], point: Point) -> int | None:
    links, *operations = map(str, point)
    return rows.get(form(links, tuple(operations)))
