"""How long predicting takes on this machine, measured or predicted from measurements."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metawright.errors import InputError
from metawright.evaluate.evaluating import evaluating
from metawright.lazy import load
from metawright.spaces.design import Design
from metawright.spaces.encoding import encode
from metawright.spaces.space import Space

__all__ = ["Latency", "LatencyPredictor", "latency", "one_thread", "rank_correlation"]


class Latency(NamedTuple):
    """Seconds an example: the median over the repeats, and the middle half of them."""

    median: float
    low: float
    high: float


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch, so that figures compare whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def latency(
    predict: nn.Module | Callable[[Tensor], Any],
    examples: Tensor,
    *,
    repeats: int = 30,
    warmup: int = 5,
    seconds: float = 1.0,
) -> Latency:
    """Seconds that predicting one of `examples` takes, all at once, on one thread.

    Arguments:
        predict: a module (asked in evaluation mode and left as it was) or a function.
        examples: (examples, *features); one of them is the latency of a request, many are the
            share of each in a batch.
        repeats: measurements, at least 3.
        warmup: calls before, which are not measured.
        seconds: after so long no further measurement begins, but three are made.
    """
    if repeats < 3 or warmup < 0:
        raise InputError(
            "`repeats >= 3` and `warmup >= 0` must hold, but got "
            f"(repeats={repeats}, warmup={warmup})."
        )
    asked = evaluating(predict) if isinstance(predict, nn.Module) else nullcontext()
    times: list[float] = []
    with asked, one_thread(), torch.inference_mode():
        for _ in range(warmup):
            predict(examples)
        began = time.perf_counter()
        while len(times) < repeats and (len(times) < 3 or time.perf_counter() - began < seconds):
            start = time.perf_counter()
            predict(examples)
            times.append((time.perf_counter() - start) / len(examples))
    low, median, high = statistics.quantiles(times, n=4)
    return Latency(median, low, high)


@final
class LatencyPredictor:
    """Tells the latency of designs from that of a few hundred others.

    Latency is nearly a sum over the parts of a network, so it is a ridge regression on the
    encoding, the pairs of its entries, and what else is known of a design (FLOPs, parameters). The
    penalty, and whether pairs and logarithms help, are chosen by cross-validation.

    Arguments:
        space: of the designs.
        folds: of the cross-validation.

    Example:
        >>> from metawright.evaluate.latency import LatencyPredictor
        >>> from metawright.spaces import Choice, Integer, Record, grid
        >>> space = Record({"depth": Integer(1, 8), "kind": Choice(("slow", "fast"))})
        >>> designs = list(grid(space))
        >>> seconds = [1e-3 * (1 + d["depth"] * (1 + (d["kind"] == "slow"))) for d in designs]
        >>> predictor = LatencyPredictor(space).fit(designs[::2] + designs[1::4], (
        ...     seconds[::2] + seconds[1::4]))
        >>> predictor.correlation > 0.9
        True
    """

    def __init__(self, space: Space, *, folds: int = 5) -> None:
        if folds < 2:
            raise InputError(f"`folds >= 2` must hold, but got (folds={folds}).")
        self.space, self.folds = space, folds
        self.correlation = float("nan")
        self._model: _Ridge | None = None

    def fit(
        self,
        designs: Sequence[Design],
        seconds: Sequence[float],
        known: Sequence[Mapping[str, float]] | None = None,
    ) -> "LatencyPredictor":
        """Learns from measured designs; `correlation` is then the rank correlation (Spearman) of
        what cross-validation predicted for them.

        Arguments:
            known: of each design, such as {"flops": 2e6, "parameters": 1e4}; the same names as in
                `predict`.

        Raises:
            InputError: fewer than two designs a fold, or a latency that is not above zero.
        """
        if len(designs) < 2 * self.folds or len(designs) != len(seconds):
            raise InputError(
                f"A latency predictor needs {2 * self.folds} measured designs or more, but got "
                f"{len(designs)} designs and {len(seconds)} latencies."
            )
        times = np.array(seconds, dtype=np.float64)
        if not (np.isfinite(times) & (times > 0)).all():
            raise InputError(f"Latencies must be finite and above zero, but got {min(seconds)}.")
        inputs = self._inputs(designs, known)
        order = np.random.default_rng(0).permutation(len(times)) % self.folds
        told = [_cross_validated(inputs, times, order, settings) for settings in _SETTINGS]
        errors = [float(np.mean((guess - times) ** 2)) for guess in told]
        best = errors.index(min(errors))
        self.correlation = rank_correlation(told[best], times)
        self._model = _ridge(inputs, times, _SETTINGS[best])
        return self

    def predict(
        self, designs: Sequence[Design], known: Sequence[Mapping[str, float]] | None = None
    ) -> NDArray[np.float64]:
        """Seconds for each design, (designs,)."""
        if self._model is None:
            raise InputError("A latency predictor must be fitted before it predicts: call `fit`.")
        return self._model(self._inputs(designs, known))

    def _inputs(
        self, designs: Sequence[Design], known: Sequence[Mapping[str, float]] | None
    ) -> NDArray[np.float64]:
        """(designs, entries): the encoding, then the logarithms of what is known."""
        encoded = np.stack([encode(self.space, design)[0] for design in designs])
        if known is None:
            return encoded
        names = sorted(known[0])
        extra = np.log1p([[facts[name] for name in names] for facts in known])
        return np.hstack([encoded, np.asarray(extra, dtype=np.float64)])


class _Settings(NamedTuple):
    pairs: bool
    logarithm: bool
    penalty: float


_SETTINGS = [
    _Settings(pairs, logarithm, penalty)
    for pairs in (False, True)
    for logarithm in (False, True)
    for penalty in (1e-3, 1e-2, 0.1, 1.0, 10.0)
]


class _Ridge(NamedTuple):
    """A fitted ridge regression on standardised inputs."""

    settings: _Settings
    scale: tuple[NDArray[np.float64], NDArray[np.float64]]
    kept: NDArray[np.float64]
    dual: NDArray[np.float64]
    mean: float

    def __call__(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        values = (inputs - self.scale[0]) / self.scale[1]
        told = _kernel(values, self.kept, self.settings) @ self.dual + self.mean
        answer: NDArray[np.float64] = np.exp(told) if self.settings.logarithm else told
        return answer


def _kernel(
    first: NDArray[np.float64], second: NDArray[np.float64], settings: _Settings
) -> NDArray[np.float64]:
    """Inner products; with pairs those of all products of two entries as well."""
    products = first @ second.T / first.shape[1]
    squares: NDArray[np.float64] = (1 + products) ** 2 - 1
    return squares if settings.pairs else products


def _ridge(inputs: NDArray[np.float64], times: NDArray[np.float64], settings: _Settings) -> _Ridge:
    # Solved in its dual form, so that pairs of entries cost nothing.
    targets = np.log(times) if settings.logarithm else times
    centre, spread = inputs.mean(0), inputs.std(0)
    spread[spread < 1e-9] = 1.0
    values = (inputs - centre) / spread
    kernel = _kernel(values, values, settings) + settings.penalty * np.eye(len(values))
    mean = float(targets.mean())
    dual = np.asarray(np.linalg.solve(kernel, targets - mean), dtype=np.float64)
    return _Ridge(settings, (centre, spread), values, dual, mean)


def _cross_validated(
    inputs: NDArray[np.float64],
    times: NDArray[np.float64],
    order: NDArray[np.int_],
    settings: _Settings,
) -> NDArray[np.float64]:
    told = np.empty_like(times)
    for fold in range(int(order.max()) + 1):
        left = order == fold
        told[left] = _ridge(inputs[~left], times[~left], settings)(inputs[left])
    return told


def rank_correlation(first: Sequence[float] | NDArray[Any], second: Any) -> float:
    """Spearman's rank correlation; 0 where one of the two does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(load("scipy.stats:spearmanr")(first, second).statistic)
