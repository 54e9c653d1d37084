"""Whether a learner is as sure as it is right: pure functions of predictions and answers.

For classes: the log loss and the expected calibration error. For numbers, where a prediction is a
mixture of normals (one a particle): the log loss, how often a central interval holds the answer,
and how wide it is. For tasks with several right answers: how many of them the particles hold.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Bins",
    "Hold",
    "calibration_error",
    "class_log_loss",
    "coverage",
    "hypotheses_held",
    "interval",
    "log_loss",
    "reliability",
]


@dataclass(frozen=True)
class Bins:
    """Predictions grouped by confidence, the probability of the class that was predicted.

    Each tensor is (bins,), from the least to the greatest confidence; means are 0 in empty bins.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor


@dataclass(frozen=True)
class Hold:
    """How the particles for one task stand to its several right answers.

    Arguments:
        accuracy: mean over the particles of the accuracy under the hypothesis that each fits best.
        held: how many hypotheses are fitted best by some particle, 1 to all.
        log_loss: negative log of the mean probability over the particles of a hypothesis' whole
            query set, an example; the mean over the hypotheses.
    """

    accuracy: float
    held: int
    log_loss: float


def class_log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Mean of minus the log of the probability of the right class.

    Arguments:
        probabilities: (examples, ways), rows that sum to 1.
        labels: (examples,).
    """
    _check(probabilities, labels)
    right = probabilities.gather(-1, labels[:, None])
    return -float(right.clamp_min(torch.finfo(right.dtype).tiny).log().mean())


def reliability(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> Bins:
    """Accuracy against confidence in `bins` bins of equal width; see `class_log_loss`."""
    _check(probabilities, labels)
    if bins < 1:
        raise ValueError(f"`bins >= 1` must hold, but got {bins}.")
    confidence, guess = probabilities.double().max(-1)
    # Bins are closed above, as in the paper: a confidence of exactly 1 belongs to the last.
    place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    full = count.clamp_min(1)
    right = torch.bincount(place, (guess == labels).double(), minlength=bins)
    return Bins(torch.bincount(place, confidence, minlength=bins) / full, right / full, count)


def calibration_error(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error: mean distance of accuracy and confidence over the bins, each
    weighed by its examples. 0 is calibrated.

    References:
        On Calibration of Modern Neural Networks, Guo, Pleiss, Sun and Weinberger, 2017,
        https://arxiv.org/abs/1706.04599

    Example:
        >>> import torch
        >>> from metawright.evaluate.calibration import calibration_error
        >>> sure = torch.tensor([[0.9, 0.1]] * 4)
        >>> round(calibration_error(sure, torch.tensor([0, 0, 0, 1])), 3)
        0.15
    """
    found = reliability(probabilities, labels, bins=bins)
    gaps = (found.accuracy - found.confidence).abs() * found.count
    return float(gaps.sum() / found.count.sum())


def log_loss(samples: Tensor, noise: Tensor, answers: Tensor) -> float:
    r"""Mean of $-\log \frac1M \sum_m N(y; f_m(x), \sigma_m^2)$ over the examples.

    Arguments:
        samples: (particles, examples, outputs), $f_m(x)$.
        noise: (particles,), $\sigma_m$, standard deviations.
        answers: (examples, outputs); the outputs of an example count together.
    """
    _check_samples(samples, noise, answers)
    spread = noise[:, None, None]
    scaled = ((answers - samples) / spread).square()
    each = -0.5 * (scaled + math.log(2 * math.pi)) - spread.log()
    mixture = each.sum(-1).logsumexp(0) - math.log(len(samples))
    return -float(mixture.mean())


def coverage(samples: Tensor, noise: Tensor, answers: Tensor, *, level: float = 0.9) -> float:
    """Share of the answers (each output by itself) that lie in the central interval of `level`.

    A calibrated prediction has the level itself; see `log_loss` for the arguments.
    """
    _check_samples(samples, noise, answers)
    _check_level(level)
    rank = _rank(samples, noise, answers)
    edge = (1 - level) / 2
    return float(((rank >= edge) & (rank <= 1 - edge)).double().mean())


def interval(samples: Tensor, noise: Tensor, *, level: float = 0.9) -> tuple[Tensor, Tensor]:
    """Low and high end of the central interval of the mixture, (examples, outputs) each.

    Between them lies the share `level`, beyond each of them half of the rest. By bisection, to
    the precision of the numbers; the mean width of the interval is the sharpness of a prediction.
    """
    _check_level(level)
    reach = noise[:, None, None] * 40  # beyond it no share is left, in any dtype
    low, high = (samples - reach).amin(0), (samples + reach).amax(0)
    return (
        _quantile(samples, noise, (1 - level) / 2, low, high),
        _quantile(samples, noise, (1 + level) / 2, low, high),
    )


def hypotheses_held(log_probabilities: Tensor, labels: Tensor) -> Hold:
    """How many right answers of an ambiguous task the particles hold, and how well.

    Each particle is given to the hypothesis whose queries it finds most probable; a learner with
    one answer holds 1.

    Arguments:
        log_probabilities: (particles, hypotheses, queries, ways), log of the probabilities of
            classes, on the queries of each hypothesis.
        labels: (hypotheses, queries).

    References:
        Probabilistic Model-Agnostic Meta-Learning, Finn, Xu and Levine, 2018,
        https://arxiv.org/abs/1806.02817 (section 5: accuracy, coverage and log likelihood)
    """
    if log_probabilities.shape[1:3] != labels.shape:
        raise ValueError(
            "`log_probabilities` must be (particles, *labels.shape, ways), but got "
            f"{tuple(log_probabilities.shape)} for labels {tuple(labels.shape)}."
        )
    many = len(log_probabilities)
    wide = labels.expand(many, *labels.shape)
    fits = log_probabilities.gather(-1, wide[..., None]).squeeze(-1).sum(-1)
    best = fits.argmax(1)
    right = (log_probabilities.argmax(-1) == wide).double().mean(-1)
    mixture = (fits.logsumexp(0) - math.log(many)) / labels.shape[1]
    return Hold(
        float(right[torch.arange(many), best].mean()),
        len(set(best.tolist())),
        -float(mixture.mean()),
    )


def _rank(samples: Tensor, noise: Tensor, answers: Tensor) -> Tensor:
    """Where in the mixture's distribution each answer lies, 0..1."""
    ranks: Tensor = torch.special.ndtr((answers - samples) / noise[:, None, None])
    return ranks.mean(0)


def _quantile(samples: Tensor, noise: Tensor, share: float, low: Tensor, high: Tensor) -> Tensor:
    for _ in range(60):
        middle = (low + high) / 2
        below = _rank(samples, noise, middle) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def _check(probabilities: Tensor, labels: Tensor) -> None:
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            "`probabilities` must be (examples, ways) and `labels` (examples,), at least one, but "
            f"got {tuple(probabilities.shape)} and {tuple(labels.shape)}."
        )


def _check_samples(samples: Tensor, noise: Tensor, answers: Tensor) -> None:
    if samples.shape[1:] != answers.shape or noise.shape != samples.shape[:1]:
        raise ValueError(
            "`samples` must be (particles, *answers.shape) and `noise` (particles,), but got "
            f"{tuple(samples.shape)}, {tuple(noise.shape)} for answers {tuple(answers.shape)}."
        )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"`0 < level < 1` must hold, but got {level}.")
