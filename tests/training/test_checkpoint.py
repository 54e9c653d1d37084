"""Checkpoints: whole or not there, and refused when they are not ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from metawright.errors import InputError, VersionError
from metawright.rng import stream
from metawright.training import checkpoint as checkpoints
from metawright.training import fit

Draw = Callable[[torch.Generator], Tensor]


def test_holds_everything(make_line: Callable[[], Any], draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.safetensors"
    line = make_line()
    fit(line, draw, steps=3, rng=stream(0), checkpoint=path, log_every=2)
    found = checkpoints.read(path)
    assert found.step == 3
    assert found.settings["lr"] == 1e-3
    assert [record["step"] for record in found.progress["records"]] == [2, 3]
    parts = {name.split("/")[0] for name in found.tensors}
    assert parts == {"parameter", "buffer", "optimiser", "rng"}
    assert torch.equal(found.tensors["buffer/mean"], line.mean)
    assert torch.equal(found.tensors["parameter/weight"], line.module.weight)
    assert [item.name for item in path.parent.iterdir()] == ["c.safetensors"]


def test_refuses_another_model(make_line: Callable[[], Any], draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    fit(make_line(), draw, steps=1, rng=stream(0), checkpoint=path)
    other = make_line()
    other.module = nn.Linear(3, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="belongs to another model"):
        fit(other, draw, steps=1, rng=stream(0), checkpoint=path)


def test_refuses_a_damaged_file(make_line: Callable[[], Any], draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    fit(make_line(), draw, steps=1, rng=stream(0), checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        fit(make_line(), draw, steps=1, rng=stream(0), checkpoint=path)


def test_refuses_a_file_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(VersionError, match="no checkpoint of this version"):
        checkpoints.read(path)
