"""Designs that did well on earlier tasks: what to try first, and what a search must beat."""

from collections import defaultdict
from collections.abc import Sequence

from metawright.spaces.design import Design
from metawright.spaces.points import contains
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.objectives import Objective, measured

__all__ = ["best_elsewhere"]

_AGAIN = ("repeat", "final")  # roles of trials that tried a design once more, or for longer


def best_elsewhere(
    trials: Sequence[Trial], space: Space, goal: Objective, *, task: str, count: int = 5
) -> list[Design]:
    """The designs of the space that rank best on other tasks, the best first (static transfer).

    A design's worth is its mean rank within the tasks on which it was tried (0 worst, 1 best),
    drawn towards the middle as if there were one more task with a middling rank, so that luck on
    a single task counts less than being good on several.

    Arguments:
        trials: of any tasks and spaces; those of `task`, of other spaces, that failed or were
            trained in part only do not count.
        goal: the measure that ranks.
        count: how many at most.

    Example:
        >>> from metawright.spaces import Integer, Record
        >>> from metawright.strategies.objectives import objective
        >>> def trial(task: str, x: int, accuracy: float) -> Trial:
        ...     return Trial(f"{task}{x}", task, Design({"x": x}), {"accuracy": accuracy})
        >>> told = [trial("a", 1, 0.7), trial("a", 2, 0.9), trial("b", 2, 0.5), trial("b", 3, 0.1)]
        >>> best_elsewhere(
        ...     told, Record({"x": Integer(1, 9)}), objective("accuracy"), task="c", count=1
        ... )
        [Design(x=2)]
    """
    scores: dict[str, dict[Design, float]] = defaultdict(dict)
    for trial in trials:
        value = measured(trial, goal.name)
        whole = trial.evidence.get("fidelity", 1) == 1
        whole = whole and trial.evidence.get("role") not in _AGAIN
        if trial.task != task and value is not None and whole and contains(space, trial.design):
            turned = value if goal.maximise else -value
            of_task = scores[trial.task]
            of_task[trial.design] = max(turned, of_task.get(trial.design, turned))
    places: dict[Design, list[float]] = defaultdict(list)
    for of_task in scores.values():
        order = sorted(of_task, key=lambda design: of_task[design])
        for place, design in enumerate(order):
            places[design].append(place / (len(order) - 1) if len(order) > 1 else 0.5)
    worth = {design: (sum(p) + 0.5) / (len(p) + 1) for design, p in places.items()}
    return sorted(worth, key=lambda design: (-worth[design], design.key))[:count]
