"""NAS-Bench-201: every cell of four nodes and five operations, trained on three data sets."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from metawright.errors import InputError
from metawright.evaluate.tabular.csv_files import read_columns
from metawright.evaluate.tabular.table import Column, Table
from metawright.spaces.space import Cell, Point, Record
from metawright.tasks.data_folder import data_file

__all__ = ["DATA_SETS", "DEVICES", "OPERATIONS", "forms", "nasbench201", "space"]

DATA_SETS = {
    "cifar10": "cifar10_test_200ep",
    "cifar100": "cifar100_test_200ep",
    "imagenet16": "imagenet16_test_200ep",
}
"""The column of the test accuracy by data set."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

DEVICES = (
    "1080ti_1", "1080ti_32", "1080ti_256", "2080ti_1", "2080ti_32", "2080ti_256",
    "titan_rtx_1", "titan_rtx_32", "titan_rtx_256", "titanx_1", "titanx_32", "titanx_256",
    "titanxp_1", "titanxp_32", "titanxp_256", "gold_6226", "gold_6240", "silver_4114",
    "silver_4210r", "essential_ph_1", "eyeriss", "fpga", "pixel2", "pixel3", "raspi4",
    "samsung_a50", "samsung_s7",
)  # fmt: skip
"""The 27 devices whose latency is known; a number at the end is the batch size."""


def space() -> Record:
    """The 15,625 cells."""
    return Record({"cell": Cell(4, OPERATIONS)})


def nasbench201(
    data_set: str = "cifar10", *, device: str = "1080ti_1", root: Path | str | None = None
) -> Table:
    """Accuracy (0..1) on the test set after 200 epochs and latency (seconds) of every cell.

    Arguments:
        data_set: one of `DATA_SETS`.
        device: one of `DEVICES`, whose latency is given; it is that of a batch. A few measured
            latencies are implausibly small.
        root: the folder of `nasbench201_15625.csv.gz`; None: `nas` in METAWRIGHT_DATA.

    Raises:
        InputError: there is no such data set, device or file.

    References:
        NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search,
        Dong and Yang, 2020, https://arxiv.org/abs/2001.00326
        HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning,
        Lee, Lee, Chong and Hwang, 2021, https://arxiv.org/abs/2106.08630 (latencies)
    """
    for name, chosen, known in (("data_set", data_set, DATA_SETS), ("device", device, DEVICES)):
        if chosen not in known:
            raise InputError(f"`{name}` must be one of {', '.join(known)}, but got {chosen!r}.")
    columns = read_columns(_file(root))
    return Table(
        space(),
        task=f"nasbench201/{data_set}",
        score="accuracy",
        scores={"accuracy": _numbers(columns[DATA_SETS[data_set]]) / 100},
        cost={"latency": _numbers(columns[f"lat_ms_{device}"]) / 1000},
        row=partial(_row, _rows(_file(root))),
    )


def forms(root: Path | str | None = None) -> tuple[str, ...]:
    """The canonical form of each row: cells with equal forms compute the same (6,466 forms).

    They were trained apart, so their accuracies differ by the noise of training.
    """
    return read_columns(_file(root))["canonical"]


def _file(root: Path | str | None) -> Path:
    return data_file(root, "nas", "nasbench201_15625.csv.gz")


def _numbers(texts: Sequence[str]) -> Column:
    return np.array(texts, dtype=np.float64)


@lru_cache(maxsize=4)
def _rows(path: Path) -> dict[Point, int]:
    """The row of each point: a text such as "|conv~0|+|skip~0|conv~1|" has its operations in the
    order of the decisions, and the number of the node that each reads."""
    found: dict[Point, int] = {}
    for row, text in enumerate(read_columns(path)["arch"]):
        nodes = (node.strip("|").split("|") for node in text.split("+"))
        found[tuple(edge.split("~")[0] for node in nodes for edge in node)] = row
    return found


def _row(rows: dict[Point, int], point: Point) -> int | None:
    return rows.get(point)
