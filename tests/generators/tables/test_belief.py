"""What earlier tasks let one believe of a new one."""

import numpy as np
import pytest

from metawright.generators.tables.belief import Belief


def two_worlds(tasks: int = 40, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Worths of four designs where a profile's sign says which of the first two is good, and the
    third goes with the first."""
    rng = np.random.default_rng(0)
    profiles = np.repeat([[-1.0], [1.0]], tasks // 2, axis=0) + 0.1 * rng.normal(size=(tasks, 1))
    side = np.sign(profiles[:, 0])
    worths = np.stack([side, -side, side - 0.5, np.full(tasks, 0.2)], 1)
    return worths + noise * rng.normal(size=worths.shape), profiles


def test_a_profile_says_which_design_is_good() -> None:
    belief = Belief(*two_worlds())
    for place, best in ((-1.0, 2), (1.0, 1)):
        assert belief.of([place]).losses.argmin() == best
    assert abs(np.log(belief.of(None).losses[3]) - 0.2) < 0.1, "the mean of all"


def test_a_trial_says_which_earlier_tasks_are_like_this_one() -> None:
    belief = Belief(*two_worlds())
    unknown = belief.of(None)
    found = unknown.given([0], [-1.0])
    assert found.weights[:20].sum() > 0.95 > 0.55 > unknown.weights[:20].sum()
    assert unknown.given([], []) is unknown


def test_gain_is_what_a_design_adds_to_those_that_were_tried() -> None:
    belief = Belief(*two_worlds())
    found = belief.of([-1.0]).given([0], [-1.0])
    gains = found.gain()
    assert gains.argmax() == 2 and gains[2] == pytest.approx(0.5, abs=0.1)
    assert gains[0] == 0 and (gains >= 0).all() and gains[1] < 0.01
    assert found.given([0, 2], [-1.0, -1.5]).gain().max() < 0.05, "nothing is left to gain"
    assert belief.of([1.0]).gain().argmax() == 1, "before any trial, the best expected"


def test_gains_do_not_hang_on_how_hard_a_task_is() -> None:
    worths, profiles = two_worlds()
    levels = np.linspace(-1, 1, len(worths))[:, None]
    plain = Belief(worths, profiles).of(None).given([3], [0.2]).gain()
    shifted = Belief(worths + levels, profiles).of(None).given([3], [0.2]).gain()
    np.testing.assert_allclose(plain, shifted, atol=0.2)


def test_gaps_are_filled_by_what_the_other_designs_say() -> None:
    worths, profiles = two_worlds()
    holes = worths.copy()
    holes[::3, 2] = np.nan
    filled = Belief(holes, profiles).worths
    assert np.abs(filled[::3, 2] - worths[::3, 2]).max() < 0.4
    np.testing.assert_array_equal(filled[1::3], worths[1::3])


def test_only_tasks_that_tried_a_design_say_what_it_gains() -> None:
    worths, profiles = two_worlds()
    worths[:, 3] = np.nan
    worths[0, 3] = -3.0
    found = Belief(worths, profiles).of([-1.0]).given([0], [-1.0])
    assert found.gain()[3] > 1.0, "one task tried it, and gained much"
    assert 0 < found.gain()[3] < -3.0 + 1.0 + 4.0


def test_many_tasks_of_one_family_do_not_drown_the_others() -> None:
    worths = np.array([[0.0, 1.0]] * 30 + [[1.0, 0.0]])
    profiles = np.zeros((31, 1))
    equal = Belief(worths, profiles).of(None).weights
    fair = Belief(worths, profiles, weights=np.array([1 / 30] * 30 + [1.0]))
    last = fair.of(None).weights[-1]
    assert equal[-1] < 0.1 and last == pytest.approx(0.5)
