"""Fits and judges classical pipelines on a task."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metawright.errors import MetawrightError
from metawright.evaluate.evaluator import Evaluation
from metawright.evaluate.scores import scores_of
from metawright.models.classical import numbers_held, pipeline
from metawright.rng import integer, stream
from metawright.spaces.design import Design
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

__all__ = ["as_table", "judge_pipeline"]

_SMALLEST = 1e-6  # probability of a class, so that no answer is infinitely wrong


def judge_pipeline(task: Task, design: Design, *, fidelity: float, seed: int) -> Evaluation:
    """Fits the pipeline of a design on the support's flattened features, judges it on the query.

    A fidelity below 1 is the share of the support that it learns from (one example of each class
    at least). Models without probabilities (ridge, SVM) give them by the softmax of their margins.

    Raises:
        MetawrightError: scikit-learn refuses the numbers, such as a class with one example only.
    """
    spec, rng = task.spec, stream(seed, "pipeline")
    support = _share(task.support, spec, fidelity, rng)
    x, y = as_table(support.x, spec), support.labels.cpu().numpy()
    regression = spec.kind is Kind.REGRESSION
    estimator = pipeline(
        design,
        regression=regression,
        examples=len(x),
        features=x.shape[1],
        seed=integer(rng),
    )
    targets = y.reshape(len(y), -1).squeeze(1) if regression and y[0].size == 1 else y
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            estimator.fit(x, targets)
            answers = _answers(estimator, as_table(task.query.x, spec), spec)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise MetawrightError(f"The pipeline cannot be fitted: {error}") from error
    scores = scores_of(answers, task.query.labels.cpu(), spec)
    held = float(numbers_held(estimator))
    evidence: dict[str, Any] = {"fidelity": fidelity, "examples": len(x)}
    if told:
        evidence["warnings"] = sorted({str(warning.message).split("\n")[0] for warning in told})
    return Evaluation(scores, {"parameters": held, "bytes": 8 * held}, evidence)


def as_table(x: Tensor, spec: TaskSpec) -> NDArray[np.float64]:
    """Examples as rows of numbers (examples, features); a text is the count of each token."""
    if spec.vocabulary:
        counts = torch.zeros(len(x), spec.vocabulary, dtype=torch.float64)
        counts.scatter_add_(1, x.cpu(), torch.ones(x.shape, dtype=torch.float64))
        return np.asarray(counts[:, 1:].numpy())
    return np.asarray(x.flatten(1).double().cpu().numpy())


def _share(support: Batch, spec: TaskSpec, fidelity: float, rng: torch.Generator) -> Batch:
    if fidelity == 1:
        return support
    order = torch.randperm(len(support.x), generator=rng)
    wanted = max(2, math.ceil(fidelity * len(order)))
    if spec.kind is Kind.CLASSIFICATION:
        labels = support.labels[order]
        firsts = [
            int((labels == label).nonzero()[0])
            for label in range(spec.outputs)
            if bool((labels == label).any())
        ]
        rest = sorted(set(range(len(order))) - set(firsts))
        rows = order[(firsts + rest)[: max(wanted, len(firsts))]]
    else:
        rows = order[:wanted]
    return Batch(support.x[rows], support.labels[rows])


def _answers(estimator: Any, x: NDArray[np.float64], spec: TaskSpec) -> Tensor:
    """Logits (examples, classes), or targets as they are."""
    if spec.kind is Kind.REGRESSION:
        return torch.from_numpy(
            np.asarray(estimator.predict(x), dtype=np.float64).reshape(len(x), -1)
        )
    if hasattr(estimator, "predict_proba"):
        logits = np.log(np.clip(estimator.predict_proba(x), _SMALLEST, None))
    else:
        margins = np.asarray(estimator.decision_function(x), dtype=np.float64)
        # Two classes have one margin: that of the second.
        logits = np.stack([-margins, margins], 1) / 2 if margins.ndim == 1 else margins
    full = np.full((len(x), spec.outputs), math.log(_SMALLEST))
    full[:, np.asarray(estimator.classes_, dtype=np.int64)] = logits
    return torch.from_numpy(full)
