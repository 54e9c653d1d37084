"""A user's own examples: of which kind they are, and whether they can give the tasks asked for.

Folders and files are looked at without torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from metawright.errors import InputError
from metawright.recipes.fewshot.asked import Asked
from metawright.tasks.contents import source_of
from metawright.tasks.folder import scan_classes
from metawright.tasks.text_files import read_texts
from metawright.tasks.waves import find_waves

__all__ = ["check_classes", "class_count", "held_share"]


def check_classes(path: Path, asked: Asked) -> None:
    """Refuses examples with too few classes, or a class with too few of them.

    Raises:
        InputError: says how many there are, and how many are needed.
    """
    kind = source_of(path)
    counts = _COUNTS[kind](path)
    held_share(path, len(counts), asked.ways)
    few = min(counts, key=lambda name: counts[name])
    wanted = (asked.shots or 1) + asked.queries
    if counts[few] < wanted:
        raise InputError(
            f"Class '{few}' of '{path}' has {counts[few]} {kind}, but {asked.shots or 1} shots "
            f"and {asked.queries} queries need {wanted}: lower --shots or --queries, or add "
            f"{kind}."
        )


def class_count(path: Path) -> int:
    """How many classes there are; images are not opened."""
    kind = source_of(path)
    if kind == "images":
        return sum(p.is_dir() and not p.name.startswith(".") for p in path.iterdir())
    return len(_COUNTS[kind](path))


def held_share(path: Path, classes: int, ways: int) -> float:
    """The share of the classes that validation and test each get, so that every part has enough
    for a task.

    Raises:
        InputError: there are not enough for the three parts.
    """
    if classes < 3 * ways:
        most = classes // 3
        advice = f"lower --ways to {most}, or add classes" if most >= 2 else "add classes"
        raise InputError(
            f"Tasks of {ways} ways need {3 * ways} classes ({ways} each to train, to validate and "
            f"to test), but '{path}' has {classes}: {advice}."
        )
    return max(0.15, ways / classes)


def _image_counts(path: Path) -> dict[str, int]:
    return {name: len(files) for name, files in scan_classes(path).files.items()}


def _text_counts(path: Path) -> dict[str, int]:
    return {name: len(texts) for name, texts in read_texts(path).items()}


def _sound_counts(path: Path) -> dict[str, int]:
    return {name: len(files) for name, files in find_waves(path).items()}


_COUNTS: Mapping[str, Callable[[Path], dict[str, int]]] = {
    "images": _image_counts,
    "texts": _text_counts,
    "sounds": _sound_counts,
}
