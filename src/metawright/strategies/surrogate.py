"""Surrogates: cheap models of what a design is worth, with how unsure they are.

Each is fitted to vectors and worths, and predicts a mean and a standard deviation. They differ in
kind: a Gaussian process in closed form, and an ensemble of networks that learn only which of two
designs is better; `trees.py` has a forest of random trees.
"""

from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from metawright import rng as streams

__all__ = ["KernelProcess", "RankingEnsemble", "Surrogate", "Vectors", "normal_ranks"]

Vectors: TypeAlias = NDArray[np.float64]

_SCALES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_NOISES = (0.01, 0.03, 0.1, 0.3)


class Surrogate(Protocol):
    """Predicts the worth of designs from that of others."""

    def fit(self, vectors: Vectors, worths: Vectors, rng: torch.Generator) -> None:
        """Learns from vectors (designs, entries) and worths (designs,), mean 0, variance 1."""
        ...

    def predict(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Mean and standard deviation of the worth, (designs,) each."""
        ...


def normal_ranks(worths: Vectors) -> Vectors:
    """Worths as normal quantiles of their ranks: an outlier weighs no more than its rank says.

    Example:
        >>> import numpy as np
        >>> normal_ranks(np.array([0.1, 93.0, 94.0])).round(2).tolist()
        [-1.22, 0.0, 1.22]
    """
    # Equal worths share the mean of their ranks.
    below = (worths[None] < worths[:, None]).sum(1)
    equal = (worths[None] == worths[:, None]).sum(1)
    ranks: Vectors = ndtri((below + equal / 2) / len(worths))
    spread = float(ranks.std())
    return ranks / spread if spread else ranks


class _Fitted(NamedTuple):
    vectors: Vectors
    scale: float
    variance: float
    axes: Vectors
    weights: Vectors
    spectrum: Vectors


class KernelProcess:
    r"""A Gaussian process with the kernel of squared distances, $k(x, y) = \exp(-|x - y|^2 / s)$.

    The scale $s$ and the share of noise are those with the largest marginal likelihood on a grid,
    the variance has a closed form.

    References:
        Gaussian Processes for Machine Learning, Rasmussen and Williams, 2006, chapter 5,
        http://gaussianprocess.org/gpml/
    """

    def __init__(self) -> None:
        self._fitted: _Fitted | None = None

    def fit(self, vectors: Vectors, worths: Vectors, rng: torch.Generator) -> None:
        """Takes the scale and noise of the largest marginal likelihood."""
        del rng  # nothing is drawn
        distances, best = _distances(vectors, vectors), -np.inf
        for scale in _SCALES:
            values, axes = np.linalg.eigh(np.exp(-distances / scale))
            turned = axes.T @ worths
            for noise in _NOISES:
                spectrum = np.maximum(values, 0) + noise
                variance = float(np.mean(turned**2 / spectrum)) + 1e-12
                likelihood = -len(worths) * np.log(variance) - float(np.log(spectrum).sum())
                if likelihood > best:
                    best = likelihood
                    weights = turned / spectrum
                    self._fitted = _Fitted(vectors, scale, variance, axes, weights, spectrum)

    def predict(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """The process's posterior, without the noise."""
        assert self._fitted is not None
        known, scale, variance, axes, weights, spectrum = self._fitted
        turned = np.exp(-_distances(vectors, known) / scale) @ axes
        left = np.maximum(1 - (turned**2 / spectrum).sum(1), 1e-9)
        return turned @ weights, np.sqrt(variance * left)


class RankingEnsemble:
    r"""Networks that learn which of two designs is better; the loss is $\log(1 + e^{f(y) - f(x)})$
    where x is.

    The hidden layer of each is random and only its last layer is fitted, by Newton's method on
    random pairs, which is convex and takes milliseconds. Outputs are brought to unit variance.

    Arguments:
        members: how many networks.
        width: units of the hidden layer.
        decay: weight of the squared norm of the last layer, > 0.

    References:
        Learning to Rank Using Gradient Descent, Burges et al., 2005,
        https://doi.org/10.1145/1102351.1102363
    """

    def __init__(self, members: int = 8, width: int = 48, decay: float = 0.3) -> None:
        self.members, self.width, self.decay = members, width, decay
        self._networks: list[tuple[Vectors, Vectors, Vectors]] = []

    def fit(self, vectors: Vectors, worths: Vectors, rng: torch.Generator) -> None:
        """Draws hidden layers and pairs, and fits the last layers."""
        draw, self._networks = np.random.default_rng(streams.integer(rng, 2**31)), []
        spread = max(float(vectors.std(0).max()), 1e-6)
        for _ in range(self.members):
            hidden = draw.normal(size=(vectors.shape[1], self.width)) / spread
            hidden *= draw.uniform(0.3, 1.5)
            shift = draw.normal(size=self.width)
            units = np.tanh(vectors @ hidden + shift)
            pairs = draw.integers(len(worths), size=(6 * len(worths), 2))
            first, second = pairs[worths[pairs[:, 0]] != worths[pairs[:, 1]]].T
            signs = np.sign(worths[first] - worths[second])[:, None]
            last = self._last((units[first] - units[second]) * signs)
            size = float((units @ last).std()) or 1.0
            self._networks.append((hidden, shift, last / size))

    def predict(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Mean and deviation over the networks."""
        single = np.stack([np.tanh(vectors @ h + s) @ last for h, s, last in self._networks])
        single -= single.mean(1, keepdims=True)
        return single.mean(0), single.std(0) + 1e-6

    def _last(self, differences: Vectors) -> Vectors:
        last: Vectors = np.zeros(differences.shape[1])
        for _ in range(5):
            wrong = expit(-differences @ last)
            slope = differences.T @ wrong - self.decay * last
            bend = (differences * (wrong * (1 - wrong))[:, None]).T @ differences
            last += np.linalg.solve(bend + self.decay * np.eye(len(last)), slope)
        return last


def _distances(first: Vectors, second: Vectors) -> Vectors:
    """Squared distances, (first, second)."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    found: Vectors = np.maximum(squares, 0.0)
    return found
