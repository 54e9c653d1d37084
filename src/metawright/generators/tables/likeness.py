"""Designs that few tasks know: what the rest is thought of them comes from designs like them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metawright.generators.tables.experience import TableExperience
from metawright.spaces.encoding import encode
from metawright.spaces.points import contains
from metawright.spaces.space import Space

__all__ = ["completed"]

Matrix = NDArray[np.float64]
_SHARE = 0.4  # of the tasks that must know a design for the covariance of tasks to fill its gaps
_REACH = 0.35  # of encodings, over which designs are alike
_DOUBT = 2.0  # tasks that speak against the deviation that a few have seen


def completed(experience: TableExperience, space: Space) -> TableExperience:
    """The designs of the space; where few tasks tried one, the others get a guess.

    The guess is the mean worth of well-known designs on the same task, each as it is like the one
    in question, plus how much better that was where it was tried, drawn towards nothing. Gaps of
    well-known designs stay.
    """
    kept = [i for i, design in enumerate(experience.designs) if contains(space, design)]
    found = experience.having(kept)
    known = ~np.isnan(found.worths)
    common = known.mean(0) >= _SHARE
    if common.all() or not common.any():
        return found
    codes = np.array([encode(space, design)[0] for design in found.designs])
    worths, seconds = found.worths.copy(), found.seconds.copy()
    for rare in np.flatnonzero(~common):
        apart = ((codes[common] - codes[rare]) ** 2).sum(1)
        likeness = np.exp(-(apart - apart.min()) / (2 * _REACH**2))
        tried = known[:, rare]
        for values in (worths, seconds):
            logs = np.log(values.clip(1e-4)) if values is seconds else values
            guess = _means(logs[:, common], likeness)
            here = tried & ~np.isnan(guess)
            surplus = (logs[here, rare] - guess[here]).sum() / (here.sum() + _DOUBT)
            filled = np.where(tried, logs[:, rare], guess + surplus)
            values[:, rare] = np.exp(filled) if values is seconds else filled
    return replace(found, worths=worths, seconds=seconds)


def _means(values: Matrix, weights: Matrix) -> Matrix:
    """Weighted means (tasks,) over the designs that a task knows; NaN where it knows none."""
    known = ~np.isnan(values)
    totals = known @ weights
    sums = np.where(known, values, 0.0) @ weights
    return np.where(totals > 0, sums / np.maximum(totals, 1e-300), np.nan)
