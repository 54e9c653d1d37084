"""What a user's folder or file holds: images, texts or sounds. Looked at without torch."""

from collections import Counter
from pathlib import Path

from metawright.errors import InputError
from metawright.tasks.folder import find_images
from metawright.tasks.text_files import TABLES

__all__ = ["source_of"]


def source_of(path: Path) -> str:
    """The row of `SOURCES` that reads `path`: "images", "texts" or "sounds".

    A table (.csv, .tsv, .jsonl) holds texts; a folder holds whatever most of its files are.

    Raises:
        InputError: there is nothing at `path`, or nothing that can be read.
    """
    if path.is_file():
        if path.name.lower().endswith(TABLES):
            return "texts"
        raise InputError(
            f"'{path}' is a file that cannot be read: give a table of texts ({', '.join(TABLES)}) "
            "or a folder with one sub-folder of images, .txt or .wav files a class."
        )
    if not path.is_dir():
        raise InputError(f"There is no file or folder '{path}'.")
    endings = Counter(
        p.suffix.lower()
        for depth in ("*", "*/*")
        for p in path.glob(depth)
        if not p.name.startswith(".") and p.is_file()
    )
    held = {
        "texts": endings[".txt"],
        "sounds": endings[".wav"],
        "images": len(find_images(path)),
    }
    most = max(held, key=lambda name: held[name])
    if not held[most]:
        raise InputError(
            f"'{path}' holds no images, texts or sounds: put those of each class into a "
            "sub-folder named after it."
        )
    return most
