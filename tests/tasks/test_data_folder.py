"""What is said where public data is missing or damaged."""

from pathlib import Path

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.tasks.data_folder import data_file, read_arrays


def test_the_folder_is_the_environments_or_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    file = tmp_path / "set" / "a.npz"
    file.touch()
    monkeypatch.setenv("METAWRIGHT_DATA", str(tmp_path))
    assert data_file(None, "set", "a.npz") == file
    monkeypatch.delenv("METAWRIGHT_DATA")
    assert data_file(tmp_path / "set", "set", "a.npz") == file
    with pytest.raises(InputError, match=r"set/a.npz is needed, but METAWRIGHT_DATA is not set"):
        data_file(None, "set", "a.npz")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no file '.*a.npz': give the folder that holds a.npz"):
        data_file(tmp_path, "set", "a.npz")
    monkeypatch.setenv("METAWRIGHT_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"no file '.*set.a.npz': set METAWRIGHT_DATA \(now '"):
        data_file(None, "set", "a.npz")


def test_arrays_come_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, one=np.ones(2), two=np.zeros(3))
    two, one = read_arrays(tmp_path / "a.npz", ("two", "one"))
    assert two.shape == (3,) and one.shape == (2,)
    with pytest.raises(InputError, match="must hold the array 'three', but holds one, two"):
        read_arrays(tmp_path / "a.npz", ("one", "three"))


def test_damage_is_said(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, one=np.random.rand(500))
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (b"", b"no zip", whole[:200], whole[:90] + b"\0" * 60 + whole[150:]):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"b.npz' is damaged or no .npz file"):
            read_arrays(tmp_path / "b.npz", ("one",))
