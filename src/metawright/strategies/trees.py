"""A forest of random trees as a surrogate; apart, because scikit-learn loads for a second."""

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor

from metawright import rng as streams
from metawright.strategies.surrogate import Vectors

__all__ = ["TreeEnsemble"]


class TreeEnsemble:
    """Extremely randomised trees; their disagreement is the deviation.

    Arguments:
        trees: how many.

    References:
        Extremely Randomized Trees, Geurts, Ernst and Wehenkel, 2006,
        https://doi.org/10.1007/s10994-006-6226-1
    """

    def __init__(self, trees: int = 60) -> None:
        self.trees = trees

    def fit(self, vectors: Vectors, worths: Vectors, rng: torch.Generator) -> None:
        """Grows the trees to single designs."""
        seed = streams.integer(rng, 2**31)
        # A third of the entries a split: trees that look at all of them agree too much.
        self._forest = ExtraTreesRegressor(self.trees, max_features=0.33, random_state=seed)
        self._forest.fit(vectors, worths)

    def predict(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Mean and deviation over the trees."""
        single = np.stack([tree.predict(vectors) for tree in self._forest.estimators_])
        return single.mean(0), single.std(0) + 1e-6
