"""How long designs take on a task, from how long they took on earlier ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metawright.generators.tables.experience import TableExperience
from metawright.generators.tables.profile import PROFILE

__all__ = ["Price"]

Matrix = NDArray[np.float64]
_SIZES = tuple(PROFILE.index(name) for name in ("log rows", "log columns", "log outputs"))
_PENALTY = 3.0  # of slopes, towards those of the mean design


class Price:
    """Seconds of designs by the size of a table: a power of rows, columns and outputs each.

    Arguments:
        experience: with the seconds that designs took.

    How much faster or slower this machine is, and in how many parts a table is judged, is learned
    from the first trials on it.
    """

    def __init__(self, experience: TableExperience) -> None:
        logs = np.log(experience.seconds.clip(1e-4))
        sizes = _sizes(experience.profiles)
        self._centre = sizes.mean(0)
        inputs = np.hstack([np.ones((len(sizes), 1)), sizes - self._centre])
        known = ~np.isnan(logs)
        means = np.array([_mean(logs[k, d]) for d, k in enumerate(known.T)])
        rows, places = np.nonzero(known)
        shared = _ridge(inputs[rows][:, 1:], logs[rows, places] - means[places], 1e-3)
        self._weights = np.empty((inputs.shape[1], logs.shape[1]))
        for design, mask in enumerate(known.T):
            left = logs[mask, design] - means[design] - inputs[mask, 1:] @ shared
            own = _ridge(inputs[mask], left, _PENALTY)
            self._weights[:, design] = own + np.concatenate([[means[design]], shared])

    def of(
        self,
        profile: Sequence[float] | Matrix,
        tried: Sequence[int] = (),
        took: Sequence[float] = (),
    ) -> Matrix:
        """Seconds (designs,) on a task with that profile, given what some designs took there."""
        sizes = _sizes(np.asarray(profile, np.float64)[None])[0] - self._centre
        logs = np.concatenate([[1.0], sizes]) @ self._weights
        if len(tried):
            logs = logs + np.median(np.log(np.asarray(took).clip(1e-4)) - logs[list(tried)])
        return np.asarray(np.exp(logs), np.float64)


def _sizes(profiles: Matrix) -> Matrix:
    return profiles[:, list(_SIZES)]


def _mean(values: Matrix) -> float:
    return float(values.mean()) if len(values) else 0.0


def _ridge(inputs: Matrix, targets: Matrix, penalty: float) -> Matrix:
    gram = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(gram, inputs.T @ targets), np.float64)
