"""Columns of free text as a few numbers: hashed character n-grams, weighted and projected."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metawright.lazy import load
from metawright.models.tables.state import State

__all__ = ["Text", "fit_text"]

_BUCKETS = 4096
_NGRAMS = (2, 4)


@dataclass(frozen=True)
class Text:
    """A fitted column of texts.

    `weights` (buckets,) is how telling each hashed n-gram is (inverse document frequency),
    `directions` (components, buckets) what the weighted counts are projected on (the largest
    singular values: latent semantic analysis).

    References:
        Indexing by Latent Semantic Analysis, Deerwester et al., 1990,
        https://doi.org/10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9
    """

    name: str
    weights: NDArray[np.float64]
    directions: NDArray[np.float32]

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of `transform`."""
        parts = [f"{self.name} topic {i}" for i in range(len(self.directions))]
        return [*parts, f"{self.name} letters", f"{self.name} words"]

    def transform(self, words: Sequence[str | None]) -> NDArray[np.float64]:
        """Features (rows, components + 2): the last two are logarithms of letters and words."""
        texts = [word or "" for word in words]
        topics = _weighted(_counts(texts), self.weights) @ self.directions.T.astype(np.float64)
        sizes = np.log1p([[len(text), len(text.split())] for text in texts]).reshape(-1, 2)
        return np.hstack([topics, sizes])

    def to_state(self) -> State:
        """As plain data and arrays; `from_state` reads it back."""
        return State({"name": self.name}, {"weights": self.weights, "directions": self.directions})

    @staticmethod
    def from_state(state: State) -> "Text":
        """What `to_state` wrote."""
        return Text(**state.data, **state.arrays)  # type: ignore[arg-type]


def fit_text(words: Sequence[str | None], name: str, *, components: int, seed: int) -> Text:
    """Learns the weights and directions of a column.

    Arguments:
        components: topics at most; fewer where there are fewer rows.
    """
    counts = _counts([word or "" for word in words])
    rows = counts.shape[0]
    present = np.asarray((counts > 0).sum(0)).ravel()
    weights = np.log((1 + rows) / (1 + present)) + 1
    size = min(components, rows - 1)
    if size < 1 or not present.any():
        return Text(name, weights, np.zeros((0, _BUCKETS), dtype=np.float32))
    svd = load("sklearn.decomposition:TruncatedSVD")(size, random_state=seed)
    svd.fit(_weighted(counts, weights))
    # Unit deviation, so that a topic weighs as much as a number.
    spread = np.sqrt(np.maximum(svd.explained_variance_, 1e-12))[:, None]
    return Text(name, weights, (svd.components_ / spread).astype(np.float32))


def _counts(texts: Sequence[str]) -> Any:
    """Sparse (rows, buckets)."""
    vectoriser = load("sklearn.feature_extraction.text:HashingVectorizer")(
        analyzer="char_wb",
        ngram_range=_NGRAMS,
        n_features=_BUCKETS,
        alternate_sign=False,
        norm=None,
    )
    return vectoriser.transform(texts)


def _weighted(counts: Any, weights: NDArray[np.float64]) -> Any:
    """Damped counts times weights, each row of length 1."""
    damped = counts.copy()
    damped.data = np.log1p(damped.data)
    weighted = damped.multiply(weights[None]).tocsr()
    return load("sklearn.preprocessing:normalize")(weighted)
