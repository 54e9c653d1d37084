"""How a search came to its winner: each new best, and what it does differently."""

from collections.abc import Sequence
from typing import NamedTuple

from metawright.spaces.decisions import decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Scalar
from metawright.spaces.points import write
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint, Objective, measured, violation

__all__ = ["Difference", "Step", "ascent", "differences", "say"]


class Difference(NamedTuple):
    """A decision and its values; None: not in play (or an option that is None)."""

    decision: str
    before: Scalar
    after: Scalar

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.decision}: {_text(self.after)}"
        if self.after is None:
            return f"no {self.decision}"
        return f"{self.decision} {_text(self.before)} → {_text(self.after)}"


class Step(NamedTuple):
    """A trial that was better than all before it.

    Arguments:
        number: how many trials were told before it.
        trial: the new best.
        value: its measure.
        gain: by how much that is better than the best before, 0 for the first.
        changed: the decisions that differ from the best before.
    """

    number: int
    trial: Trial
    value: float
    gain: float
    changed: tuple[Difference, ...]


def ascent(
    space: Space,
    trials: Sequence[Trial],
    objective: Objective,
    constraints: Sequence[Constraint] = (),
) -> list[Step]:
    """Each new best of a search, from the first trial with a measure to the winner.

    Arguments:
        space: the space of the designs.
        trials: in the order in which they were told; those that break a constraint or were
            trained in part only are passed over.
        objective: what is better.
        constraints: what must hold.

    Example:
        >>> from metawright.spaces import Design, Integer, Record
        >>> from metawright.store.records import Trial
        >>> from metawright.strategies.objectives import objective
        >>> from metawright.strategies.ascent import ascent, say
        >>> space = Record({"depth": Integer(1, 5), "width": Integer(8, 64)})
        >>> tried = [((2, 8), 0.7), ((1, 8), 0.6), ((3, 8), 0.9)]
        >>> trials = [
        ...     Trial(str(number), "task", Design({"depth": d, "width": w}), {"accuracy": score})
        ...     for number, ((d, w), score) in enumerate(tried)
        ... ]
        >>> for step in ascent(space, trials, objective("accuracy")):
        ...     print(say(step))
        Trial 1: 0.7, the first.
        Trial 3: 0.9, better by 0.2: depth 2 → 3.
    """
    steps: list[Step] = []
    for number, trial in enumerate(trials):
        value = measured(trial, objective.name)
        partial = trial.evidence.get("fidelity", 1) < 1
        if value is None or partial or violation(trial, constraints) > 0:
            continue
        if not steps:
            steps.append(Step(number, trial, value, 0.0, ()))
            continue
        last = steps[-1]
        gain = value - last.value if objective.maximise else last.value - value
        if gain > 0:
            changed = differences(space, last.trial.design, trial.design)
            steps.append(Step(number, trial, value, gain, changed))
    return steps


def differences(space: Space, before: Design, after: Design) -> tuple[Difference, ...]:
    """The decisions in which two designs differ, in their order.

    Raises:
        InputError: one of them is not in the space.
    """
    pairs = zip(decisions(space), write(space, before), write(space, after), strict=True)
    return tuple(Difference(each.name, old, new) for each, old, new in pairs if old != new)


def say(step: Step, *, most: int = 4) -> str:
    """A step in one sentence.

    Arguments:
        step: from `ascent`.
        most: how many changes are named; of the others only their number.
    """
    if step.gain == 0:
        return f"Trial {step.number + 1}: {step.value:.4g}, the first."
    named = [str(each) for each in step.changed[:most]]
    more = len(step.changed) - len(named)
    changes = ", ".join(named) + (f" and {more} more" if more else "")
    return (
        f"Trial {step.number + 1}: {step.value:.4g}, better by {step.gain:.2g}: "
        f"{changes or 'the same design again'}."
    )


def _text(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
