"""Which examples the statistics of normalisation come from, as an explicit policy.

A layer that normalises calls `normalise`. What that does depends on the pass that is being made
(`normalising`): statistics of the batch at hand, as long as nothing else is said; statistics that
are given; and in both cases those of the batch may be recorded. So the same network serves every
policy, and none of them is hidden in a training mode.

The fused layer is used without scale and shift, which the callers apply by hand: the second
derivative of the affine one is wrong under `torch.func.vmap` (pytorch/functorch#534).
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = [
    "AdaptableNorm",
    "MOMENTUM",
    "Given",
    "Key",
    "Moments",
    "Normalised",
    "Policy",
    "Seen",
    "check_policy",
    "normalise",
    "normalising",
    "observed",
    "seen_by",
    "with_policy",
]

Policy = Literal["transductive", "support", "per-step", "running"]
"""Where statistics come from when a query is predicted.

`transductive`: from the batch at hand, queries included, as in the papers of MAML and Reptile.
`support`: from the support under the weights at hand, so that no query depends on another.
`per-step`: running averages over meta-training, one set for each number of inner steps made.
`running`: running averages over meta-training, one set for all.
"""

Key = tuple[nn.Module, int]
"""A layer: the module that normalises, and which of its normalisations."""

_EPSILON = 1e-5
MOMENTUM = 0.1


class Moments(NamedTuple):
    """Mean and variance of each channel, (channels,), over so many `values`; the variance is the
    mean square. Where tasks lie side by side as channels: (tasks * channels,)."""

    mean: Tensor
    variance: Tensor
    values: int


Given = Mapping[Key, Sequence[Moments]]
"""Statistics to normalise with: those of a layer's first call, second call ...; the last of them
also for all further calls."""

Seen = dict[Key, list[Moments]]
"""Statistics of the batches that layers saw, in the order of their calls."""


@dataclass
class _Pass:
    """One pass through a network: what it is given, what it records, what was called so far."""

    given: Given | None
    seen: Seen | None
    detached: bool
    calls: dict[Key, int] = field(default_factory=dict)


@dataclass
class _Open:
    """How many passes are being made in all threads. `torch.compile` can watch this number, and
    cannot read a `ContextVar`: compiled networks stay whole where nothing is given or recorded."""

    passes: int = 0


_PASS: ContextVar[_Pass | None] = ContextVar("pass through a network", default=None)
_OPEN = _Open()
_LOCK = threading.Lock()


def normalising(
    *, given: Given | None = None, seen: Seen | None = None, detached: bool = False
) -> AbstractContextManager[None]:
    """A pass through a network within which `normalise` uses `given` and records into `seen`.

    Arguments:
        given: statistics to use; None for those of the batch at hand.
        seen: where to put the statistics of the batches at hand.
        detached: whether they are recorded as constants.
    """
    return nullcontext() if given is None and seen is None else _pass(given, seen, detached)


def observed() -> bool:
    """Whether a pass may be given statistics or record them: then layers must call `normalise`,
    else they may normalise with the batch at hand in a faster way of their own."""
    return _OPEN.passes > 0


@contextmanager
def _pass(given: Given | None, seen: Seen | None, detached: bool) -> Iterator[None]:
    token = _PASS.set(_Pass(given, seen, detached))
    with _LOCK:
        _OPEN.passes += 1
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.passes -= 1
        _PASS.reset(token)


def normalise(x: Tensor, layer: nn.Module, index: int = 0, *, epsilon: float = _EPSILON) -> Tensor:
    """`x` (examples, channels, *positions) brought to mean 0 and variance 1 in every channel.

    Arguments:
        x: what a layer sees; channels may be those of several tasks side by side.
        layer: the module that normalises; `index`: which of its normalisations.
        epsilon: added to the variance.

    Raises:
        ValueError: statistics are given, but none for this layer.
    """
    now = _PASS.get() if _OPEN.passes else None
    if now is None:
        # The function of torch, not that of torch.nn.functional: for one value per channel (a
        # single example at 1x1) it gives zero where the other raises.
        cudnn = torch.backends.cudnn.enabled
        return torch.batch_norm(x, None, None, None, None, True, MOMENTUM, epsilon, cudnn)
    key = (layer, index)
    moments = _moments(x) if now.given is None or now.seen is not None else None
    if moments is not None and now.seen is not None:
        kept = _constant(moments) if now.detached else moments
        now.seen.setdefault(key, []).append(kept)
    if now.given is not None:
        moments = _given(now, now.given, key)
    assert moments is not None
    mean, variance = (_across(x, value) for value in (moments.mean, moments.variance))
    return (x - mean) * torch.rsqrt(variance + epsilon)


def _given(now: _Pass, given: Given, key: Key) -> Moments:
    if key not in given:
        raise ValueError(
            f"Statistics are given, but none for a {type(key[0]).__name__}: the network must pass "
            "through the same layers for the support and for a query."
        )
    call = now.calls.get(key, 0)
    now.calls[key] = call + 1
    return given[key][min(call, len(given[key]) - 1)]


def _moments(x: Tensor) -> Moments:
    axes = [axis for axis in range(x.dim()) if axis != 1]
    variance, mean = torch.var_mean(x, axes, correction=0)
    return Moments(mean, variance, x.numel() // x.shape[1])


def _constant(moments: Moments) -> Moments:
    return Moments(moments.mean.detach(), moments.variance.detach(), moments.values)


def _across(x: Tensor, value: Tensor) -> Tensor:
    """A value per channel, as `x` needs it; repeated where the channels of `x` are those of
    several tasks and the statistics belong to all of them."""
    if len(value) != x.shape[1]:
        value = value.repeat(x.shape[1] // len(value))
    return value.to(x.dtype).view(-1, *[1] * (x.dim() - 2))


class AdaptableNorm(nn.Module):
    """Batch normalisation that follows the policy of the pass: in the place of `nn.BatchNorm*d`.

    It has no training mode, and no forward pass changes it.

    Arguments:
        channels: size of axis 1 of the input.
        epsilon: added to the variance.
        affine: whether scale and shift are learned, as `weight` and `bias` (names of torch).
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, channels: int, *, epsilon: float = _EPSILON, affine: bool = True) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.register_parameter("weight", nn.Parameter(torch.ones(channels)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(channels)) if affine else None)
        # Where running averages start: those of a network that was trained before.
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @property
    def normalised(self) -> tuple[int, ...]:
        """See `Normalised`."""
        return (len(self.get_buffer("running_mean")),)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, *positions), the same shape."""
        x = normalise(x, self, epsilon=self.epsilon)
        if self.weight is None or self.bias is None:
            return x
        shape = (-1, *[1] * (x.dim() - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


@runtime_checkable
class Normalised(Protocol):
    """A module that calls `normalise`."""

    @property
    def normalised(self) -> tuple[int, ...]:
        """The channels of its normalisations 0, 1, ..."""
        ...


_REPLACED: tuple[type[nn.Module], ...] = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
)


def with_policy(module: nn.Module) -> nn.Module:
    """The module with every `nn.BatchNorm*d` replaced by `AdaptableNorm`.

    A module without any is returned as it is. Else the result is a copy that holds the very same
    parameters: training it trains the module that was given. Names stay as they were.

    Example:
        >>> from torch import nn
        >>> from metawright.models.normalisation import with_policy
        >>> with_policy(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): AdaptableNorm()
        )
    """
    if not any(type(part) in _REPLACED for part in module.modules()):
        return module
    shared = {id(value): value for value in module.parameters()}
    found = copy.deepcopy(module, shared)
    return _replaced(found, {})


def _replaced(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """The module with its parts replaced in place; a part that stands twice stays one."""
    if module not in done:
        done[module] = _adaptable(module) if type(module) in _REPLACED else module
        for name, part in module._modules.items():
            if part is not None:
                module._modules[name] = _replaced(part, done)
    return done[module]


def _adaptable(norm: nn.Module) -> AdaptableNorm:
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    found = AdaptableNorm(norm.num_features, epsilon=norm.eps, affine=False)
    found.weight, found.bias = norm.weight, norm.bias
    if norm.running_mean is not None and norm.running_var is not None:
        found.register_buffer("running_mean", norm.running_mean)
        found.register_buffer("running_var", norm.running_var)
    elif norm.weight is not None:
        found.to(norm.weight)
    return found


def check_policy(policy: str) -> None:
    """Raises `ValueError` for a name that is no `Policy`."""
    if policy not in get_args(Policy):
        raise ValueError(f"`normalisation` must be one of {get_args(Policy)}, but got {policy!r}.")


def seen_by(run: Callable[[], object], *, detached: bool = False) -> Seen:
    """The statistics of the batches that layers see while `run` is called."""
    seen: Seen = {}
    with normalising(seen=seen, detached=detached):
        run()
    return seen
