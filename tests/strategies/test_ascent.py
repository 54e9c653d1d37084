"""The path to the winner: each new best, and in words what it changed."""

from typing import Any

from metawright.spaces import Choice, Design, Either, Integer, Real, Record
from metawright.store.records import Trial
from metawright.strategies.ascent import Difference, ascent, differences, say
from metawright.strategies.objectives import Constraint, objective

SPACE = Record(
    {
        "depth": Integer(1, 9),
        "lr": Real(1e-4, 1.0, log=True),
        "head": Either({"linear": Record({}), "mlp": Record({"act": Choice(("relu", "tanh"))})}),
    }
)


def design(depth: int, lr: float, act: str | None = None) -> Design:
    head: dict[str, Any] = {"kind": "linear"} if act is None else {"kind": "mlp", "act": act}
    return Design({"depth": depth, "lr": lr, "head": head})


def trial(number: int, what: Design, error: float, size: float = 1, share: float = 1) -> Trial:
    scores, cost = {"error": error}, {"bytes": size}
    return Trial(str(number), "task", what, scores, cost, {"fidelity": share})


def test_the_path_has_each_new_best_and_its_changes() -> None:
    trials = [
        trial(0, design(1, 0.1), 0.5),
        trial(1, design(2, 0.1), 0.7),
        trial(2, design(2, 0.1), 0.1, size=9),
        trial(3, design(3, 0.1), 0.1, share=0.1),
        Trial("4", "task", design(4, 0.1), {"error": 0.0}, status="failed"),
        trial(5, design(1, 0.02, "relu"), 0.25),
        trial(6, design(5, 0.02), 0.2),
    ]
    steps = ascent(SPACE, trials, objective("error"), [Constraint("bytes", 5)])
    assert [step.number for step in steps] == [0, 5, 6]
    assert [say(step) for step in steps] == [
        "Trial 1: 0.5, the first.",
        "Trial 6: 0.25, better by 0.25: lr 0.1 → 0.02, head.kind linear → mlp, "
        "head.mlp.act: relu.",
        "Trial 7: 0.2, better by 0.05: depth 1 → 5, head.kind mlp → linear, no head.mlp.act.",
    ]
    assert say(steps[2], most=1).endswith(": depth 1 → 5 and 2 more.")


def test_differences_are_those_of_the_points() -> None:
    assert differences(SPACE, design(1, 0.1), design(1, 0.1)) == ()
    found = differences(SPACE, design(1, 0.1, "relu"), design(2, 0.1, "tanh"))
    assert found == (Difference("depth", 1, 2), Difference("head.mlp.act", "relu", "tanh"))


def test_an_empty_search_has_no_path() -> None:
    assert ascent(SPACE, [], objective("error")) == []
