"""Trials that say what a find is worth: its neighbours, and it and its rival with other seeds."""

from collections.abc import Sequence

from metawright.recipes.search.asked import Asked
from metawright.recipes.search.job import CONTROL, FULL, SEARCH, Job, role_of
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.spaces.draw import mutate
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.objectives import Objective, measured, objective
from metawright.strategies.pareto import Archive

__all__ = [
    "FINAL",
    "MUTANT",
    "RANKED",
    "REPEAT",
    "better_trained",
    "explored",
    "final",
    "in_full",
    "mutants",
    "repeats",
    "runner_up",
]

MUTANT, REPEAT, FINAL = "mutant", "repeat", "final"
RANKED = frozenset({SEARCH, CONTROL, FULL, MUTANT})
"""Roles of trials that compete: one training each, with the same seed and as long."""

_EXPLORED = frozenset({SEARCH, CONTROL, FULL})
_MUTANTS = 4
_SEEDS = 4
_LONGER = 1.5  # below which a longer training is not worth it
_SURE = 0.8  # share of the time left that it is planned for: the machine may be busy


def mutants(best: Trial, space: Space, seed: int) -> list[Job]:
    """The best with one decision changed, a few times: would changing it blindly have done it?"""
    jobs = {}
    for number in range(_MUTANTS):
        design = mutate(space, best.design, stream(seed, "mutant", best.design.digest, number))
        jobs[design] = Job(design, MUTANT, seed=seed, of=best.id)
    jobs.pop(best.design, None)  # a space of one design has no neighbours
    return list(jobs.values())


def repeats(best: Trial, rival: Trial | None, seed: int) -> list[Job]:
    """The best and its rival with further seeds, in turns, so that they can be compared in pairs
    whenever the time is over."""
    pair = [trial for trial in (best, rival) if trial is not None]
    seeds = _SEEDS if rival is not None else _SEEDS // 2  # alone, it only shows its own noise
    return [
        Job(trial.design, REPEAT, seed=seed + number, of=trial.id)
        for number in range(1, seeds + 1)
        for trial in pair
    ]


def in_full(trials: Sequence[Trial], goal: Objective, seed: int) -> list[Job]:
    """The best of those trained in part, trained in full; nothing where none has a score."""
    part = [trial for trial in trials if measured(trial, goal.name) is not None]
    if not part:
        return []
    side = 1 if goal.maximise else -1
    best = max(part, key=lambda trial: side * (measured(trial, goal.name) or 0.0))
    return [Job(best.design, FULL, seed=seed, of=best.id)]


def final(
    best: Trial, trials: Sequence[Trial], *, epochs: int, most: int, seconds: float, seed: int
) -> list[Job]:
    """The best trained as long as there is time for, if that is clearly longer than it was.

    Arguments:
        trials: of the run; a longer training that is among them is not made again.
        epochs: of the trainings of the search.
        most: epochs that are worth while.
        seconds: that are left.
    """
    room = epochs * _SURE * seconds / max(best.cost["seconds"], 1e-3)
    wanted = round(min(most, room))
    made = [t.evidence.get("stretch", 1.0) for t in trials
            if role_of(t) == FINAL and t.evidence.get("of") == best.id]  # fmt: skip
    if wanted < _LONGER * epochs * max([1.0, *made]):
        return []
    return [Job(best.design, FINAL, seed=seed, of=best.id, epochs=wanted, seconds=0.9 * seconds)]


def better_trained(best: Trial, trials: Sequence[Trial], goal: Objective) -> Trial:
    """The longer training of the best if it is better for it, or else the best."""
    longer = [t for t in trials if role_of(t) == FINAL and t.evidence.get("of") == best.id]
    side = 1 if goal.maximise else -1
    ours = measured(best, goal.name)
    for trial in reversed(longer):
        value = measured(trial, goal.name)
        if value is not None and (ours is None or side * value >= side * ours):
            return trial
    return best


def runner_up(best: Trial, trials: Sequence[Trial], asked: Asked) -> Trial | None:
    """What would have been chosen if there were neither `best` nor blind changes."""
    left = explored(trials, asked, without=best.design)
    return left.choose(asked.rule) if left.trials else None


def explored(trials: Sequence[Trial], asked: Asked, *, without: Design | None = None) -> Archive:
    """The front of what the strategy and the random control brought, and of nothing later."""
    found = Archive([objective(name) for name in asked.objectives], asked.limits())
    found.tell([t for t in trials if role_of(t) in _EXPLORED and t.design != without])
    return found
