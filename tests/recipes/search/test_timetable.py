"""The ends of the stages, by hand."""

import pytest

from metawright.engine.budget import Budget, Clock
from metawright.recipes.search.asked import Limits
from metawright.recipes.search.timetable import Timetable


@pytest.mark.parametrize(
    ("cut", "before", "ends"),
    [
        (True, 0.0, (60, 70, 80)),
        (False, 0.0, (75, 87, 100)),
        (True, 50.0, (80, 85, 90)),  # the stages of a resumed search share what is left
        (False, 120.0, (120, 120, 120)),
    ],
)
def test_stages_share_the_time_that_is_left(
    cut: bool, before: float, ends: tuple[float, ...]
) -> None:
    limits = Limits(seconds=100.0)
    table = Timetable(limits, Clock(Budget(100.0), started=7.0), before, cut)
    clocks = [table.until(stage) for stage in ("explored", "varied", "repeated")]
    assert [clock.budget.seconds for clock in clocks] == pytest.approx(list(ends))
    assert {clock.started for clock in clocks} == {7.0}


def test_without_a_time_only_trials_count() -> None:
    table = Timetable(Limits(trials=9), Clock(Budget(trials=9)), 3.0, False)
    assert table.until("explored").budget == Budget(trials=9)
