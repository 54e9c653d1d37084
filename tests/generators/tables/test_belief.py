"""What earlier tasks let one believe of a new one."""

import numpy as np
import pytest

from metawright.generators.tables.belief import Belief, Settings


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
        assert belief.of([place]).expected.argmin() == best
    assert abs(belief.of(None).mean[0]) < 0.2, "with no profile, the mean of all"


def test_a_trial_speaks_for_designs_that_went_along_with_it() -> None:
    belief = Belief(*two_worlds())
    unknown = belief.of(None)
    found = unknown.given([0], [-1.0])
    assert found.expected[2] < -0.9 and found.expected[1] > 0.5
    assert found.spread[0] < 0.5 * unknown.spread[0]


def test_gain_is_what_a_design_is_expected_to_add() -> None:
    belief = Belief(*two_worlds())
    found = belief.of([-1.0]).given([0], [-1.0])
    gains = found.gain(-1.0)
    assert gains.argmax() == 2 and gains[2] == pytest.approx(0.5, abs=0.1)
    assert (gains >= 0).all() and gains[1] < 0.01 and gains[0] < 0.1


def test_gaps_are_filled_by_what_the_other_designs_say() -> None:
    worths, profiles = two_worlds()
    holes = worths.copy()
    holes[::3, 2] = np.nan
    filled = Belief(holes, profiles).worths
    assert np.abs(filled[::3, 2] - worths[::3, 2]).max() < 0.4
    np.testing.assert_array_equal(filled[1::3], worths[1::3])


def test_many_tasks_of_one_family_do_not_drown_the_others() -> None:
    worths = np.array([[0.0, 1.0]] * 30 + [[1.0, 0.0]])
    profiles = np.zeros((31, 1))
    equal = Belief(worths, profiles).of(None).mean
    fair = Belief(worths, profiles, weights=np.array([1 / 30] * 30 + [1.0])).of(None).mean
    assert equal[0] < 0.1 and fair[0] == pytest.approx(0.5)


def test_the_share_of_cases_moves_from_one_view_to_the_other() -> None:
    worths, profiles = two_worlds()
    views = [Belief(worths, profiles, settings=Settings(cases=c)).of([0.0]) for c in (0, 1, 0.5)]
    gauss, cases, both = (view.gain(0.0) for view in views)
    np.testing.assert_allclose(both, (gauss + cases) / 2)
    assert np.abs(gauss - cases).max() > 0.01
