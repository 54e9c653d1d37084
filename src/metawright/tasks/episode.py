"""Tasks drawn from a table of classes: which classes, and which drawings on which side.

A source of classes only says which images (or texts, or signals) there are, how they are split and
how a drawn image is distorted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import fork
from metawright.tasks.classes import ImageClasses
from metawright.tasks.imbalance import Imbalance, Shots
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["Distort", "Episode", "draw_episode"]

Distort = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Episode:
    """How many classes and examples a task has.

    Arguments:
        ways: classes in a task, a number or an inclusive range (cut to what there is).
        shots: support examples of a class, a number, an inclusive range to draw from, or an
            `Imbalance` (which may also give fewer queries).
        queries: query examples of a class.
        balanced: where `shots` is a range, whether all classes of a task get the same number.
    """

    ways: int | tuple[int, int] = 5
    shots: Shots = 1
    queries: int = 15
    balanced: bool = True

    def __post_init__(self) -> None:
        for name, value in (("ways", self.ways), ("shots", self.shots)):
            if isinstance(value, Imbalance):
                continue
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

    @property
    def wanted(self) -> int:
        """Examples that a class must have to be in a task, whatever is drawn."""
        if isinstance(self.shots, Imbalance):
            return 2
        return _range(self.shots)[1] + self.queries


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
        A task with x (examples, channels, height, width) float32 in 0..1, or the texts or signals
        that the table holds, and labels 0 .. ways - 1, sorted by class in both batches.

    Raises:
        InputError: the split has too few classes, or a class too few drawings.
    """
    available = table.size(split)
    low, high = _range(episode.ways)
    ways = _draw((low, max(low, min(high, available))), rng)
    _check_size(table, episode, split, ways, source)
    even = None if isinstance(episode.shots, Imbalance) else _shots(episode, ways, rng)
    chosen = torch.randperm(available, generator=rng)[:ways].tolist()
    members = [int(table.splits[split][number // table.rotations]) for number in chosen]
    shots, queries = (even, episode.queries) if even else _uneven(table, episode, members, rng)
    support, query, names = _Side(), _Side(), []
    for label, (number, member) in enumerate(zip(chosen, members, strict=True)):
        turn = number % table.rotations
        names.append(table.names[member] + (f" ({90 * turn} deg)" if turn else ""))
        learned, judged = _pick(table, member, shots[label], queries, rng)
        support.add(learned, label, turn)
        query.add(judged, label, turn)
    x, y = _images(table, support, query, rng, distort)
    cut = len(support.labels)
    spec = TaskSpec(
        Kind.CLASSIFICATION,
        tuple(x.shape[1:]),
        ways,
        tuple(names),
        table.native_size,
        source,
        table.vocabulary,
    )
    return Task(Batch(x[:cut], y[:cut]), Batch(x[cut:], y[cut:]), spec)


def _check_size(
    table: ImageClasses, episode: Episode, split: Split, ways: int, source: str
) -> None:
    """Refuses a split that could not give every task; not only when it is drawn by chance."""
    available = table.size(split)
    if ways > available:
        advice = f"ask for at most {available} ways" if available else "draw from another part"
        raise InputError(
            f"A task of {ways} classes was asked for, but the {split} part of '{source}' has "
            f"{available}: {advice}, or split the classes otherwise."
        )
    small = table.smallest[split]
    if not table.reuse and table.room[small] < episode.wanted:
        shots = (
            "one shot + one query" if isinstance(episode.shots, Imbalance) else "shots + queries"
        )
        raise InputError(
            f"Class '{table.names[small]}' in the {split} part of '{source}' has "
            f"{table.room[small]} examples, but {shots} ask for {episode.wanted}: lower the shots "
            "or queries, add examples, or leave the class out."
        )


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
    x = table.images[torch.tensor(support.picks + query.picks, device=device)]
    x = x.float() / 255 if x.dtype == torch.uint8 else x
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
    picks = start + torch.randperm(count, generator=rng)
    if table.groups is not None:
        return _apart(picks, table.groups[picks], shots, queries)
    order = picks.tolist()
    if not table.reuse:
        return order[:shots], order[shots:wanted]
    cut = min(max(round(count * shots / wanted), 1), count - 1) if count > 1 else 1
    learned, judged = order[:cut], order[cut:] or order
    return _again(learned, shots, rng), _again(judged, queries, rng)


def _apart(picks: Tensor, groups: Tensor, shots: int, queries: int) -> tuple[list[int], list[int]]:
    """The first `shots` drawings, and `queries` of other groups."""
    # Drawings of a group side by side, groups as they were drawn: few groups are cut in two.
    first = (groups[:, None] == groups).int().argmax(1)
    order = torch.argsort(first, stable=True)
    picks, groups = picks[order], groups[order]
    others = picks[~torch.isin(groups, groups[:shots])]
    return picks[:shots].tolist(), others[:queries].tolist()


def _uneven(
    table: ImageClasses, episode: Episode, members: Sequence[int], rng: torch.Generator
) -> tuple[list[int], int]:
    assert isinstance(episode.shots, Imbalance)
    plenty = episode.shots.per_class + episode.queries
    sizes = [plenty if table.reuse else table.room[member] for member in members]
    return episode.shots.draw(sizes, episode.queries, rng)


def _again(drawings: list[int], wanted: int, rng: torch.Generator) -> list[int]:
    """`wanted` of the drawings, each as often as chance will have it."""
    return [drawings[i] for i in torch.randint(len(drawings), (wanted,), generator=rng).tolist()]


def _shots(episode: Episode, ways: int, rng: torch.Generator) -> list[int]:
    assert not isinstance(episode.shots, Imbalance)
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
