"""The proposal model: which designs will do well on a task, learned from experience.

Accuracy of a design relative to the mean design of the same task is predicted by ridge regression
on the design's encoding, products of its entries, and products with the task's profile. The level
of the task itself does not matter for the choice and is left out by centring each task.
What the model cannot know about a task is later corrected by evidence from its support: `combine`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metawright.errors import InputError
from metawright.params import Params
from metawright.spaces import Design, Space, encode

__all__ = ["Experience", "ProposalModel", "combine", "evidence_share", "fit_proposal_model"]

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_FOLDS = 5
_TENSORS = ("weights", "means", "scales")
_NUMBERS = (
    "spread",
    "noise",
    "single_noise",
    "bias",
    "single_bias",
    "level_noise",
    "single_level_noise",
    "tasks",
    "trials",
    "explained",
)


class Experience(NamedTuple):
    """What was tried on one task: its profile, the designs, their true and measured accuracy.

    `truth` is the accuracy on queries, `measured` what the support alone said of the same design,
    `judged` on how many examples.
    """

    profile: NDArray[np.float64]
    designs: Sequence[Design]
    truth: NDArray[np.float64]
    measured: NDArray[np.float64]
    judged: int


@dataclass(frozen=True)
class ProposalModel:
    """A fitted proposal model.

    Arguments:
        space: the space of the designs.
        weights: of the ridge regression, (inputs,).
        means, scales: of the profile, (profile,).
        spread: standard deviation of a design's true relative accuracy around the prediction, on
            tasks that were left out.
        noise: standard deviation of the measured relative accuracy around the true one, for one
            judged example; falls with the root of their number.
        single_noise: the same where classes have one example (judged on distorted copies).
        bias: mean of measured minus true accuracy of a task; level_noise: its standard deviation
            for one judged example; single_bias, single_level_noise: with one example a class.
        tasks, trials: how much experience it was fitted on.
        explained: share of the variance between designs that it predicts on left-out tasks.
    """

    space: Space
    weights: Tensor
    means: Tensor
    scales: Tensor
    spread: float
    noise: float
    single_noise: float
    bias: float
    single_bias: float
    level_noise: float
    single_level_noise: float
    tasks: int
    trials: int
    explained: float

    def predict(self, profile: Tensor, designs: Sequence[Design]) -> NDArray[np.float64]:
        """Accuracy of each design, relative to the mean design of the task: (designs,)."""
        task = ((profile - self.means) / self.scales).numpy()
        inputs = _inputs(self.space, designs, task)
        return np.asarray(inputs @ self.weights.numpy(), np.float64)

    def noise_of(self, judged: int, *, single: bool) -> float:
        """Standard deviation of a measured relative accuracy on `judged` examples."""
        return float((self.single_noise if single else self.noise) / max(judged, 1) ** 0.5)

    def honest(self, accuracy: float, judged: int, *, single: bool) -> tuple[float, float, float]:
        """An accuracy estimated on the support alone, as it would be on new examples.

        Returns:
            The accuracy without the bias that experience saw, and a 95 % interval as wide as the
            gaps that experience saw between what a support said and what was true.
        """
        bias = self.single_bias if single else self.bias
        level = self.single_level_noise if single else self.level_noise
        half = 1.96 * (level**2 / max(judged, 1) + self.spread**2) ** 0.5
        middle = min(max(accuracy - bias, 0.0), 1.0)
        return middle, max(middle - half, 0.0), min(middle + half, 1.0)

    def state(self) -> tuple[Params, dict[str, Any]]:
        """Tensors and plain numbers; `from_state` reads them back."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return tensors, numbers

    @staticmethod
    def from_state(
        space: Space, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
    ) -> "ProposalModel":
        """The model that `state` wrote."""
        weights, means, scales = (tensors[name].double() for name in _TENSORS)
        return ProposalModel(space, weights, means, scales, **numbers)


def combine(
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    *,
    spread: float,
    noise: float,
) -> NDArray[np.float64]:
    """Prior and evidence together: an estimate of each tried design's accuracy.

    Both are relative to their means over the designs tried; the share of the evidence is
    `spread**2 / (spread**2 + noise**2)`. The mean of the measurements is added back.

    Arguments:
        predicted, measured: (designs,) from the proposal model and from the support.
        spread, noise: their standard deviations around the truth.
    """
    share = evidence_share(spread, noise)
    prior = predicted - predicted.mean()
    evidence = measured - measured.mean()
    return np.asarray(measured.mean() + prior + share * (evidence - prior), np.float64)


def evidence_share(spread: float, noise: float) -> float:
    """How much the evidence counts against the prior, 0 to 1; all where both claim no error."""
    total = spread**2 + noise**2
    return spread**2 / total if total > 0 else 1.0


def fit_proposal_model(space: Space, experience: Sequence[Experience]) -> ProposalModel:
    """Fits the model; its penalty is chosen, and its errors are measured, on left-out tasks.

    Raises:
        InputError: fewer than `2 * 5` tasks.
    """
    if len(experience) < 2 * _FOLDS:
        raise InputError(
            f"A proposal model needs experience on at least {2 * _FOLDS} tasks, but got "
            f"{len(experience)}: raise the number of tasks."
        )
    profiles = np.stack([task.profile for task in experience])
    means, scales = profiles.mean(0), profiles.std(0).clip(1e-3)
    blocks = [_inputs(space, task.designs, (task.profile - means) / scales) for task in experience]
    inputs = [block - block.mean(0) for block in blocks]
    targets = [task.truth - task.truth.mean() for task in experience]
    errors = {penalty: _left_out(inputs, targets, penalty) for penalty in PENALTIES}
    penalty = min(errors, key=lambda p: float(np.mean(np.concatenate(errors[p]) ** 2)))
    residuals = np.concatenate(errors[penalty])
    weights = _ridge(np.concatenate(inputs), np.concatenate(targets), penalty)
    variance = float(np.mean(np.concatenate(targets) ** 2))
    return ProposalModel(
        space,
        torch.from_numpy(weights),
        torch.from_numpy(means),
        torch.from_numpy(scales),
        spread=float(residuals.std()),
        noise=_noise(experience, single=False),
        single_noise=_noise(experience, single=True),
        bias=_bias(experience, single=False),
        single_bias=_bias(experience, single=True),
        level_noise=_level_noise(experience, single=False),
        single_level_noise=_level_noise(experience, single=True),
        tasks=len(experience),
        trials=sum(len(task.designs) for task in experience),
        explained=1 - float(np.mean(residuals**2)) / max(variance, 1e-12),
    )


def _inputs(
    space: Space, designs: Sequence[Design], task: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(designs, inputs): encoding, activity, their products, and products with the profile."""
    rows = []
    for design in designs:
        values, active = encode(space, design)
        row = np.concatenate([values, values**2, active.astype(np.float64)])
        pairs = np.outer(values, values)[np.triu_indices(len(values), 1)]
        rows.append(np.concatenate([row, 0.5 * pairs, np.outer(task, values).ravel()]))
    return np.stack(rows)


def _ridge(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Weights (inputs,), in the dual form: there are fewer trials than inputs."""
    gram = inputs @ inputs.T + penalty * np.eye(len(inputs))
    return np.asarray(inputs.T @ np.linalg.solve(gram, targets), np.float64)


def _left_out(
    inputs: Sequence[NDArray[np.float64]], targets: Sequence[NDArray[np.float64]], penalty: float
) -> list[NDArray[np.float64]]:
    """Errors on each task of a model that was fitted without it (tasks in five groups)."""
    errors: list[NDArray[np.float64]] = []
    for group in range(_FOLDS):
        kept = [i for i in range(len(inputs)) if i % _FOLDS != group]
        weights = _ridge(
            np.concatenate([inputs[i] for i in kept]),
            np.concatenate([targets[i] for i in kept]),
            penalty,
        )
        errors += [targets[i] - inputs[i] @ weights for i in range(group, len(inputs), _FOLDS)]
    return errors


def _of_kind(experience: Sequence[Experience], single: bool) -> list[Experience]:
    """The tasks whose classes have one example, or the others."""
    return [task for task in experience if bool(np.exp(task.profile[1]) < 1.5) == single]


def _noise(experience: Sequence[Experience], *, single: bool) -> float:
    """Root mean square of (measured - true) relative accuracy, scaled to one judged example."""
    squares = []
    for task in _of_kind(experience, single):
        gap = (task.measured - task.measured.mean()) - (task.truth - task.truth.mean())
        squares.append(float(np.mean(gap**2)) * task.judged)
    return float(np.mean(squares)) ** 0.5 if squares else 1.0


def _bias(experience: Sequence[Experience], *, single: bool) -> float:
    """Mean of measured minus true accuracy."""
    gaps = [float(t.measured.mean() - t.truth.mean()) for t in _of_kind(experience, single)]
    return float(np.mean(gaps)) if gaps else 0.0


def _level_noise(experience: Sequence[Experience], *, single: bool) -> float:
    """Standard deviation of that gap between tasks, scaled to one judged example."""
    bias = _bias(experience, single=single)
    squares = [
        (float(task.measured.mean() - task.truth.mean()) - bias) ** 2 * task.judged
        for task in _of_kind(experience, single)
    ]
    return float(np.mean(squares)) ** 0.5 if squares else 1.0
