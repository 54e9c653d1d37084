"""Many classes of images in one table, split by class; `episode.py` draws tasks from it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.tasks.task import Split

__all__ = ["ImageClasses", "split_classes"]


@dataclass(frozen=True)
class ImageClasses:
    """Images by class; or texts, or signals.

    Arguments:
        images: (drawings, channels, height, width) uint8, ink bright; drawings sorted by class.
            What is not uint8 is handed out as it is: signals (clips, bands, steps) float32, texts
            (texts, tokens) int64.
        counts: drawings of each class, in class order.
        names: a name for each class.
        splits: class numbers of each part; parts share no class.
        rotations: 4 turns every class by 0, 90, 180, 270 degrees into four classes, 1 does not.
        reuse: whether one drawing may be drawn more than once in a task (because a distortion
            makes each draw another image). Support and query still share none where the class
            has two.
        native_size: larger side of the images before they were resized, for the task's spec.
        vocabulary: how many token ids there are, for texts.
        groups: a number for each drawing; drawings of a class with one number (frames of one
            film) never lie on both sides of a task.
    """

    images: Tensor
    counts: tuple[int, ...]
    names: tuple[str, ...]
    splits: Mapping[Split, Tensor]
    rotations: int = 1
    reuse: bool = False
    native_size: int = 0
    vocabulary: int = 0
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.names) or sum(self.counts) != len(self.images):
            raise ValueError(
                "One name and one count a class and one image a drawing must hold, but got "
                f"(names={len(self.names)}, counts={len(self.counts)}, "
                f"drawings={sum(self.counts)}, images={len(self.images)})."
            )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Index of the first drawing of each class."""
        return (0, *accumulate(self.counts[:-1]))

    def size(self, split: Split) -> int:
        """How many classes (rotations counted) `split` offers."""
        return len(self.splits[split]) * self.rotations

    @cached_property
    def room(self) -> tuple[int, ...]:
        """How many shots and queries together each class is sure to give."""
        if self.groups is None:
            return self.counts
        # Support and query may each leave unused what a group has beyond its first drawing.
        groups = self.groups.tolist()
        return tuple(
            count - (max(Counter(groups[start : start + count]).values()) - 1)
            for start, count in zip(self.starts, self.counts, strict=True)
        )

    @cached_property
    def smallest(self) -> dict[Split, int]:
        """The class of each split that has the least room; splits without classes are left out."""
        return {
            split: min(part.tolist(), key=self.room.__getitem__)
            for split, part in self.splits.items()
            if len(part)
        }

    def to(self, device: torch.device | str) -> "ImageClasses":
        """The same table with its images on another device."""
        return replace(self, images=self.images.to(device))


def split_classes(
    total: int, rng: torch.Generator, *, validation: float = 0.1, test: float = 0.1
) -> dict[Split, Tensor]:
    """Class numbers 0 .. total - 1 in three parts that share none, drawn at random.

    A part with a share above zero gets at least one class when there are three or more.

    Raises:
        InputError: a share is negative, or the two leave nothing to train on.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise InputError(
            "`validation >= 0`, `test >= 0` and `validation + test < 1` must hold, but got "
            f"(validation={validation}, test={test})."
        )
    order = torch.randperm(total, generator=rng)
    wanted = [
        max(round(total * share), int(share > 0 and total > 2)) for share in (validation, test)
    ]
    held, judged = wanted
    return {
        Split.VALIDATION: order[:held],
        Split.TEST: order[held : held + judged],
        Split.TRAIN: order[held + judged :],
    }
