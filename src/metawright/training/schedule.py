"""Schedules: which share of the learning rate a step uses, as pure functions of the step."""

import math
from collections.abc import Callable, Mapping

__all__ = [
    "SCHEDULES",
    "Schedule",
    "constant",
    "cosine",
    "halving",
    "linear",
    "schedule_of",
    "with_warmup",
]

Schedule = Callable[[int], float]
"""From the step (0, 1, ...) to the factor on the learning rate."""


def constant(steps: int) -> Schedule:
    """Always the whole rate."""
    del steps  # the same signature as the others
    return lambda step: 1.0


def linear(steps: int) -> Schedule:
    """From 1 at the first step towards 0 at the end."""
    return lambda step: max(0.0, 1.0 - step / steps)


def cosine(steps: int) -> Schedule:
    """From 1 towards 0 along half a cosine.

    References:
        SGDR: Stochastic Gradient Descent with Warm Restarts, Loshchilov and Hutter, 2016,
        https://arxiv.org/abs/1608.03983

    Example:
        >>> from metawright.training.schedule import cosine
        >>> [round(cosine(4)(step), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    return lambda step: 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


def halving(steps: int, times: int = 5) -> Schedule:
    """Halved `times` times at equal distances, the last part at `0.5 ** times`."""
    return lambda step: 0.5 ** min(times, (times + 1) * step // steps)


def with_warmup(schedule: Schedule, warmup: int) -> Schedule:
    """`schedule`, with its first `warmup` steps scaled up in a line from `1 / warmup` to 1."""
    return lambda step: schedule(step) * min(1.0, (step + 1) / max(1, warmup))


SCHEDULES: Mapping[str, Callable[[int], Schedule]] = {
    "constant": constant,
    "cosine": cosine,
    "halving": halving,
    "linear": linear,
}


def schedule_of(schedule: str | Schedule, steps: int) -> Schedule:
    """The schedule of that name for so many steps; a schedule as it is.

    Raises:
        ValueError: there is none of that name.
    """
    if not isinstance(schedule, str):
        return schedule
    if schedule not in SCHEDULES:
        raise ValueError(f"`schedule` must be one of {sorted(SCHEDULES)}, but got {schedule!r}.")
    return SCHEDULES[schedule](steps)
