"""Where a batch of tasks broke: found after the fact, so that no step pays for the question."""

import math
from collections.abc import Callable, Sequence

from metawright.tasks.task import Task

__all__ = ["breakage"]


def breakage(
    batch: Sequence[Task], losses: Callable[[Task], Sequence[float]], *, steps: int
) -> str:
    """A sentence that names the first task and inner step at which a loss is not finite.

    Arguments:
        batch: the tasks.
        losses: runs a task by itself and gives the loss on the support before each inner step,
            and then those on the query.
        steps: inner steps.
    """
    advice = "No weight was changed; lower the inner learning rate, or look at that task's numbers"
    for number, task in enumerate(batch, 1):
        found = losses(task)
        broken = [place for place, value in enumerate(found) if not math.isfinite(value)]
        if broken:
            first = broken[0]
            where = "on its query"
            if first < steps:
                where = f"on its support at inner step {first + 1} of {steps}"
            return (
                f"Task {number} of the {len(batch)} in the batch broke: the loss is "
                f"{found[first]} {where}. {advice}."
            )
    return (
        f"The loss of a batch of {len(batch)} tasks is not finite, though each of them has a "
        f"finite one when it is run by itself. {advice}."
    )
