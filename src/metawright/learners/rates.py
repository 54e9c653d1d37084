"""Inner learning rates that are learned together with the start of adaptation."""

from collections.abc import Mapping
from typing import Literal, get_args

from torch import Tensor, nn

from metawright.training.optimisers import Rate

__all__ = ["LearnedRates", "RateKind", "rates_of"]

RateKind = Literal["fixed", "per-entry", "per-step"]
"""`fixed`: one number for all. `per-entry`: one for every entry of every weight (Meta-SGD).
`per-step`: one for every tensor of weights and every inner step (MAML++)."""


class LearnedRates:
    """Inner rates as parameters, all `lr` at first.

    Arguments:
        kind: "per-entry" or "per-step".
        params: the weights that are adapted.
        lr: the first value. Meta-SGD draws it from 0.005 .. 0.1 once for all entries; rates may
            become negative, as there.
        steps: inner steps in training; further ones take the rate of the last.

    References:
        Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, Li, Zhou, Chen and Li, 2017,
        https://arxiv.org/abs/1707.09835
        How to train your MAML, Antoniou, Edwards and Storkey, 2018,
        https://arxiv.org/abs/1810.09502
    """

    def __init__(
        self, kind: RateKind, params: Mapping[str, Tensor], *, lr: float, steps: int
    ) -> None:
        self.kind, self.steps = kind, steps
        self.parameters = {
            name: nn.Parameter(
                value.new_full(value.shape if kind == "per-entry" else (steps,), lr)
            )
            for name, value in params.items()
        }

    def at(self, step: int) -> Rate:
        """The rates of inner step 0, 1, ..., by name of the weight."""
        if self.kind == "per-entry":
            return self.parameters
        row = min(step, self.steps - 1)
        return {name: value[row] for name, value in self.parameters.items()}


def rates_of(
    kind: RateKind, params: Mapping[str, Tensor], *, lr: float, steps: int
) -> LearnedRates | None:
    """The rates of a kind; None for "fixed", which learns none.

    Raises:
        ValueError: no such kind.
    """
    if kind not in get_args(RateKind):
        raise ValueError(f"`rates` must be one of {get_args(RateKind)}, but got {kind!r}.")
    return None if kind == "fixed" else LearnedRates(kind, params, lr=lr, steps=steps)
