"""A bundle on disk: whole, plain, and refused in one sentence where it is not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from metawright.errors import InputError, VersionError
from metawright.generators.bundle import Bundle, load_bundle, save_bundle, shipped
from metawright.generators.header import check_place, read_header
from metawright.generators.profile import PROFILE
from metawright.models.layers import assemble
from metawright.models.prepare import Prepare
from metawright.models.shared import largest_network, sub_params
from metawright.rng import stream
from metawright.spaces import contains
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample


@pytest.fixture
def copy(tiny_bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle_folder, tmp_path / "copy"))


def rewrite(folder: Path, **changes: Any) -> None:
    told = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(told | changes))


def test_what_is_read_is_what_was_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(tmp_path / "again", tiny_bundle)
    again = load_bundle(tmp_path / "again")
    assert again.digest == tiny_bundle.digest != ""
    for name, value in tiny_bundle.shared.items():
        assert torch.equal(again.shared[name], value) and value.dtype == torch.float32, name
    assert again.elites == tiny_bundle.elites and again.provenance == tiny_bundle.provenance
    assert (again.name, again.channels, again.size, again.frame) == ("tiny", 1, 28, True)
    assert again.proposal.space == convolutional()
    assert again.proposal.state()[1] == tiny_bundle.proposal.state()[1]
    designs = [sample(convolutional(), stream(0, n)) for n in range(20)]
    profile = torch.zeros(len(PROFILE), dtype=torch.float64)
    assert_allclose(
        again.proposal.predict(profile, designs), tiny_bundle.proposal.predict(profile, designs)
    )
    assert isinstance(assemble(again.prepare), Prepare)


def test_weights_are_rounded_to_half_precision_once(tiny_bundle: Bundle, tmp_path: Path) -> None:
    fine = {name: value + 1e-6 for name, value in tiny_bundle.shared.items()}
    save_bundle(tmp_path, replace(tiny_bundle, shared=fine))
    for name, value in load_bundle(tmp_path).shared.items():
        assert_close(value, fine[name], rtol=1e-3, atol=1e-6)
        assert torch.equal(value, value.half().float())


def test_other_content_other_digest(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in tiny_bundle.shared.items()}
    save_bundle(tmp_path, replace(tiny_bundle, shared=other))
    assert load_bundle(tmp_path).digest != tiny_bundle.digest


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_another_version(copy: Path, found: Any) -> None:
    rewrite(copy, format=found)
    expected = rf"^Bundle '.*copy' has format {found!r}, but .* reads format 1: meta-train it "
    with pytest.raises(VersionError, match=expected):
        load_bundle(copy)
    with pytest.raises(VersionError, match=expected):
        read_header(copy)


def test_no_bundle_there(tmp_path: Path, copy: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone", copy / "bundle.json"):
        with pytest.raises(InputError, match=r"^There is no bundle in .*no bundle\.json.*--out"):
            load_bundle(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "proposal.safetensors"])
@pytest.mark.parametrize("how", ["missing", "short", "other", "folder"])
def test_a_damaged_file(copy: Path, name: str, how: str) -> None:
    path = copy / name
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(data[: len(data) // 2] if how == "short" else data[:-1] + b"\x07")
    with pytest.raises(InputError, match=r"^Bundle '.*copy' is damaged") as caught:
        load_bundle(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"kind": "nothing"}},
        {"space": 3},
        {"input": {"channels": 1}},
        {"input": None},
        {"proposal": {"spread": 1}},
        {"elites": [[1, 2]]},
        {"elites": 3},
        {"digests": {}},
        {"digests": []},
    ],
    ids=str,
)
def test_a_damaged_header(copy: Path, changes: dict[str, Any]) -> None:
    rewrite(copy, **changes)
    with pytest.raises(InputError, match=r"^Bundle '.*copy' is damaged"):
        load_bundle(copy)


def test_a_header_that_is_no_json(copy: Path) -> None:
    (copy / "bundle.json").write_text('{"format": 1, "na')
    with pytest.raises(InputError, match=r"bundle\.json is damaged or not a JSON file"):
        load_bundle(copy)


def test_a_bundle_is_written_into_its_own_or_an_empty_folder_only(
    copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for path in (copy, tmp_path / "empty", tmp_path / "new"):
        check_place(path)
    with pytest.raises(InputError, match=r"copy' is not empty and holds no bundle|is not empty"):
        check_place(tmp_path)
    with pytest.raises(InputError, match=r"bundle\.json' is a file, but a bundle needs a folder"):
        check_place(copy / "bundle.json")


# --- the bundle that is shipped ----------------------------------------------------------------


def test_the_shipped_bundle_is_whole_small_and_without_digits() -> None:
    folder = shipped()
    bundle = load_bundle()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5e6
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".md"}
    told = bundle.provenance
    assert set(told["sources"]) <= {"glyphs", "omniglot"}, "no digits in any form, nor MNIST"
    assert set(told["licences"]) == set(told["sources"]) and all(told["licences"].values())
    for name in ("weights", "experience"):
        assert isinstance(told[name]["seed"], int), "the recipe and its seed"
    assert len(told["commit"]) >= 7
    assert {"metawright", "torch", "channels", "size"} <= told.keys()
    assert bundle.proposal.space == convolutional(), "the space has changed: meta-train it again"
    assert bundle.elites and all(contains(convolutional(), design) for design in bundle.elites)
    assert bundle.proposal.tasks >= 10 and 0 < bundle.proposal.explained <= 1
    sub_params(bundle.shared, largest_network())
    assert all(torch.isfinite(value).all() for value in bundle.shared.values())
    assert "log_scale" in bundle.shared
