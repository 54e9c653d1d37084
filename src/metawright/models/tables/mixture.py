"""How the answers of several pipelines become one: their weighted mean, read at a temperature."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

__all__ = ["calibrated", "mixed"]

Matrix = NDArray[np.float64]

_SMALLEST = 1e-12  # probability in the logarithm


def mixed(predictions: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """The weighted mean of predictions (rows, outputs)."""
    used = [(w, p) for w, p in zip(weights, predictions, strict=True) if w > 0]
    return np.asarray(sum(w * p for w, p in used))


def calibrated(probabilities: Matrix, temperature: float) -> Matrix:
    r"""Probabilities (rows, classes) at a temperature: flatter above 1, sharper below.

    $$q_k = p_k^{1/t} / \sum_j p_j^{1/t}$$
    """
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    return np.asarray(softmax(logits, axis=1))
