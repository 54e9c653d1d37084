"""What ordinary classifiers reach on the bare pixels of a task: the floor for anything learned.

Pixels are taken as they come, in 0..1. To standardise each pixel instead costs 3 to 10 points of
accuracy with few examples (on the digits and on MNIST), for it blows up the pixels of the border.
"""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from metawright.tasks.task import Batch, Kind, Task

__all__ = ["BASELINES", "baselines"]

BASELINES: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "logistic regression": lambda: LogisticRegression(max_iter=2000),
        "1-nearest neighbour": lambda: KNeighborsClassifier(1),
        "SVM": lambda: SVC(C=10, gamma="scale"),
    }
)
"""Scikit-learn classifiers by name; the two with settings are good ones for few images."""


def baselines(task: Task) -> dict[str, float]:
    """Accuracy of each of `BASELINES`, fitted to the support, on the query.

    Give the task at its images' own size: a baseline is not helped by pixels made up in resizing.

    Raises:
        ValueError: the task is no classification, or a batch is empty or has no labels.

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.tasks import Digits, Split
        >>> sorted(baselines(Digits(shots=1, queries=2).draw(Split.TEST, stream(0))))
        ['1-nearest neighbour', 'SVM', 'logistic regression']
    """
    if task.spec.kind is not Kind.CLASSIFICATION:
        raise ValueError(f"Baselines need a classification task, but got {task.spec.kind}.")
    pixels, labels = _arrays(task.support, "support")
    judged, truth = _arrays(task.query, "query")
    scores = {}
    for name, make in BASELINES.items():
        if (labels == labels[0]).all():
            predicted = np.full_like(truth, labels[0])  # scikit-learn refuses to fit one class
        else:
            model = make()
            with warnings.catch_warnings():
                # Not fully converged, it is the same classifier to within a few answers.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(pixels, labels)
            predicted = model.predict(judged)
        scores[name] = float(np.mean(predicted == truth))
    return scores


def _arrays(batch: Batch, side: str) -> tuple[np.ndarray, np.ndarray]:
    if not len(batch.x):
        raise ValueError(f"The {side} of the task is empty, but baselines need examples in it.")
    return batch.x.flatten(1).cpu().double().numpy(), batch.labels.cpu().numpy()
