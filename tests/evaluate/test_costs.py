"""Costs by name, and the counters of energy in a made-up folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from metawright.evaluate.costs import costs
from metawright.evaluate.energy import energy
from metawright.tasks.task import Kind, TaskSpec


def test_costs_of_a_layer_by_hand() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3)).train()
    price = costs(module, TaskSpec(Kind.CLASSIFICATION, (1, 3, 4), 3), measure_latency=True)
    assert list(price) == ["parameters", "bytes", "flops", "latency", "latency_batch"]
    assert price["parameters"] == 12 * 3 + 3 + 6
    assert price["bytes"] == 4 * (12 * 3 + 3 + 6 + 6) + 8, "statistics are saved too"
    assert price["flops"] == 2 * 12 * 3
    assert 0 < price["latency_batch"] < price["latency"] < 0.1
    assert module.training


def test_texts_are_asked_with_tokens() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (5,), 2, vocabulary=9)
    module = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 2))
    assert costs(module, spec)["flops"] == 2 * 20 * 2


def counter(folder: Path, name: str, joules: float, full: float = 1000.0) -> Path:
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (package / "max_energy_range_uj").write_text(f"{int(full * 1e6)}\n")
    return package


def spending(folder: Path, joules: float, full: float = 1000.0) -> Callable[[], None]:
    """A call that moves the counter of the first package."""
    spent = [990.0]

    def call() -> None:
        spent[0] = (spent[0] + joules) % full
        counter(folder, "intel-rapl:0", spent[0], full)

    return call


@pytest.mark.parametrize("joules", [0.5, 3.0])
def test_energy_is_that_of_one_call_even_over_the_end(tmp_path: Path, joules: float) -> None:
    counter(tmp_path, "intel-rapl:0", 990)
    counter(tmp_path, "intel-rapl:0:1", 5)  # a part of the package, in its figure already
    counter(tmp_path, "intel-rapl:1", 7)
    found = energy(spending(tmp_path, joules), repeats=10, root=tmp_path)
    assert found.joules == pytest.approx(joules)
    assert not found.reason


def test_without_counters_there_is_a_reason(tmp_path: Path) -> None:
    found = energy(lambda: None, root=tmp_path)
    assert found.joules is None and "There is no energy counter" in found.reason
    counter(tmp_path, "intel-rapl:0", 990)
    still = energy(lambda: None, root=tmp_path)
    assert still.joules is None and "did not move" in still.reason


def test_energy_is_left_out_of_costs_where_it_is_unknown() -> None:
    price = costs(nn.Linear(2, 1), TaskSpec(Kind.REGRESSION, (2,), 1), measure_energy=True)
    assert set(price) - {"energy"} == {"parameters", "bytes", "flops"}
    assert price.get("energy", 1.0) > 0


def test_the_example_may_be_given() -> None:
    noise = torch.zeros(1, 7)
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 2)
    assert costs(nn.Linear(7, 5), spec, example=noise)["flops"] == 70
