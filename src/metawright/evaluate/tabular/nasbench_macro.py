"""NAS-Bench-Macro: eight layers, each of three kinds, all 6,561 networks trained on CIFAR-10."""

from functools import partial
from pathlib import Path

import numpy as np

from metawright.evaluate.tabular.csv_files import read_columns
from metawright.evaluate.tabular.table import Table
from metawright.spaces.space import Choice, Point, Record, Repeat
from metawright.tasks.data_folder import data_file

__all__ = ["BLOCKS", "nasbench_macro", "space"]

BLOCKS = ("identity", "mb3_k3", "mb6_k5")
"""Nothing, or an inverted bottleneck by its expansion and its kernel."""


def space() -> Record:
    """The 3^8 networks."""
    return Record({"layers": Repeat(Choice(BLOCKS), 8, 8)})


def nasbench_macro(*, one_run: bool = False, root: Path | str | None = None) -> Table:
    """Accuracy (0..1, three trainings), parameters and FLOPs of every network.

    The origin counts multiply-adds (a last layer's share is its parameters times its 4 x 4
    places); a multiply-add counts as two here.

    Arguments:
        one_run: gives one of the three trainings, by the seed, instead of their mean.
        root: the folder of `nas_bench_macro_cifar10.csv.gz`; None: `nas` in METAWRIGHT_DATA.

    Raises:
        InputError: there is no such file.

    References:
        Prioritized Architecture Sampling with Monto-Carlo Tree Search, Su, Huang, Li, You, Wang,
        Qian, Zhang and Xu, 2021, https://arxiv.org/abs/2103.11922
    """
    columns = read_columns(data_file(root, "nas", "nas_bench_macro_cifar10.csv.gz"))
    runs = np.array([columns[f"acc{run}"] for run in (1, 2, 3)], dtype=np.float64).T
    return Table(
        space(),
        task="nasbench-macro/cifar10",
        score="accuracy",
        scores={"accuracy": runs / 100},
        cost={
            "parameters": np.array(columns["params"], dtype=np.float64),
            "flops": 2 * np.array(columns["flops"], dtype=np.float64),
        },
        row=partial(_row, {text: row for row, text in enumerate(columns["arch"])}),
        one_run=one_run,
    )


def _row(rows: dict[str, int], point: Point) -> int | None:
    return rows.get("".join(str(BLOCKS.index(str(block))) for block in point))
