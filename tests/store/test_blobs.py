"""The same weights have the same name, what comes back is what was put, damage shows."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from metawright.errors import InputError
from metawright.store import Blobs


def weights() -> dict[str, torch.Tensor]:
    return {
        "head.weight": torch.arange(6.0).reshape(2, 3),
        "bias": torch.tensor([1.5, -0.0], dtype=torch.float64),
        "steps": torch.tensor(7),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 4),
    }


def test_round_trip_keeps_values_types_and_shapes(tmp_path: Path) -> None:
    blobs, params = Blobs(tmp_path), weights()
    digest = blobs.put(params)
    found = blobs.get(digest)
    assert found.keys() == params.keys()
    for name, value in params.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)
    found["bias"].add_(1)  # the caller's own, in memory that can be written
    torch.testing.assert_close(blobs.get(digest)["bias"], params["bias"], rtol=0, atol=0)


def test_layout_and_name(tmp_path: Path) -> None:
    digest = Blobs(tmp_path).put(weights())
    path = tmp_path / "blobs" / digest[:2] / f"{digest}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_same_weights_have_the_same_name_in_every_process(tmp_path: Path) -> None:
    """The order of a safetensors header's metadata changes from call to call if left to itself."""
    params, words = weights(), {"source": "glyphs", "seed": "0", "commit": "abc"}
    blobs = Blobs(tmp_path)
    backwards = dict(reversed(params.items())), dict(reversed(words.items()))
    assert blobs.put(params) == blobs.put(backwards[0])
    assert len({blobs.put(params, words) for _ in range(5)} | {blobs.put(*backwards)}) == 1
    assert blobs.put(params) != blobs.put(params, words)
    assert blobs.put(params) != blobs.put(params | {"bias": torch.zeros(2, dtype=torch.float64)})
    assert blobs.metadata(blobs.put(params, words)) == words
    assert blobs.metadata(blobs.put(params)) == {}


def test_views_gradients_and_strides_are_kept_as_values(tmp_path: Path) -> None:
    shared = torch.arange(6.0, requires_grad=True)
    views = {"all": shared, "part": shared[:2], "turned": shared.reshape(2, 3).T}
    blobs = Blobs(tmp_path)
    found = blobs.get(blobs.put(views))
    for name, value in views.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=0, atol=0)
    assert not found["all"].requires_grad
    assert blobs.put(found) == blobs.put(views)


def test_a_file_that_is_there_is_never_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(weights())
    assert blobs.has(digest)
    assert not blobs.has("0" * 64)

    def refuse(*paths: object) -> NoReturn:
        raise AssertionError("written again")

    monkeypatch.setattr(os, "fsync", refuse)
    assert blobs.put(weights()) == digest


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damage_shows(tmp_path: Path, place: int) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(weights())
    path = blobs.path(digest)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"The weights .*{digest}.safetensors are damaged"):
        blobs.get(digest)


def test_truncated_and_missing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(blobs.put(weights()))
    path.write_bytes(path.read_bytes()[:100])
    for read in (blobs.get, blobs.metadata):
        with pytest.raises(InputError, match="are damaged: restore the file or train again"):
            read(path.stem)
    path.unlink()
    for read in (blobs.get, blobs.metadata):
        with pytest.raises(InputError, match="are missing: restore the file or train again"):
            read(path.stem)


def test_file_of_the_right_name_that_is_not_safetensors(tmp_path: Path) -> None:
    blobs, data = Blobs(tmp_path), b"never unpickled"
    digest = hashlib.sha256(data).hexdigest()
    blobs.path(digest).parent.mkdir(parents=True)
    blobs.path(digest).write_bytes(data)
    with pytest.raises(InputError, match="are damaged"):
        blobs.get(digest)


@pytest.mark.parametrize("digest", ["", "../../secret", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_hash_that_is_none(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InputError, match="must be 64 hexadecimal digits, but got"):
        Blobs(tmp_path).get(digest)


def test_many_writers_of_the_same_weights(tmp_path: Path) -> None:
    start = threading.Barrier(6)

    def put_and_get(writer: int) -> list[str]:
        blobs, digests = Blobs(tmp_path), []
        start.wait()
        for number in range(20):
            params = {"weight": torch.full((50_000,), float(number))}
            digests.append(blobs.put(params))
            # Whoever was second must find the whole file, although the first is still at work.
            torch.testing.assert_close(blobs.get(digests[-1]), params, rtol=0, atol=0)
        return digests

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(put_and_get, range(6)))
    assert all(digests == found[0] for digests in found)
    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert sorted(path.stem for path in files) == sorted(found[0])
