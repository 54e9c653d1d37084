"""Columns of numbers: holes filled and marked, far values drawn in, all on a common scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metawright.models.tables.state import State

__all__ = ["SCALINGS", "Numbers", "fit_numbers"]

Matrix = NDArray[np.float64]

SCALINGS = ("standard", "robust", "quantile", "none")
"""Mean 0, deviation 1; median 0, quartiles 1.349 apart; a normal distribution; as they are."""

_NORMAL_QUARTILES = 1.3489795003921634  # between the quartiles of a standard normal
_QUANTILES = 200  # references of a column at most


@dataclass(frozen=True)
class Numbers:
    """Fitted columns of numbers.

    `kept` are the indices of columns that vary; `flagged` those with holes, each of which gets a
    further feature, 1 where the value was missing. Infinite values count as missing. The other
    arrays have one entry a kept column; `quantiles` is (references, kept), empty unless used.
    """

    names: tuple[str, ...]
    kept: NDArray[np.int64]
    flagged: NDArray[np.int64]
    medians: Matrix
    lows: Matrix
    highs: Matrix
    centres: Matrix
    scales: Matrix
    quantiles: Matrix

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of `transform`."""
        flags = [f"{self.names[i]} is missing" for i in self.flagged]
        return [self.names[i] for i in self.kept] + flags

    def transform(self, x: Matrix) -> Matrix:
        """Features (rows, kept + flagged) of values (rows, columns)."""
        holes = ~np.isfinite(x)
        values = np.where(holes[:, self.kept], self.medians, x[:, self.kept])
        values = np.clip(values, self.lows, self.highs)
        if len(self.quantiles):
            scaled = _to_normal(values, self.quantiles)
        else:
            scaled = (values - self.centres) / self.scales
        return np.hstack([scaled, holes[:, self.flagged].astype(np.float64)])

    def to_state(self) -> State:
        """As plain data and arrays; `from_state` reads it back."""
        arrays = {name: value for name, value in vars(self).items() if name != "names"}
        return State({"names": list(self.names)}, arrays)

    @staticmethod
    def from_state(state: State) -> "Numbers":
        """What `to_state` wrote."""
        return Numbers(tuple(state.data["names"]), **state.arrays)  # type: ignore[arg-type]


def fit_numbers(
    x: Matrix, names: Sequence[str], *, scaling: str = "standard", clip: float | None = None
) -> Numbers:
    """Learns the medians, limits and scales of columns.

    Arguments:
        x: values (rows, columns) with NaN where missing.
        names: of the columns.
        scaling: one of `SCALINGS`.
        clip: how many deviations from the median a value may lie, where a deviation is that of a
            normal distribution with the same quartiles; None: as far as it does. Columns whose
            quartiles are equal are left alone.
    """
    finite = np.isfinite(x)
    seen = np.where(finite, x, np.nan)
    known = finite.any(0)
    medians, lower, upper = np.zeros((3, x.shape[1]))
    if known.any():
        lower[known], medians[known], upper[known] = np.nanpercentile(
            seen[:, known], [25, 50, 75], axis=0
        )
    filled = np.where(finite, x, medians)
    kept = np.flatnonzero((filled != filled[:1]).any(0)) if len(x) else np.arange(0)
    flagged = np.flatnonzero(~finite.all(0) & known)
    spread = (upper - lower) / _NORMAL_QUARTILES
    bounded = spread > 0 if clip is not None else np.zeros_like(known)
    lows = np.where(bounded, medians - (clip or 0) * spread, -np.inf)
    highs = np.where(bounded, medians + (clip or 0) * spread, np.inf)
    clipped = np.clip(filled, lows, highs)
    centres, scales = _scales(clipped, scaling, medians, spread)
    quantiles = np.zeros((0, len(kept)))
    if scaling == "quantile":
        references = np.linspace(0, 1, min(_QUANTILES, len(x)))
        quantiles = np.maximum.accumulate(np.quantile(clipped[:, kept], references, axis=0))
    return Numbers(
        tuple(names), kept, flagged, medians[kept], lows[kept], highs[kept],
        centres[kept], scales[kept], quantiles,
    )  # fmt: skip


def _scales(
    values: Matrix, scaling: str, medians: Matrix, spread: Matrix
) -> tuple[Matrix, Matrix]:
    """What is taken off each column and what it is divided by."""
    if scaling in ("none", "quantile"):
        return np.zeros_like(medians), np.ones_like(medians)
    means, deviations = values.mean(0), values.std(0)
    deviations = np.where(deviations > 0, deviations, 1.0)
    if scaling == "standard":
        return means, deviations
    # Where half of the values are equal the quartiles may coincide: the deviation stands in.
    return medians, np.where(spread > 0, spread, deviations)


def _to_normal(values: Matrix, quantiles: Matrix) -> Matrix:
    """Each value's share of the column below it, as the point of a normal distribution.

    Unlike scikit-learn's, the smallest and largest value are no outliers: they count as half a
    reference inside, or as the middle of the rows that share them.
    """
    references = np.linspace(0, 1, len(quantiles))
    edge = 0.5 / len(quantiles)
    shares = np.empty_like(values)
    for j in range(values.shape[1]):
        # A value that many rows share stands for a range of shares: its middle is taken.
        low = np.interp(values[:, j], quantiles[:, j], references)
        high = -np.interp(-values[:, j], -quantiles[::-1, j], -references[::-1])
        shares[:, j] = (low + high) / 2
    return np.asarray(ndtri(np.clip(shares, edge, 1 - edge)), dtype=np.float64)
