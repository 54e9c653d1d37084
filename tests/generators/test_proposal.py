"""The proposal model on experience that is made up, so that what it should find is known."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from metawright.errors import InputError
from metawright.generators.profile import PROFILE
from metawright.generators.proposal import (
    Experience,
    ProposalModel,
    combine,
    evidence_share,
    fit_proposal_model,
)
from metawright.rng import stream
from metawright.spaces import Choice, Design, Real, Record
from metawright.spaces.draw import sample

SPACE = Record({"width": Choice((16, 32)), "share": Real(0.0, 1.0)})


def made_up(
    truth: Callable[[Design, np.ndarray], float],
    *,
    tasks: int = 40,
    noise: float = 0.0,
    measured_noise: float = 0.05,
    bias: float = 0.0,
    single: bool = False,
    judged: int = 25,
) -> list[Experience]:
    """Experience in which the true accuracy of a design on a task is `truth` (and noise)."""
    rng = stream(0, "made up")

    def normal(size: int) -> np.ndarray:
        return torch.randn(size, generator=rng, dtype=torch.float64).numpy()

    found = []
    for _ in range(tasks):
        designs = [sample(SPACE, rng) for _ in range(12)]
        profile = normal(len(PROFILE))
        profile[1] = 0.0 if single else 2.0
        true = np.array([truth(design, profile) for design in designs]) + noise * normal(12)
        true = true + 0.1 * normal(1)  # some tasks are easy
        measured = true + bias + measured_noise * normal(12)
        found.append(Experience(profile, designs, true, measured, judged))
    return found


def preference(design: Design, profile: np.ndarray) -> float:
    return 0.7 + 0.1 * float(design["width"] == 32) - 0.2 * float(design["share"])


def reversal(design: Design, profile: np.ndarray) -> float:
    """Which share is best hangs on the task."""
    return 0.7 + 0.2 * float(design["share"]) * float(profile[4])


def expected(
    truth: Callable[[Design, np.ndarray], float], designs: list[Design], profile: np.ndarray
) -> np.ndarray:
    values = np.array([truth(design, profile) for design in designs])
    return np.asarray(values - values.mean())


@pytest.mark.parametrize("truth", [preference, reversal])
def test_a_linear_preference_is_recovered(
    truth: Callable[[Design, np.ndarray], float],
) -> None:
    model = fit_proposal_model(SPACE, made_up(truth))
    rng = stream(1)
    for _ in range(3):
        designs = [sample(SPACE, rng) for _ in range(20)]
        profile = torch.randn(len(PROFILE), generator=rng, dtype=torch.float64)
        profile[1] = 2.0
        found = model.predict(profile, designs)
        assert_allclose(found - found.mean(), expected(truth, designs, profile.numpy()), atol=0.02)
    assert model.explained > 0.95 and model.spread < 0.02
    assert (model.tasks, model.trials) == (40, 480)


def test_nothing_to_learn_explains_nothing() -> None:
    """Errors are measured on tasks left out, so noise is not taken for knowledge."""
    tried = made_up(lambda design, profile: 0.7, noise=0.1, tasks=10)
    model = fit_proposal_model(SPACE, tried)
    assert model.explained < 0.1
    assert 0.08 < model.spread < 0.12  # the noise itself, less the mean of twelve


def test_errors_are_those_on_left_out_tasks() -> None:
    """A model that may learn each task by heart would report no error at all."""
    noisy = made_up(preference, noise=0.1)
    model = fit_proposal_model(SPACE, noisy)
    assert 0.08 < model.spread < 0.12
    assert 0.15 < model.explained < 0.75  # the preference has variance 0.006, the noise 0.01


@pytest.mark.parametrize("single", [False, True])
def test_noise_and_bias_are_measured(single: bool) -> None:
    tried = made_up(preference, measured_noise=0.06, bias=0.15, single=single, judged=25)
    model = fit_proposal_model(SPACE, tried)
    own, other = (model.single_noise, model.noise), (model.single_bias, model.bias)
    if not single:
        own, other = own[::-1], other[::-1]
    # 0.06 on 25 judged examples is 0.3 on one; a mean over twelve designs takes a bit of it.
    assert own[0] == pytest.approx(0.3, rel=0.1) and own[1] == 1.0
    assert other[0] == pytest.approx(0.15, abs=0.01) and other[1] == 0.0
    assert model.noise_of(100, single=single) == pytest.approx(own[0] / 10)
    assert model.noise_of(0, single=single) == pytest.approx(own[0])


def model_with(**numbers: float) -> ProposalModel:
    known = dict.fromkeys(
        ("spread", "noise", "single_noise", "bias", "single_bias", "level_noise",
         "single_level_noise", "explained"), 0.0
    ) | numbers  # fmt: skip
    zero = torch.zeros(1)
    return ProposalModel(SPACE, zero, zero, zero, **known, tasks=1, trials=1)


def test_an_honest_accuracy() -> None:
    model = model_with(
        bias=0.1, single_bias=0.3, level_noise=0.5, single_level_noise=1.0, spread=0.0
    )
    middle, low, high = model.honest(0.8, 25, single=False)
    assert (middle, low, high) == pytest.approx((0.7, 0.7 - 0.196, 0.7 + 0.196))
    assert model.honest(0.8, 25, single=True)[0] == pytest.approx(0.5)
    assert model.honest(0.05, 25, single=False)[:2] == (0.0, 0.0)
    assert model_with(bias=-0.3).honest(0.9, 9, single=False) == (1.0, 1.0, 1.0)
    wide = model_with(spread=0.1).honest(0.5, 10**9, single=False)
    assert wide == pytest.approx((0.5, 0.304, 0.696)), "the spread stays however much is judged"


def test_the_limits_of_prior_and_evidence() -> None:
    predicted, measured = np.array([0.3, 0.1, -0.1]), np.array([0.6, 0.9, 0.75])
    prior = combine(predicted, measured, spread=0.1, noise=1e9)
    assert_allclose(prior, 0.75 + predicted - 0.1, atol=1e-9)
    assert_allclose(combine(predicted, measured, spread=0.1, noise=0.0), measured)
    half = combine(predicted, measured, spread=0.2, noise=0.2)
    assert_allclose(half, (prior + measured) / 2, atol=1e-9)


def test_the_state_is_plain_and_whole() -> None:
    model = fit_proposal_model(SPACE, made_up(preference, tasks=10))
    tensors, numbers = model.state()
    again = ProposalModel.from_state(SPACE, tensors, json.loads(json.dumps(numbers)))
    assert again.state()[1] == numbers
    rng = stream(2)
    designs = [sample(SPACE, rng) for _ in range(5)]
    profile = torch.randn(len(PROFILE), generator=rng, dtype=torch.float64)
    assert_allclose(again.predict(profile, designs), model.predict(profile, designs))


def test_too_little_experience() -> None:
    with pytest.raises(InputError, match="experience on at least 10 tasks, but got 9: raise"):
        fit_proposal_model(SPACE, made_up(preference, tasks=9))


def test_where_nothing_claims_an_error_the_evidence_counts() -> None:
    assert evidence_share(0.0, 0.0) == 1.0 and evidence_share(0.3, 0.4) == pytest.approx(0.36)
    measured = np.array([0.2, 0.6])
    np.testing.assert_allclose(
        combine(np.array([0.5, 0.1]), measured, spread=0.0, noise=0.0), measured
    )
