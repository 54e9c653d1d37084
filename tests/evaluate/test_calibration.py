"""Calibration against closed forms and against draws from the distributions themselves."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.testing import assert_close

from metawright.evaluate.calibration import (
    Hold,
    calibration_error,
    class_log_loss,
    coverage,
    hypotheses_held,
    interval,
    log_loss,
    reliability,
)
from metawright.rng import stream


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def _log_density(mean: Tensor, spread: Tensor, value: Tensor) -> Tensor:
    density: Tensor = Normal(mean, spread).log_prob(value)  # type: ignore[no-untyped-call]
    return density


def test_log_loss_of_classes() -> None:
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    expected = -(math.log(0.25) + math.log(0.8)) / 2
    assert class_log_loss(probabilities, torch.tensor([2, 1])) == pytest.approx(expected)
    assert math.isfinite(class_log_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1])))


def test_calibration_error_by_hand() -> None:
    confidence = torch.tensor([0.55, 0.6, 0.62, 0.95, 1.0], dtype=torch.float64)
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    labels = torch.tensor([0, 1, 0, 0, 1])
    bins = reliability(probabilities, labels, bins=5)
    # 0.6 is the upper end of the third bin and belongs to it.
    assert bins.count.tolist() == [0, 0, 2, 1, 2]
    assert_close(bins.confidence, torch.tensor([0, 0, 0.575, 0.62, 0.975]).double())
    assert_close(bins.accuracy, torch.tensor([0, 0, 0.5, 1, 0.5]).double())
    expected = (2 * 0.075 + 1 * 0.38 + 2 * 0.475) / 5
    assert calibration_error(probabilities, labels, bins=5) == pytest.approx(expected, abs=1e-6)


def test_labels_drawn_from_the_probabilities_are_calibrated() -> None:
    probabilities = (2 * _normal(40_000, 3)).softmax(-1)
    labels = torch.multinomial(probabilities, 1, generator=stream(1))[:, 0]
    assert calibration_error(probabilities, labels) < 0.01
    assert calibration_error(probabilities.pow(3).softmax(-1), labels) > 0.1


def test_log_loss_of_one_normal_and_of_a_mixture() -> None:
    answers, noise = _normal(7, 2), torch.tensor([0.5, 2.0], dtype=torch.float64)
    samples = _normal(2, 7, 2, seed=1)
    each = torch.stack([_log_density(samples[m], noise[m], answers).sum(-1) for m in (0, 1)])
    one = log_loss(samples[:1], noise[:1], answers)
    assert one == pytest.approx(-float(each[0].mean()))
    expected = -float(each.exp().mean(0).log().mean())
    assert log_loss(samples, noise, answers) == pytest.approx(expected)


def test_interval_of_one_normal_is_its_own() -> None:
    samples, noise = _normal(1, 5, 1), torch.tensor([0.7], dtype=torch.float64)
    low, high = interval(samples, noise, level=0.9)
    assert_close(low, samples[0] - 1.6448536269514722 * 0.7)
    assert_close(high, samples[0] + 1.6448536269514722 * 0.7)


def test_interval_of_two_far_peaks_leaves_a_twentieth_beyond_each() -> None:
    samples = torch.tensor([[[-100.0]], [[100.0]]], dtype=torch.float64)
    low, high = interval(samples, torch.ones(2, dtype=torch.float64), level=0.9)
    tenth = -1.2815515655446004
    assert float(low) == pytest.approx(-100 + tenth)
    assert float(high) == pytest.approx(100 - tenth)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_answers_drawn_from_the_mixture_are_covered_as_promised(level: float) -> None:
    samples, noise = 2 * _normal(4, 20_000, 1), _normal(4, seed=1).exp()
    rng = stream(2)
    member = torch.randint(4, (20_000,), generator=rng)
    draws = _normal(20_000, 1, seed=3) * noise[member][:, None]
    answers = samples[member, torch.arange(20_000)] + draws
    assert coverage(samples, noise, answers, level=level) == pytest.approx(level, abs=0.01)
    low, high = interval(samples[:, :500], noise, level=level)
    inside = ((answers[:500] >= low) & (answers[:500] <= high)).double().mean()
    assert coverage(samples[:, :500], noise, answers[:500], level=level) == float(inside)


def test_hypotheses_held() -> None:
    # Two hypotheses that contradict each other on four queries; particles 0 and 1 hold the first,
    # particle 2 the second.
    labels = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    sure = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]).double().log()
    first = sure.expand(2, 4, 2)
    other = first.flip(-1)
    found = hypotheses_held(torch.stack([first, first, other]), labels)
    right, wrong = 0.9**4, 0.1**4
    losses = [math.log((2 * right + wrong) / 3) / 4, math.log((right + 2 * wrong) / 3) / 4]
    assert found == Hold(1.0, 2, found.log_loss)
    assert found.log_loss == pytest.approx(-sum(losses) / 2)
    alone = hypotheses_held(first[None], labels)
    assert (alone.accuracy, alone.held) == (1.0, 1)
    assert alone.log_loss > found.log_loss


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"`bins >= 1` must hold, but got 0"):
        reliability(torch.ones(1, 2) / 2, torch.tensor([0]), bins=0)
    with pytest.raises(ValueError, match=r"`probabilities` must be \(examples, ways\)"):
        class_log_loss(torch.ones(2, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"`samples` must be \(particles, \*answers.shape\)"):
        coverage(torch.ones(2, 3, 1), torch.ones(3), torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"`0 < level < 1` must hold, but got 1.5"):
        interval(torch.ones(2, 3, 1), torch.ones(2), level=1.5)
    with pytest.raises(ValueError, match=r"`log_probabilities` must be"):
        hypotheses_held(torch.ones(2, 3, 4, 2), torch.zeros(2, 4))
