"""Importance against variances that are known in closed form."""

import statistics

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Choice, Either, Integer, Real, Record
from metawright.spaces.draw import sample
from metawright.store.records import Trial
from metawright.strategies.importance import Importance, importance, summed
from metawright.strategies.objectives import objective

SPACE = Record(
    {
        "a": Real(0.0, 1.0),
        "b": Real(0.0, 1.0),
        "same": Integer(3, 3),
        "part": Either(
            {"x": Record({}), "y": Record({"depth": Integer(0, 9), "act": Choice(("p", "q"))})}
        ),
    }
)


def trials(count: int, *weights: float) -> list[Trial]:
    """Errors that add up from a, b and, in the second case, depth."""
    rng, found = stream(0), []
    for number in range(count):
        design = sample(SPACE, rng)
        depth = design["part"].get("depth", 4.5) / 9
        error = weights[0] * design["a"] + weights[1] * design["b"] + weights[2] * depth
        found.append(Trial(str(number), "task", design, {"error": error}))
    return found


def test_shares_are_those_of_the_variances() -> None:
    rows = importance(SPACE, trials(150, 3.0, 1.0, 0.0), objective("error"), forests=2)
    shares = {row.decision: row.share for row in rows}
    assert list(shares) == sorted(shares, key=lambda name: -shares[name])
    assert set(shares) == {"a", "b", "part.kind", "part.y.depth", "part.y.act"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["a"] == pytest.approx(0.9, abs=0.05)  # 3^2 to 1^2
    assert shares["b"] == pytest.approx(0.1, abs=0.05)
    assert max(row.spread for row in rows) < 0.05


def test_a_conditional_decision_counts_where_it_is_in_play() -> None:
    rows = importance(SPACE, trials(150, 0.3, 0.0, 2.0), objective("error"), forests=1)
    assert rows[0].decision == "part.y.depth"
    assert rows[0].share > 2 * statistics.mean(row.share for row in rows[1:])


def test_shares_of_parts_are_summed() -> None:
    rows = [Importance("x.a.b", 0.1, 0), Importance("x.c", 0.3, 0), Importance("y", 0.6, 0)]
    assert summed(rows) == {"y": 0.6, "x": pytest.approx(0.4)}
    assert summed(rows, depth=2) == {"y": 0.6, "x.c": 0.3, "x.a": 0.1}


def test_too_little_to_explain_is_refused() -> None:
    partly = [
        Trial(t.id, t.task, t.design, t.scores, evidence={"fidelity": 0.1})
        for t in trials(20, 1.0, 1.0, 1.0)
    ]
    with pytest.raises(InputError, match="at least 10 trials with different error, but got 0"):
        importance(SPACE, partly, objective("error"))
    with pytest.raises(InputError, match="got 20 with 1 values"):
        importance(SPACE, trials(20, 0.0, 0.0, 0.0), objective("error"))
