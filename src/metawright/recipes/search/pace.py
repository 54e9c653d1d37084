"""How long a full training may be, so that a search within a time still tries many designs."""

import math
import time
from statistics import fmean

from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised
from metawright.evaluate.training_plan import training_plan
from metawright.recipes.search.asked import Limits
from metawright.rng import stream
from metawright.spaces.draw import sample

__all__ = ["settle_epochs"]

_DESIGNS = 40  # that a budget should be enough for
_DRAWN = 6  # random designs that are timed
_FEW, _MORE = 2, 10  # steps of a short training; the difference is free of what comes once


def settle_epochs(
    evaluator: Evaluator, limits: Limits, *, share: float, seed: int, known: int | None = None
) -> int | None:
    """Sets the epochs of an evaluator that trains, and gives them; None for others.

    Without a time to keep, or with few examples, they stay as they are by default.

    Arguments:
        share: of the budget that goes to trying designs.
        seed: of the designs that are timed.
        known: what an earlier session found; it is taken as it is.
    """
    if not isinstance(evaluator, Supervised) or evaluator.name == "pipelines":
        return None
    if known is not None:
        evaluator.epochs = known
    elif limits.seconds is not None:
        # The mean: a few designs take many times as long as most, and they are in the way too.
        whole = evaluator.epochs * fmean(
            _seconds(evaluator, seed, number) for number in range(_DRAWN)
        )
        room = share * limits.seconds * max(limits.workers, 1) / _DESIGNS
        evaluator.epochs = max(1, min(evaluator.epochs, round(evaluator.epochs * room / whole)))
    return evaluator.epochs


def _seconds(evaluator: Supervised, seed: int, number: int) -> float:
    """What an epoch of a random design takes."""
    design = sample(evaluator.space, stream(seed, "pace", number))
    batch = min(training_plan(design).batch_size, len(evaluator.task.support.x))
    steps = evaluator.epochs * math.ceil(len(evaluator.task.support.x) / batch)
    spent = []
    for count in (_FEW, _MORE):
        began = time.perf_counter()
        evaluator(design, fidelity=min(1.0, count / steps), seed=seed)
        spent.append(time.perf_counter() - began)
    step = max(spent[1] - spent[0], 1e-4) / (_MORE - _FEW)
    return step * steps / evaluator.epochs
