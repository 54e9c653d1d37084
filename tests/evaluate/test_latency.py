"""Latency: measured on one thread, and predicted for designs that were not measured."""

import csv
import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metawright.errors import InputError
from metawright.evaluate.latency import LatencyPredictor, latency, rank_correlation
from metawright.rng import stream
from metawright.spaces import Cell, Choice, Design, Integer, Record, Repeat, grid
from metawright.spaces.draw import sample

SPACE = Record({"depth": Integer(1, 20), "kind": Choice(("slow", "fast")), "width": Integer(1, 9)})


def seconds(design: Design) -> float:
    each = {"slow": 3e-3, "fast": 1e-3}[design["kind"]]
    return 1e-3 + each * float(design["depth"]) * float(design["width"])


def test_a_pause_is_measured_by_example() -> None:
    threads = []

    def predict(x: Tensor) -> Tensor:
        threads.append(torch.get_num_threads())
        time.sleep(0.004)
        return x

    before = torch.get_num_threads()
    found = latency(predict, torch.zeros(4, 2), repeats=5, warmup=2)
    assert 1e-3 <= found.low <= found.median <= found.high < 4e-3
    assert len(threads) == 7 and set(threads) == {1}
    assert torch.get_num_threads() == before


def test_every_part_of_a_module_is_left_in_its_mode() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    module[0].eval()  # such as a frozen part
    assert latency(module, torch.zeros(1, 2), repeats=3).median > 0
    assert [part.training for part in module.modules()] == [True, False, True]


def test_time_is_kept_but_three_are_measured() -> None:
    calls: list[Tensor] = []
    latency(calls.append, torch.zeros(1, 1), warmup=0, seconds=0.0)
    assert len(calls) == 3


def test_few_repeats_have_no_median() -> None:
    with pytest.raises(InputError, match=r"`repeats >= 3` .* but got \(repeats=2, warmup=5\)"):
        latency(nn.Identity(), torch.zeros(1, 1), repeats=2)


def test_products_of_decisions_are_found() -> None:
    designs = [sample(SPACE, stream(index)) for index in range(150)]
    predictor = LatencyPredictor(SPACE).fit(designs, [seconds(design) for design in designs])
    left = [sample(SPACE, stream(index, "left")) for index in range(100)]
    told = predictor.predict(left)
    true = np.array([seconds(design) for design in left])
    assert predictor.correlation > 0.98
    assert rank_correlation(told, true) > 0.98
    assert np.abs(told / true - 1).mean() < 0.15


def test_what_is_known_helps() -> None:
    designs = [sample(SPACE, stream(index)) for index in range(60)]
    times = [seconds(design) for design in designs]
    known = [{"flops": 1e9 * seconds(design), "parameters": 1.0} for design in designs]
    alone = LatencyPredictor(SPACE).fit(designs, times)
    helped = LatencyPredictor(SPACE).fit(designs, times, known)
    assert helped.correlation > max(0.99, alone.correlation)
    assert helped.predict(designs[:3], known[:3]).shape == (3,)


def test_noise_is_not_taken_for_knowledge() -> None:
    designs = [sample(SPACE, stream(index)) for index in range(100)]
    times = torch.rand(100, generator=stream(0), dtype=torch.float64).add(0.1).tolist()
    assert abs(LatencyPredictor(SPACE).fit(designs, times).correlation) < 0.3


def test_what_cannot_be_fitted_is_said() -> None:
    designs = list(grid(Record({"depth": Integer(1, 9)})))
    space = Record({"depth": Integer(1, 9)})
    with pytest.raises(InputError, match="needs 10 measured designs or more, but got 9 designs"):
        LatencyPredictor(space).fit(designs, [1.0] * 9)
    with pytest.raises(InputError, match=r"above zero, but got -1\.0"):
        LatencyPredictor(space, folds=2).fit(designs, [1.0] * 8 + [-1.0])
    with pytest.raises(InputError, match="must be fitted before"):
        LatencyPredictor(space).predict(designs)


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1.0, 2.0, 3.0], [10.0, 20.0, 15.0]) == pytest.approx(0.5)
    assert rank_correlation([1.0, 1.0], [1.0, 2.0]) == 0


@pytest.fixture(scope="module")
def table() -> tuple[list[Design], list[dict[str, float]]]:
    """2,000 cells of NAS-Bench-201 with their latencies by device, in milliseconds."""
    path = Path(os.environ.get("METAWRIGHT_DATA", "")) / "nas" / "nasbench201_15625.csv.gz"
    if not path.is_file():
        pytest.skip("nas/nasbench201_15625.csv.gz not found: set METAWRIGHT_DATA")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    drawn = torch.randperm(len(rows), generator=stream(0))[:2000].tolist()
    kept = [rows[index] for index in drawn]
    times = [{name: float(row[name]) for name in row if name.startswith("lat_ms")} for row in kept]
    return [cell(row["arch"]) for row in kept], times


def cell(text: str) -> Design:
    """A cell from "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"."""
    nodes = []
    for node in text.split("+"):
        operations = [part.split("~")[0] for part in node.strip("|").split("|")]
        nodes.append({"sources": list(range(len(operations))), "operations": operations})
    return Design({"cell": nodes})


NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def test_measured_cells_of_nas_bench_201(
    table: tuple[list[Design], list[dict[str, float]]],
) -> None:
    designs, times = table
    space = Record({"cell": Cell(4, NAMES)})
    found = []
    for device in sorted(times[0])[::5]:
        known = [row[device] / 1e3 for row in times]
        predictor = LatencyPredictor(space).fit(designs[:300], known[:300])
        found.append(rank_correlation(predictor.predict(designs[300:]), known[300:]))
        assert predictor.correlation == pytest.approx(found[-1], abs=0.1)
    assert min(found) > 0.7 and float(np.mean(found)) > 0.88


@pytest.mark.parametrize(("device", "least"), [("lat_raspi4", 0.99), ("lat_gold_6226", 0.85)])
def test_measured_networks_of_fbnet(device: str, least: float) -> None:
    path = Path(os.environ.get("METAWRIGHT_DATA", "")) / "nas" / "fbnet_latency_5000.npz"
    if not path.is_file():
        pytest.skip("nas/fbnet_latency_5000.npz not found: set METAWRIGHT_DATA")
    with np.load(path, allow_pickle=False) as file:
        kinds, times = file["arch"][:600].tolist(), file[device][:600].astype(float)
    space = Record({"layers": Repeat(Choice(tuple(range(9))), 22, 22)})
    designs = [Design({"layers": row}) for row in kinds]
    predictor = LatencyPredictor(space).fit(designs[:300], times[:300])
    assert rank_correlation(predictor.predict(designs[300:]), times[300:]) > least
