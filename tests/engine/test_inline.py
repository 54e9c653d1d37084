"""Jobs in this process have the outcomes that jobs in children have."""

import time

from metawright.engine.inline import Inline
from metawright.errors import InputError


def refuse() -> None:
    raise InputError("Give a number.")


def test_a_job_is_done_as_it_is_submitted_and_fetched_once() -> None:
    here = Inline(lambda x, power=1: x**power)
    assert here.free == 1 and here.wait() == []
    here.submit("cube", 3, seconds=0.001, power=3)
    assert here.free == 0, "one at a time"
    (outcome,) = here.wait(0.0)
    assert (outcome.key, outcome.how, outcome.value, outcome.message) == ("cube", "done", 27, "")
    assert here.free == 1 and here.wait() == []


def test_a_broken_job_is_an_outcome_and_the_work_goes_on() -> None:
    here = Inline(eval)
    here.submit("broken", "int('seven')")
    (broken,) = here.wait()
    assert broken.how == "failed" and broken.value is None
    assert broken.message.startswith("ValueError: invalid literal") and "Traceback" in broken.trace
    here.submit("after", "3 * 3")
    assert [outcome.value for outcome in here.wait()] == [9]
    told = Inline(refuse)
    told.submit("refused")
    assert told.wait()[0].message == "Give a number.", "errors for the user speak for themselves"


def test_its_seconds_are_told() -> None:
    here = Inline(time.sleep)
    here.submit("slow", 0.05)
    assert 0.05 <= here.wait()[0].seconds < 5
