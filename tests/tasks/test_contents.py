"""What is in a folder."""

from pathlib import Path

import pytest

from metawright.errors import InputError
from metawright.tasks import SOURCES
from metawright.tasks.contents import source_of


def test_folders_and_tables_are_told_apart(
    images_root: Path, texts_root: Path, sounds_root: Path, tmp_path: Path
) -> None:
    assert source_of(images_root) == "images"
    assert source_of(sounds_root) == "sounds"
    assert source_of(texts_root) == "texts"
    (tmp_path / "Own.CSV").write_text("text,label")
    assert source_of(tmp_path / "Own.CSV") == "texts"
    (tmp_path / "mixed" / "a").mkdir(parents=True)
    for name in ("a/1.wav", "a/2.wav", "a/notes.txt", "LICENSE.txt.bak", ".hidden.txt"):
        (tmp_path / "mixed" / name).touch()
    assert source_of(tmp_path / "mixed") == "sounds"
    assert {"images", "texts", "sounds"} <= SOURCES.keys()


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file or folder"):
        source_of(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no images, texts or sounds"):
        source_of(tmp_path)
    (tmp_path / "a.zip").touch()
    with pytest.raises(InputError, match=r"a.zip' is a file that cannot be read: give a table"):
        source_of(tmp_path / "a.zip")
