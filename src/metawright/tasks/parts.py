"""Which classes of a source are for training, which for validation and test, and which are out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.tasks.classes import ImageClasses
from metawright.tasks.task import Split

__all__ = ["Parts", "assign_classes", "in_thirds", "without_small"]

Parts = str | Mapping[Split, Sequence[str]] | Mapping[str, Sequence[str]]
"""The classes of each part by name; or the one part ("train", "validation", "test") that holds
them all, such as "test" for a source that training must not see."""


def in_thirds(names: Sequence[str]) -> dict[Split, Sequence[str]]:
    """A third of the classes for validation and for test, the rest, the first ones, for training:
    how a source of ten classes is divided (4, 3, 3) where nothing else is asked for."""
    held = len(names) // 3
    return {
        Split.TRAIN: names[: len(names) - 2 * held],
        Split.VALIDATION: names[len(names) - 2 * held : len(names) - held],
        Split.TEST: names[len(names) - held :],
    }


def assign_classes(names: Sequence[str], parts: Parts) -> dict[Split, Tensor]:
    """Class numbers of each part; classes that `parts` does not name are in none.

    Raises:
        InputError: `parts` names an unknown part or class, or one class twice.

    Example:
        >>> from metawright.tasks.parts import assign_classes
        >>> from metawright.tasks.task import Split
        >>> assign_classes(["cat", "dog"], "test")[Split.TEST].tolist()
        [0, 1]
    """
    given = {parts: names} if isinstance(parts, str) else parts
    for part in given:
        if part not in list(Split):
            raise InputError(
                f"`splits` must be one of {', '.join(Split)} or give the classes of each, but got "
                f"'{part}'."
            )
    chosen = {Split(part): [str(name) for name in members] for part, members in given.items()}
    number = {name: index for index, name in enumerate(names)}
    named = [name for members in chosen.values() for name in members]
    for name in named:
        if name not in number or named.count(name) > 1:
            what = "twice" if name in number else "that does not exist"
            raise InputError(
                f"`splits` must name each class at most once, out of {', '.join(names)}, but got "
                f"'{name}', {what}."
            )
    return {
        split: torch.tensor([number[name] for name in chosen.get(split, ())], dtype=torch.long)
        for split in Split
    }


def without_small(table: ImageClasses, wanted: int) -> ImageClasses:
    """The table with only those classes that can give a task `wanted` examples."""
    kept = [index for index, room in enumerate(table.room) if room >= wanted]
    place = {index: position for position, index in enumerate(kept)}
    counts = torch.tensor(table.counts)
    rows = torch.isin(
        torch.arange(len(counts)).repeat_interleave(counts), torch.tensor(kept, dtype=torch.long)
    )
    return replace(
        table,
        images=table.images[rows],
        counts=tuple(table.counts[index] for index in kept),
        names=tuple(table.names[index] for index in kept),
        splits={
            split: torch.tensor([place[k] for k in part.tolist() if k in place], dtype=torch.long)
            for split, part in table.splits.items()
        },
        groups=None if table.groups is None else table.groups[rows],
    )
