"""The loop of a search with a clock that only moves when a design is tried."""

from collections.abc import Callable, Sequence

import pytest

from metawright.engine.budget import Budget, Clock
from metawright.engine.loop import ask_score_tell
from metawright.errors import MetawrightError
from metawright.spaces import Design
from metawright.store import Trial


class Counting:
    """Proposes design 0, 1, 2, ...; remembers what it was told."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[Trial] = []

    def ask(self, count: int) -> list[Design]:
        self.asked += count
        return [Design({"number": self.asked - count + place}) for place in range(count)]

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told += trials


class Job:
    """A search in which every design takes `seconds`, or what `takes` says."""

    def __init__(
        self,
        budget: Budget,
        *,
        takes: Callable[[int], float] = lambda number: 1.0,
        fails: Callable[[int], bool] = lambda number: False,
        error: Exception | None = None,
    ) -> None:
        self.time, self.takes, self.fails = 0.0, takes, fails
        self.error = error or RuntimeError("singular matrix")
        self.strategy, self.seen = Counting(), list[Trial]()
        self.clock = Clock(budget, started=0.0, now=lambda: self.time)

    def score(self, design: Design) -> Trial:
        number = design["number"]
        self.time += self.takes(number)
        if self.fails(number):
            raise self.error
        return Trial(f"t{number}", "task", design, {"accuracy": 0.5})

    def see(self, trial: Trial) -> None:
        assert self.strategy.told[-1] is trial, "the strategy is told first"
        self.seen.append(trial)

    def run(self, done: int = 0) -> int:
        return ask_score_tell(
            self.strategy,
            self.score,
            clock=self.clock,
            expected_seconds=lambda design: self.takes(design["number"]),
            on_trial=self.see,
            done=done,
            task="task",
            run="run",
        )

    @property
    def numbers(self) -> list[int]:
        return [trial.design["number"] for trial in self.seen]


@pytest.mark.parametrize(("done", "made"), [(0, 3), (2, 1), (3, 0), (9, 0)])
def test_a_budget_of_trials_counts_earlier_ones(done: int, made: int) -> None:
    job = Job(Budget(trials=3))
    assert job.run(done) == done + made
    assert len(job.seen) == len(job.strategy.told) == made


def test_a_budget_of_seconds() -> None:
    job = Job(Budget(seconds=10.5), takes=lambda number: 2.0)
    assert job.run() == 5
    assert job.time == 10.0, "a sixth design would have ended too late"


def test_whichever_ends_first() -> None:
    assert Job(Budget(seconds=2.0, trials=5)).run() == 2
    assert Job(Budget(seconds=9.0, trials=5)).run() == 5


def test_there_is_one_trial_however_small_the_budget() -> None:
    job = Job(Budget(seconds=0.1), takes=lambda number: 60.0)
    assert job.run() == 1
    job = Job(Budget(seconds=0.1), takes=lambda number: 60.0)
    assert job.run(done=1) == 1, "it was made in an earlier session"


def test_designs_that_would_end_too_late_are_passed_over() -> None:
    job = Job(Budget(seconds=5.0), takes=lambda number: 9.0 if number % 3 == 1 else 1.0)
    assert job.run() == 5
    assert job.numbers == [0, 2, 3, 5, 6]


def test_when_nothing_fits_any_more_it_ends() -> None:
    job = Job(Budget(seconds=5.0), takes=lambda number: 1.0 if number < 2 else 9.0)
    assert job.run() == 2
    assert job.strategy.asked < 20 and job.time == 2.0


def test_a_failed_design_is_recorded_and_the_search_goes_on() -> None:
    job = Job(Budget(trials=5), fails=lambda number: number % 2 == 1)
    assert job.run() == 5
    assert [trial.status for trial in job.seen] == ["ok", "failed"] * 2 + ["ok"]
    bad = job.seen[1]
    assert bad.evidence["error"] == "RuntimeError: singular matrix"
    assert (bad.task, bad.run, bad.scores) == ("task", "run", {})
    assert bad.design == Design({"number": 1}) and len({t.id for t in job.seen}) == 5


def test_it_goes_on_until_one_design_works() -> None:
    job = Job(Budget(trials=1), fails=lambda number: number < 3)
    assert job.run() == 4
    assert job.seen[-1].status == "ok"


def test_too_many_failures_in_a_row_end_it() -> None:
    job = Job(Budget(trials=50), fails=lambda number: number > 1)
    with pytest.raises(MetawrightError, match=r"^5 designs in a row failed, .*: singular matrix$"):
        job.run()
    assert [trial.status for trial in job.seen] == ["ok", "ok"] + ["failed"] * 4


def test_scattered_failures_do_not_end_it() -> None:
    assert Job(Budget(trials=30), fails=lambda number: number % 5 != 0).run() == 30


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("typo"), MemoryError()])
def test_what_cannot_be_mended_is_not_caught(error: Exception) -> None:
    with pytest.raises(type(error)):
        Job(Budget(trials=2), fails=lambda number: True, error=error).run()


def test_an_error_while_a_trial_is_written_down_is_no_failed_design() -> None:
    def full(trial: Trial) -> None:
        raise ValueError("disk full")

    job = Job(Budget(trials=2))
    with pytest.raises(ValueError, match="disk full"):
        ask_score_tell(
            job.strategy,
            job.score,
            clock=job.clock,
            expected_seconds=lambda design: 0.0,
            on_trial=full,
        )
