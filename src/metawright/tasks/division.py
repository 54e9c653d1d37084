"""All examples of a table in three parts: to learn from, to choose by, and to judge by at last.

Few-shot learning splits classes; a single task splits examples. Nothing that a search sees touches
the test part.
"""

from bisect import bisect_left
from typing import NamedTuple

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.tasks.classes import ImageClasses
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

__all__ = ["Division", "divide", "divide_task"]


class Division(NamedTuple):
    """`task`: learn from its support, choose by its query; `test`: judge by, at the very end."""

    task: Task
    test: Batch


def divide(
    table: ImageClasses,
    rng: torch.Generator,
    *,
    validation: float = 0.2,
    test: float = 0.2,
    most: int | None = None,
    source: str = "",
) -> Division:
    """Every class of a table in three parts of the same shares, drawn at random.

    Examples that belong together (`ImageClasses.groups`) stay in one part.

    Arguments:
        validation, test: shares of each class; the rest is learned from.
        most: examples at most in all, cut from every class alike; None: all of them.

    Raises:
        InputError: fewer than two classes, shares that leave nothing, or a class with fewer than
            three examples (or groups of them).
    """
    _check(validation, test)
    if len(table.counts) < 2:
        raise InputError("There must be at least two classes, but the data has one.")
    shares = torch.tensor([1 - validation - test, validation, test])
    room = len(table.images) if most is None else most
    parts: list[list[Tensor]] = [[], [], []]
    for name, start, count in zip(table.names, table.starts, table.counts, strict=True):
        kept = min(count, max(3, round(count * room / len(table.images))))
        groups = None if table.groups is None else table.groups[start : start + count]
        for part, rows in zip(parts, _class_parts(count, kept, groups, shares, rng), strict=True):
            if not len(rows):
                held = "" if groups is None else f" in {len(set(groups.tolist()))} groups"
                raise InputError(
                    f"Class '{name}' has {count} examples{held}, but three are needed (one each "
                    "to learn from, to choose by and to judge): add some, or leave the class out."
                )
            part.append(start + rows)
    learn, choose, judge = (_batch(table, part) for part in parts)
    spec = TaskSpec(
        Kind.CLASSIFICATION,
        tuple(learn.x.shape[1:]),
        len(table.counts),
        table.names,
        table.native_size,
        source,
        table.vocabulary,
    )
    return Division(Task(learn, choose, spec), judge)


def divide_task(
    task: Task, rng: torch.Generator, *, validation: float = 0.2, test: float = 0.2
) -> Division:
    """A task's support in three parts; where it has a query, that is the test part.

    Classes keep their shares in all parts; targets of a regression are drawn at random.

    Raises:
        InputError: shares that leave nothing, or too few examples for the parts.
    """
    judged = test if not len(task.query.x) else 0.0
    _check(validation, judged)
    rows: list[list[Tensor]] = [[], [], []]
    shares = torch.tensor([1 - validation - judged, validation, judged])
    least = int((shares > 0).sum())
    for label, members in enumerate(_strata(task)):
        if len(members) < least:
            name = task.spec.classes[label] if task.spec.classes else str(label)
            raise InputError(
                f"Class '{name}' has {len(members)} examples, but {least} are needed, one for "
                "each part: add some, or leave the class out."
            )
        split = _class_parts(len(members), len(members), None, shares, rng)
        for part, chosen in zip(rows, split, strict=True):
            part.append(members[chosen])
    learn, choose, judge = (
        Batch(task.support.x[torch.cat(part)], task.support.labels[torch.cat(part)])
        for part in rows
    )
    if not len(learn.x) or not len(choose.x):
        raise InputError(
            f"The task has {len(task.support.x)} examples to learn from: too few to keep a share "
            "of them for choosing."
        )
    return Division(Task(learn, choose, task.spec), judge if judged else task.query)


def _strata(task: Task) -> list[Tensor]:
    labels = task.support.labels
    if task.spec.kind is not Kind.CLASSIFICATION:
        return [torch.arange(len(labels))]
    return [torch.nonzero(labels == label)[:, 0] for label in range(task.spec.outputs)]


def _class_parts(
    count: int, kept: int, groups: Tensor | None, shares: Tensor, rng: torch.Generator
) -> list[Tensor]:
    """Row numbers 0 .. count - 1 of each part, `kept` of them; whole groups go to one part."""
    order = torch.randperm(count, generator=rng)[:kept]
    if groups is not None:
        # Groups in the order in which a random example of them comes first.
        seen = dict.fromkeys(groups[order].tolist())
        order = torch.cat([order[groups[order] == group] for group in seen])
    ends = [round(kept * float(share)) for share in shares.cumsum(0)]
    # Rounding must not leave a wanted part of a small class empty.
    wanted = [bool(share > 0) for share in shares]
    if kept >= sum(wanted):
        ends = _at_least_one(ends, wanted, kept)
    if groups is not None:
        ends = _group_ends(groups[order], ends, wanted)
    return [order[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _at_least_one(ends: list[int], wanted: list[bool], kept: int) -> list[int]:
    sizes = [b - a for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    for part, size in enumerate(sizes):
        if wanted[part] and size == 0:
            sizes[part] = 1
            sizes[sizes.index(max(sizes))] -= 1
    assert sum(sizes) == kept
    return [sum(sizes[: part + 1]) for part in range(len(sizes))]


def _group_ends(groups: Tensor, ends: list[int], wanted: list[bool]) -> list[int]:
    """The next places from `ends` on at which a group begins, a group in each wanted part."""
    borders = [*(torch.nonzero(groups.diff())[:, 0] + 1).tolist(), len(groups)]
    found, place = [], -1
    for part, end in enumerate(ends):
        if wanted[part]:
            # Large groups must not leave nothing for the later parts.
            last = len(borders) - 1 - sum(wanted[part + 1 :])
            place = min(max(min(bisect_left(borders, end), last), place + 1), len(borders) - 1)
        found.append(borders[place])
    return found


def _batch(table: ImageClasses, parts: list[Tensor]) -> Batch:
    rows = torch.cat(parts)
    labels = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    x = table.images[rows]
    return Batch(x.float() / 255 if x.dtype == torch.uint8 else x, labels)


def _check(validation: float, test: float) -> None:
    if not (validation > 0 and test >= 0 and validation + test < 1):
        raise InputError(
            "`validation > 0`, `test >= 0` and `validation + test < 1` must hold, but got "
            f"(validation={validation}, test={test})."
        )
