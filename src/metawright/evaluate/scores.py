"""How good answers are, by name."""

import math

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from metawright.errors import MetawrightError
from metawright.lazy import load
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["area_under_curve", "balanced_accuracy", "scores_of"]


def scores_of(answers: Tensor, labels: Tensor, spec: TaskSpec) -> dict[str, float]:
    """`accuracy` and `log_loss` of logits; `r2` and `rmse` of numbers.

    `r2` is the share of the variance that is explained, the mean over targets that vary; `rmse`
    is over all of them.

    Arguments:
        answers: (examples, outputs); labels: (examples,) classes or (examples, *targets).

    Raises:
        MetawrightError: an answer is infinite or not a number.
    """
    broken = int((~answers.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise MetawrightError(
            f"{broken} of {len(answers)} answers of the trained model are not finite: lower the "
            "learning rate."
        )
    if spec.kind is Kind.CLASSIFICATION:
        right = float((answers.argmax(1) == labels).double().mean())
        return {"accuracy": right, "log_loss": float(F.cross_entropy(answers.double(), labels))}
    targets = labels.reshape(len(labels), -1).double()
    errors = (answers.reshape(targets.shape).double() - targets).square().mean(0)
    variance = targets.var(0, correction=0)
    varying = variance > 0
    explained = (1 - errors[varying] / variance[varying]).mean()
    scores = {"rmse": math.sqrt(float(errors.mean()))}
    return scores | ({"r2": float(explained)} if bool(varying.any()) else {})


def balanced_accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean over the classes that occur of the share of their examples that is found.

    Arguments:
        probabilities: (examples, classes); labels: (examples,).
    """
    right = probabilities.argmax(1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def area_under_curve(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> float | None:
    """How often an example of a class has a higher probability of it than one of the others (equal
    ones count half): the area under the ROC curve, the mean over classes; None where only one
    class occurs.

    References:
        The Meaning and Use of the Area under a ROC Curve, Hanley and McNeil, 1982,
        https://doi.org/10.1148/radiology.143.1.7063747
    """
    present = np.unique(labels)
    if len(present) < 2:
        return None
    asked = [1] if probabilities.shape[1] == 2 else present
    return float(np.mean([_area(probabilities[:, c], labels == c) for c in asked]))


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """By the ranks of the positives (Mann-Whitney)."""
    ranks = load("scipy.stats:rankdata")(scores)[positive]
    count = len(ranks)
    below = ranks.sum() - count * (count + 1) / 2
    return float(below / (count * (len(scores) - count)))
