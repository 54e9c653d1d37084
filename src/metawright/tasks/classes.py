"""Many classes of images in one table, split by class, and tasks drawn from it.

This is the ground under every image source: a source only says which images there are, how they
are split and how a drawn image is distorted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import fork
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["Episode", "ImageClasses", "draw_episode", "split_classes"]

Distort = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Episode:
    """How many classes and examples a task has.

    Arguments:
        ways: classes in a task, a number or an inclusive range (cut to what there is).
        shots: support examples of a class, a number or an inclusive range to draw from.
        queries: query examples of a class.
        balanced: whether all classes of a task get the same number of shots.
    """

    ways: int | tuple[int, int] = 5
    shots: int | tuple[int, int] = 1
    queries: int = 15
    balanced: bool = True

    def __post_init__(self) -> None:
        for name, value in (("ways", self.ways), ("shots", self.shots)):
            ends = value if isinstance(value, tuple) else (value, value)
            if len(ends) != 2 or not all(isinstance(end, int) for end in ends):
                raise InputError(
                    f"`{name}` must be an integer or a pair (low, high) of them, "
                    f"but got {value!r}."
                )
            if not 1 <= ends[0] <= ends[1]:
                raise InputError(f"`1 <= {name}` (low <= high) must hold, but got {value!r}.")
        if not isinstance(self.queries, int) or self.queries < 0:
            raise InputError(f"`queries` must be an integer >= 0, but got {self.queries!r}.")


@dataclass(frozen=True)
class ImageClasses:
    """Images by class.

    Arguments:
        images: (drawings, channels, height, width) uint8, ink bright; drawings sorted by class.
        counts: drawings of each class, in class order.
        names: a name for each class.
        splits: class numbers of each part; parts share no class.
        rotations: 4 turns every class by 0, 90, 180, 270 degrees into four classes, 1 does not.
        reuse: whether one drawing may be drawn more than once in a task (because a distortion
            makes each draw another image). Support and query still share none where the class
            has two.
        native_size: larger side of the images before they were resized, for the task's spec.
    """

    images: Tensor
    counts: tuple[int, ...]
    names: tuple[str, ...]
    splits: Mapping[Split, Tensor]
    rotations: int = 1
    reuse: bool = False
    native_size: int = 0

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


def draw_episode(
    table: ImageClasses,
    episode: Episode,
    split: Split,
    rng: torch.Generator,
    *,
    distort: Distort | None = None,
    source: str = "",
) -> Task:
    """One task with classes of `split` only.

    Returns:
        A task with x (examples, channels, height, width) float32 in 0..1 and labels 0 .. ways - 1,
        sorted by class in both batches.

    Raises:
        InputError: the split has too few classes, or a class too few drawings.
    """
    available = table.size(split)
    low, high = _range(episode.ways)
    ways = _draw((low, max(low, min(high, available))), rng)
    if ways > available:
        raise InputError(
            f"A task of {ways} classes was asked for, but the {split} part of '{source}' has "
            f"{available}: ask for at most {available} ways."
        )
    shots = _shots(episode, ways, rng)
    chosen = torch.randperm(available, generator=rng)[:ways].tolist()
    support, query, names = _Side(), _Side(), []
    for label, number in enumerate(chosen):
        member = int(table.splits[split][number // table.rotations])
        turn = number % table.rotations
        names.append(table.names[member] + (f" ({90 * turn} deg)" if turn else ""))
        learned, judged = _pick(table, member, shots[label], episode.queries, rng)
        support.add(learned, label, turn)
        query.add(judged, label, turn)
    x, y = _images(table, support, query, rng, distort)
    cut = len(support.labels)
    spec = TaskSpec(
        Kind.CLASSIFICATION, tuple(x.shape[1:]), ways, tuple(names), table.native_size, source
    )
    return Task(Batch(x[:cut], y[:cut]), Batch(x[cut:], y[cut:]), spec)


class _Side:
    """Drawings chosen for one side of a task."""

    def __init__(self) -> None:
        self.picks: list[int] = []
        self.labels: list[int] = []
        self.turns: list[int] = []

    def add(self, picks: list[int], label: int, turn: int) -> None:
        self.picks += picks
        self.labels += [label] * len(picks)
        self.turns += [turn] * len(picks)


def _images(
    table: ImageClasses,
    support: _Side,
    query: _Side,
    rng: torch.Generator,
    distort: Distort | None,
) -> tuple[Tensor, Tensor]:
    device = table.images.device
    x = table.images[torch.tensor(support.picks + query.picks, device=device)].float() / 255
    turns = torch.tensor(support.turns + query.turns, device=device)
    for turn in range(1, table.rotations):
        mask = turns == turn
        x[mask] = torch.rot90(x[mask], turn, (2, 3))
    if distort is not None:
        x = distort(x, fork(rng, device))
    return x, torch.tensor(support.labels + query.labels, device=device)


def _pick(
    table: ImageClasses, member: int, shots: int, queries: int, rng: torch.Generator
) -> tuple[list[int], list[int]]:
    """Drawings of a class for the support and for the query, none in both where it has two."""
    count, start, wanted = table.counts[member], table.starts[member], shots + queries
    if not table.reuse and wanted > count:
        raise InputError(
            f"Class '{table.names[member]}' has {count} images, but shots + queries ask for "
            f"{wanted}: lower the shots or queries, or add images."
        )
    order = (start + torch.randperm(count, generator=rng)).tolist()
    if not table.reuse:
        return order[:shots], order[shots:wanted]
    cut = min(max(round(count * shots / wanted), 1), count - 1) if count > 1 else 1
    learned, judged = order[:cut], order[cut:] or order
    return _again(learned, shots, rng), _again(judged, queries, rng)


def _again(drawings: list[int], wanted: int, rng: torch.Generator) -> list[int]:
    """`wanted` of the drawings, each as often as chance will have it."""
    return [drawings[i] for i in torch.randint(len(drawings), (wanted,), generator=rng).tolist()]


def _shots(episode: Episode, ways: int, rng: torch.Generator) -> list[int]:
    if episode.balanced:
        return [_draw(episode.shots, rng)] * ways
    return [_draw(episode.shots, rng) for _ in range(ways)]


def _range(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _draw(value: int | tuple[int, int], rng: torch.Generator) -> int:
    low, high = _range(value)
    if low == high:
        return low
    return low + int(torch.randint(high - low + 1, (), generator=rng))
