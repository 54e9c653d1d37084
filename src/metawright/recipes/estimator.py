"""A scikit-learn style classifier of images that is generated for its data."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from metawright.engine.budget import Budget, parse_duration
from metawright.errors import InputError
from metawright.generators.bundle import load_bundle
from metawright.recipes.data import array_task, images_of
from metawright.recipes.generate import generate_model

__all__ = ["MetaClassifier"]

_BATCH = 256


class MetaClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies images from a few labelled examples; `fit` generates the model.

    Images are (examples, height, width), (examples, channels, height, width), or (examples,
    pixels) with a square number of pixels; any numbers, brought to 0..1 by the range of `fit`'s.

    Arguments:
        budget: how long `fit` may take, such as "10s".
        trials: how many designs to try, instead of a time; makes `fit` repeatable.
        bundle: folder of a meta-trained bundle (default: the one that is shipped).
        seed: of all designs.

    After `fit`: `classes_`, `module_` (a plain `nn.Module`), `generated_` (answer, trials, why).

    Example:
        >>> from metawright import MetaClassifier
        >>> from sklearn.datasets import load_digits
        >>> images, labels = load_digits(return_X_y=True)
        >>> model = MetaClassifier(trials=1).fit(images[:100], labels[:100])
        >>> bool(model.score(images[100:300], labels[100:300]) > 0.8)
        True
    """

    def __init__(
        self,
        *,
        budget: str = "10s",
        trials: int | None = None,
        bundle: Path | str | None = None,
        seed: int = 0,
    ) -> None:
        self.budget, self.trials, self.bundle, self.seed = budget, trials, bundle, seed

    def fit(self, X: Any, y: Any) -> "MetaClassifier":
        """Generates a model for images `X` with labels `y` (examples,).

        Raises:
            InputError: wrong shapes, fewer than two classes, numbers that are not finite.
        """
        limit = (
            Budget(trials=self.trials)
            if self.trials is not None
            else Budget(seconds=parse_duration(self.budget, name="`budget`"))
        )
        array = np.asarray(X, np.float64)
        if not array.size or not np.isfinite(array).all():
            raise InputError("`X` must hold images of finite numbers.")
        self.scale_ = (float(array.min()), float(array.max()))
        task = array_task(array, y, scale=self.scale_)
        self.classes_ = np.unique(np.asarray(y))
        self.shape_ = array.shape[1:]
        self.n_features_in_ = int(np.prod(self.shape_))
        self.generated_ = generate_model(task, load_bundle(self.bundle), limit, seed=self.seed)
        self.module_ = self.generated_.module
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each image: (examples,)."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    @torch.no_grad()
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities (examples, classes), columns as in `classes_`."""
        check_is_fitted(self)
        array = np.asarray(X, np.float64)
        if array.shape[1:] != self.shape_:
            raise InputError(
                f"`X` must hold examples of shape {self.shape_} as in `fit`, but got "
                f"{array.shape[1:]}."
            )
        size = self.generated_.spec.features[-1]
        parts = []
        for part in torch.split(images_of(array, scale=self.scale_), _BATCH):
            sized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
            parts.append(F.softmax(self.module_(sized), 1).double())
        probabilities = torch.cat(parts)
        return np.asarray((probabilities / probabilities.sum(1, keepdim=True)).numpy())
