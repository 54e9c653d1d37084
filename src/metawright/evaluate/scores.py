"""How good answers are, by name."""

import math

import torch.nn.functional as F
from torch import Tensor

from metawright.errors import MetawrightError
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["scores_of"]


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
