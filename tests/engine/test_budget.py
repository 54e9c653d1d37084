"""Durations as people write them, and clocks that end on time."""

import math
import re
from collections.abc import Callable

import pytest

from metawright.engine import Budget, Clock, parse_duration
from metawright.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("90", 90),
        ("1m30s", 90),
        ("1m30", 90),
        ("1h 2m 3s", 3723),
        (" 1.5H ", 5400),
        ("0.25", 0.25),
        ("0h1s", 1),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "s", "30x", "5s1m", "1e3", "inf", "nan", "1.2.3", "1,5h", "--5", "-"]
)
def test_nonsense_is_named(text: str) -> None:
    message = f"--budget must be a duration such as 30s, 5m, 1h or 1m30s, but got {text!r}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m0.0s", "-5s", "- 1m"])
def test_zero_and_less_are_named(text: str) -> None:
    message = f"--budget must be more than zero, but got {text!r}; try 30s."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


def test_endless_duration_and_another_flag() -> None:
    with pytest.raises(InputError, match=r"^--pause must be finite"):
        parse_duration("9" * 400, name="--pause")


@pytest.mark.parametrize("seconds", [0, -1.0, math.inf, math.nan])
def test_wrong_seconds(seconds: float) -> None:
    with pytest.raises(InputError, match="`seconds` must be finite and more than zero, but got"):
        Budget(seconds)


def test_wrong_trials_and_no_limit() -> None:
    with pytest.raises(InputError, match="`trials` must be at least 1, but got 0"):
        Budget(trials=0)
    with pytest.raises(InputError, match="`seconds` or `trials` must be given"):
        Budget()


def at(*times: float) -> Callable[[], float]:
    """A clock's `now` that shows these times one after the other."""
    return iter(times).__next__


def test_seconds_run_out() -> None:
    clock = Clock(Budget(seconds=10), started=100, now=at(103, 103, 109.5, 110, 500))
    assert clock.elapsed() == 3
    assert clock.remaining() == 7
    assert not clock.spent(10**6)
    assert clock.spent(0)
    assert clock.remaining() == 0


def test_trials_run_out() -> None:
    clock = Clock(Budget(trials=3), started=0, now=lambda: 1e9)
    assert clock.remaining() == math.inf
    assert [clock.spent(done) for done in (0, 2, 3, 4)] == [False, False, True, True]


def test_whichever_ends_first() -> None:
    late = Clock(Budget(seconds=10, trials=3), started=0, now=lambda: 11)
    soon = Clock(Budget(seconds=10, trials=3), started=0, now=lambda: 1)
    assert late.spent(0)
    assert soon.spent(3)
    assert not soon.spent(2)


def test_eta() -> None:
    def eta(budget: Budget, done: int) -> float | None:
        return Clock(budget, started=0, now=lambda: 4).eta(done)

    assert eta(Budget(seconds=10), 0) == 6
    assert eta(Budget(trials=3), 0) is None
    assert eta(Budget(trials=3), 2) == 2
    assert eta(Budget(trials=3), 5) == 0
    assert eta(Budget(seconds=10, trials=100), 2) == 6
    assert eta(Budget(seconds=100, trials=3), 2) == 2


def test_a_clock_starts_when_it_is_made() -> None:
    clock = Clock(Budget(seconds=60))
    assert 0 <= clock.elapsed() < 30
    assert 30 < clock.remaining() <= 60
