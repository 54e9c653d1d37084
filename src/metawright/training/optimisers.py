"""Optimisers as pure functions: weights, gradients and a state in, new ones out.

The formulas and defaults are those of `torch.optim`. Every step can be differentiated, twice too:
where a square root stands under a zero, its infinite slope is left out, so that weights with a
zero gradient (a dead unit, an unused row) give no NaN (metaopt/torchopt#26).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from metawright.params import Params, map_params

__all__ = [
    "INNER_OPTIMISERS",
    "SGD",
    "Adam",
    "InnerOptimiser",
    "Momentum",
    "RMSprop",
    "Rate",
    "State",
    "rate_of",
]

Rate = float | Tensor | Mapping[str, Tensor]
"""A learning rate: one for all, or by name of the weight, of its shape or one number."""


@dataclass(frozen=True)
class State:
    """What an optimiser remembers: averages by what they average, and how many steps it made."""

    moments: Mapping[str, Params] = field(default_factory=dict)
    steps: int = 0


class InnerOptimiser(Protocol):
    """A rule for steps, without memory of its own."""

    def init(self, params: Mapping[str, Tensor]) -> State:
        """The state before the first step."""
        ...

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """Weights and state after one step."""
        ...


@dataclass(frozen=True)
class SGD:
    r"""$w \leftarrow w - lr \, g$."""

    def init(self, params: Mapping[str, Tensor]) -> State:
        """Nothing to remember."""
        return State()

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """One step along the gradient."""
        return _moved(params, grads, lr), state


@dataclass(frozen=True)
class Momentum:
    r"""$v \leftarrow m v + g$ and $w \leftarrow w - lr \, v$; with Nesterov, $w - lr (g + m v)$.

    Arguments:
        momentum: $m$.
        nesterov: look ahead by one step.

    Raises:
        ValueError: `momentum` is not in 0..1.
    """

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check_share("momentum", self.momentum)

    def init(self, params: Mapping[str, Tensor]) -> State:
        """No velocity."""
        return State({"velocity": map_params(torch.zeros_like, params)})

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """One step along the velocity."""
        before = state.moments["velocity"]
        velocity = {name: self.momentum * before[name] + grad for name, grad in grads.items()}
        along: Mapping[str, Tensor] = velocity
        if self.nesterov:
            along = {name: grad + self.momentum * velocity[name] for name, grad in grads.items()}
        return _moved(params, along, lr), State({"velocity": velocity}, state.steps + 1)


@dataclass(frozen=True)
class Adam:
    """Adam without weight decay.

    Arguments:
        betas: decay of the mean and of the mean square.
        epsilon: added to the root.

    References:
        Adam: A Method for Stochastic Optimization, Kingma and Ba, 2014,
        https://arxiv.org/abs/1412.6980
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for beta in self.betas:
            _check_share("betas", beta)

    def init(self, params: Mapping[str, Tensor]) -> State:
        """No mean and no mean square."""
        zeros = map_params(torch.zeros_like, params)
        return State({"mean": zeros, "square": zeros})

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """One step along the mean over the root of the mean square, both without their bias."""
        (first, second), steps = self.betas, state.steps + 1
        mean = _averaged(state.moments["mean"], grads, first)
        square = _averaged(state.moments["square"], map_params(torch.square, grads), second)
        along = {
            name: (value / (1 - first**steps))
            / (_safe_root(square[name] / (1 - second**steps)) + self.epsilon)
            for name, value in mean.items()
        }
        return _moved(params, along, lr), State({"mean": mean, "square": square}, steps)


@dataclass(frozen=True)
class RMSprop:
    """RMSprop without momentum and without centring.

    Arguments:
        decay: of the mean square.
        epsilon: added to the root.

    References:
        Lecture 6.5 of Neural Networks for Machine Learning, Tieleman and Hinton, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_share("decay", self.decay)

    def init(self, params: Mapping[str, Tensor]) -> State:
        """No mean square."""
        return State({"square": map_params(torch.zeros_like, params)})

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """One step along the gradient over the root of the mean square."""
        square = _averaged(state.moments["square"], map_params(torch.square, grads), self.decay)
        along = {
            name: grad / (_safe_root(square[name]) + self.epsilon) for name, grad in grads.items()
        }
        return _moved(params, along, lr), State({"square": square}, state.steps + 1)


def rate_of(lr: Rate, name: str) -> float | Tensor:
    """The learning rate of one weight."""
    return lr[name] if isinstance(lr, Mapping) else lr


def _moved(params: Mapping[str, Tensor], along: Mapping[str, Tensor], lr: Rate) -> Params:
    if isinstance(lr, float | int):  # one pass over memory instead of two
        return {name: torch.sub(value, along[name], alpha=lr) for name, value in params.items()}
    return {name: value - rate_of(lr, name) * along[name] for name, value in params.items()}


def _averaged(before: Params, values: Mapping[str, Tensor], decay: float) -> Params:
    return {name: decay * before[name] + (1 - decay) * value for name, value in values.items()}


def _safe_root(square: Tensor) -> Tensor:
    """The square root; its derivative at zero is zero instead of infinity.

    Two selections, because one alone multiplies infinity by zero on the way back.
    """
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"`0 <= {name} < 1` must hold, but got {value}.")


INNER_OPTIMISERS: Mapping[str, Callable[[], InnerOptimiser]] = {
    "adam": Adam,
    "momentum": Momentum,
    "nesterov": lambda: Momentum(nesterov=True),
    "rmsprop": RMSprop,
    "sgd": SGD,
}
