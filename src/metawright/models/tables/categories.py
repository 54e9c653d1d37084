"""Columns of categories as numbers: one feature a level, or a level's place, or what it tells.

Rare levels are joined; a level that was not seen in fitting counts as one of those ("other").
"""

import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metawright.models.tables.state import State

__all__ = ["ENCODINGS", "Category", "Encoded", "fit_category", "words_of"]

Matrix = NDArray[np.float64]

ENCODINGS = ("onehot", "ordinal", "target", "hash")
"""A feature a level; the place in order of frequency; the mean target of the level; hashed."""

_MOST_LEVELS = 40  # a one-hot column of more levels is encoded by its targets instead
_BUCKETS = 16  # features of a hashed column
_STRENGTH = 10.0  # rows that the overall mean counts for beside a level's own
_FOLDS = 5
_MISSING, _OTHER = -2, -1


class Encoded(NamedTuple):
    """A fitted column, and the features of the rows that it was fitted on."""

    category: "Category"
    features: Matrix


@dataclass(frozen=True)
class Category:
    """A fitted column of categories.

    `levels` are those seen often enough, by falling frequency; `means` (levels + 2, outputs) are
    the target means of "missing", "other" and each level, empty unless encoded so.
    """

    name: str
    encoding: str
    levels: tuple[str, ...]
    has_missing: bool
    has_other: bool
    means: Matrix

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of `transform`."""
        if self.encoding == "ordinal":
            return [self.name]
        if self.encoding == "target":
            return [f"{self.name} tells {i}" for i in range(self.means.shape[1])]
        if self.encoding == "hash":
            return [f"{self.name} #{i}" for i in range(_BUCKETS)]
        extra = ["missing"] * self.has_missing + ["other"] * self.has_other
        return [f"{self.name} = {level}" for level in [*self.levels, *extra]]

    def transform(self, words: "pd.Series[Any]") -> Matrix:
        """Features (rows, features) of words as `words_of` gives them."""
        if self.encoding == "hash":
            return _hashed(words)
        codes = self.codes(words)
        if self.encoding == "target":
            return np.asarray(self.means[codes + 2])
        if self.encoding == "ordinal":
            # Missing is NaN no longer: not every model may see one.
            places = np.where(codes == _OTHER, len(self.levels), codes)
            places = np.where(codes == _MISSING, len(self.levels) + 1, places)
            return places[:, None].astype(np.float64)
        columns = [codes[:, None] == np.arange(len(self.levels))]
        columns += [codes[:, None] == _MISSING] * self.has_missing
        columns += [codes[:, None] == _OTHER] * self.has_other
        return np.hstack(columns).astype(np.float64)

    def codes(self, words: "pd.Series[Any]") -> NDArray[np.int64]:
        """The place of each row's level; -1 where it is none of them, -2 where it is missing."""
        found = pd.Index(self.levels, dtype=object).get_indexer(pd.Index(words, dtype=object))
        return np.where(words.isna().to_numpy(), _MISSING, found).astype(np.int64)

    def to_state(self) -> State:
        """As plain data and arrays; `from_state` reads it back."""
        data = {name: value for name, value in vars(self).items() if name != "means"}
        return State(data | {"levels": list(self.levels)}, {"means": self.means})

    @staticmethod
    def from_state(state: State) -> "Category":
        """What `to_state` wrote."""
        own = state.data | {"levels": tuple(state.data["levels"])}
        return Category(**own, means=np.asarray(state.arrays["means"], dtype=np.float64))


def words_of(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Each value as a word, None where it is missing; 1 and 1.0 are the same word, "1"."""
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    spelled = np.array([*(_word(value) for value in uniques), None], dtype=object)
    return pd.Series(spelled[codes], dtype=object)


def fit_category(
    words: "pd.Series[Any]",
    targets: Matrix,
    name: str,
    *,
    encoding: str,
    rare: int = 1,
    rng: np.random.Generator,
) -> Encoded:
    """Learns the levels of a column.

    The features of the fitting rows differ from `transform` in one encoding: by targets, where
    each row's level is judged by rows of other folds, so that no row tells its own target.

    Arguments:
        words: of the column, as `words_of` gives them.
        targets: (rows, outputs); classes one-hot, the first left out where there are two.
        encoding: one of `ENCODINGS`.
        rare: a level of fewer rows is joined with "other".
    """
    counts = words.value_counts()
    often = counts[counts >= max(1, rare)]
    # Ties in frequency go by name, so that the order of rows does not matter.
    levels = tuple(str(level) for level in sorted(often.index, key=lambda k: (-often[k], k)))
    if encoding == "onehot" and len(levels) > _MOST_LEVELS:
        encoding = "target"
    missing, other = bool(words.isna().any()), len(levels) < len(counts)
    empty = np.zeros((0, targets.shape[1]))
    fitted = Category(name, encoding, levels, missing, other, empty)
    if encoding != "target":
        return Encoded(fitted, fitted.transform(words))
    codes = fitted.codes(words) + 2
    size = len(levels) + 2
    features = np.empty((len(words), targets.shape[1]))
    folds = rng.permutation(np.arange(len(words)) % _FOLDS)
    for fold in range(min(_FOLDS, len(words))):
        rest = folds != fold
        features[~rest] = _means(codes[rest], targets[rest], size)[codes[~rest]]
    whole = Category(name, encoding, levels, missing, other, _means(codes, targets, size))
    return Encoded(whole, features)


def _means(codes: NDArray[np.int64], targets: Matrix, size: int) -> Matrix:
    """Mean target of each code, drawn to the overall mean where rows are few."""
    prior = targets.mean(0) if len(targets) else np.zeros(targets.shape[1])
    counts = np.bincount(codes, minlength=size)[:, None]
    columns = [np.bincount(codes, weights=column, minlength=size) for column in targets.T]
    return np.asarray((np.stack(columns, 1) + _STRENGTH * prior) / (counts + _STRENGTH))


def _hashed(words: "pd.Series[Any]") -> Matrix:
    codes, uniques = pd.factorize(words, use_na_sentinel=True)
    places = np.array([zlib.crc32(str(word).encode()) % _BUCKETS for word in uniques] + [-1])
    return np.asarray(places[codes][:, None] == np.arange(_BUCKETS), dtype=np.float64)


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
