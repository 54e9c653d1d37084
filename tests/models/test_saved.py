"""A saved model comes back as it was, whole after a kill at any moment, and says what is wrong."""

import json
import os
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import save_file

from metawright.errors import InputError, VersionError
from metawright.models import saved, standalone
from metawright.models.layers import assemble
from metawright.models.saved import load_model, save_model
from metawright.params import Params
from metawright.rng import stream
from metawright.store.files import read_json
from metawright.tasks.task import Kind, TaskSpec

SPEC = TaskSpec(Kind.CLASSIFICATION, (1, 6, 6), 3, ("a", "b", "c"), 9, "images")
BLUEPRINT: dict[str, Any] = {
    "layer": "Classifier",
    "prepare": {"layer": "Prepare", "channels": 1, "size": 6, "frame": False},
    "features": {"layer": "PixelFeatures", "side": 4},
    "head": {"layer": "LinearHead", "features": 16, "classes": 3},
}


def params(seed: int, dtype: torch.dtype = torch.float32) -> Params:
    rng = stream(seed, "saved")
    named = assemble(BLUEPRINT).named_parameters()
    return {name: torch.randn(p.shape, generator=rng, dtype=dtype) for name, p in named}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path: Path, dtype: torch.dtype) -> None:
    given = params(0, dtype)
    assert save_model(tmp_path / "new", BLUEPRINT, given, SPEC) == tmp_path / "new" / "model.json"
    model = load_model(tmp_path / "new")
    assert model.spec == SPEC and model.blueprint == BLUEPRINT
    own = dict(model.module.named_parameters())
    assert own.keys() == given.keys()
    assert all(torch.equal(own[name], given[name]) for name in own)
    assert {p.dtype for p in own.values()} == {dtype}
    assert not model.module.training and not any(p.requires_grad for p in own.values())
    x = torch.rand(2, 1, 6, 6, generator=stream(1, "x"), dtype=dtype)
    expected = torch.func.functional_call(assemble(BLUEPRINT), given, (x,))
    torch.testing.assert_close(model.module(x), expected, rtol=0, atol=0)


def test_loading_draws_nothing(tmp_path: Path) -> None:
    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_new_model_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "model-of-mine.safetensors").write_text("not ours")
    for seed in (0, 1, 1):
        save_model(tmp_path, BLUEPRINT, params(seed), SPEC)
    assert len(list(tmp_path.iterdir())) == 3, "one pair, and the file that is not ours"
    found = dict(load_model(tmp_path).module.named_parameters())
    assert all(torch.equal(found[name], value) for name, value in params(1).items())


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_kill_between_the_files_leaves_a_whole_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    """Killed before the weights, before model.json, or before the old weights are removed."""

    def kill(*args: object, **keywords: object) -> NoReturn:
        raise KeyboardInterrupt

    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    if kill_at == 3:
        monkeypatch.setattr(Path, "glob", kill)
    else:
        monkeypatch.setattr(saved, "write_bytes" if kill_at == 1 else "write_json", kill)
    with pytest.raises(KeyboardInterrupt):
        save_model(tmp_path, BLUEPRINT, params(1), SPEC)
    monkeypatch.undo()
    found = dict(load_model(tmp_path).module.named_parameters())
    expected = params(1 if kill_at == 3 else 0)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    save_model(tmp_path, BLUEPRINT, params(2), SPEC)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1, "nothing is left over"


def test_a_model_replaced_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    looks: list[Path] = []

    def replaced(path: Path) -> Any:
        told = read_json(path)
        looks.append(path)
        if len(looks) == 1:
            save_model(tmp_path, BLUEPRINT, params(1), SPEC)
        return told

    monkeypatch.setattr(saved, "read_json", replaced)
    found = dict(load_model(tmp_path).module.named_parameters())
    assert torch.equal(found["head.bias"], params(1)["head.bias"]) and len(looks) == 2


def test_a_full_disk_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> NoReturn:
        raise OSError(28, os.strerror(28))

    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match="No space left"):
        save_model(tmp_path, BLUEPRINT, params(1), SPEC)
    monkeypatch.undo()
    assert torch.equal(
        load_model(tmp_path).module.state_dict()["head.bias"], params(0)["head.bias"]
    )


def change(folder: Path, **fields: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        ({"format": 2}, VersionError, r"model\.json has format 2, but this metawright reads"),
        ({"blueprint": {"layer": "Later"}}, VersionError, r"does not fit the layers .*Later"),
        ({"blueprint": 3}, VersionError, "does not fit the layers"),
        (
            {"blueprint": BLUEPRINT | {"head": BLUEPRINT["head"] | {"classes": 4}}},
            VersionError,
            "does not fit the layers",
        ),
        ({"spec": {"kind": "poetry"}}, InputError, r"model\.json is damaged"),
        ({"sha256": "0" * 64}, InputError, r"model-.*\.safetensors is damaged"),
        ({"weights": "../elsewhere.safetensors"}, InputError, r"model\.json is damaged"),
        ({"weights": "gone.safetensors"}, InputError, r"gone\.safetensors are missing"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, fields: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    change(tmp_path, **fields)
    with pytest.raises(error, match=sentence) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_or_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*model\.json"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("[1]")
    with pytest.raises(InputError, match="does not describe a model"):
        load_model(tmp_path)
    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    weights = next(tmp_path.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=re.escape(f"{weights} is damaged")):
        load_model(tmp_path)
    save_model(tmp_path, BLUEPRINT, params(0), SPEC)
    assert load_model(tmp_path).spec == SPEC, "saving again mends it"


def test_the_own_reader_of_safetensors_agrees_with_the_package(tmp_path: Path) -> None:
    rng = stream(0, "tensors")
    real = torch.randn(3, 5, generator=rng)
    dtypes = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool)
    tensors = {str(dtype): (10 * real).to(dtype) for dtype in dtypes}
    tensors |= {"plain": real, "scalar": torch.tensor(2.5), "none": torch.zeros(0, 4)}
    save_file(tensors, tmp_path / "a.safetensors", {"a": "note"})
    found = standalone.read_safetensors((tmp_path / "a.safetensors").read_bytes())
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
