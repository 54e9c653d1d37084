"""How long a full training may be, so that a search within a time still tries many designs."""

from statistics import fmean

from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised
from metawright.recipes.search.asked import Limits
from metawright.recipes.search.job import Runner
from metawright.rng import stream
from metawright.spaces.draw import sample

__all__ = ["settled_epochs"]

_DESIGNS = 40  # that a budget should be enough for
_DRAWN = 6  # random designs that are timed
_SHARE = 0.1  # of the time that timing may take


def settled_epochs(
    evaluator: Evaluator, runner: Runner, limits: Limits, *, share: float, seed: int
) -> int | None:
    """The epochs of a full training; None where designs are not trained by epochs.

    Random designs are timed by the workers themselves, under the limits of the search; those that
    break or take too long are passed over. Without a time to keep the evaluator's own number
    stands.

    Arguments:
        share: of the budget that goes to trying designs.
        seed: of the designs that are timed.
    """
    if not isinstance(evaluator, Supervised) or evaluator.name == "pipelines":
        return None
    if limits.seconds is None:
        return evaluator.epochs
    # The mean: a few designs take many times as long as most, and they are in the way too.
    found = _timed(evaluator, runner, limits, seed)
    if not found:
        return max(1, evaluator.epochs // 4)
    room = share * limits.seconds * max(limits.workers, 1) / _DESIGNS
    return max(1, min(evaluator.epochs, round(room / fmean(found))))


def _timed(evaluator: Supervised, runner: Runner, limits: Limits, seed: int) -> list[float]:
    """Seconds of an epoch of random designs, as many as a tenth of the time allows."""
    assert limits.seconds is not None
    each = max(_SHARE * limits.seconds, 1.0)
    drawn = _DRAWN if limits.seconds >= 60 else _DRAWN // 2
    waiting = [sample(evaluator.space, stream(seed, "pace", number)) for number in range(drawn)]
    found, out, given = [], 0, 0
    while waiting or out:
        while waiting and runner.free:
            runner.submit(f"pace-{given}", waiting.pop(), timing=True, seed=seed, seconds=each)
            out, given = out + 1, given + 1
        outcomes = runner.wait()
        out -= len(outcomes)
        found += [outcome.value for outcome in outcomes if outcome.how == "done"]
        if sum(outcome.seconds for outcome in outcomes) > each:
            waiting = waiting[:1]  # slow designs: two or three must do
    return found
