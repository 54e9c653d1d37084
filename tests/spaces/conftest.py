"""Example spaces, one of each kind and some that nest them; the contract runs over all."""

import pytest

from metawright.spaces import SPACES as NAMED
from metawright.spaces import Cell, Choice, Either, Integer, Real, Record, Repeat, Space
from metawright.spaces.tables import BOOSTED, table_pipelines

BLOCK = Record(
    {
        "width": Integer(8, 64, log=True),
        "norm": Either(
            {
                "none": Record({}),
                "group": Record({"groups": Choice((1, 2, 4))}),
                "drop": Record({"rate": Real(0.0, 0.5), "twice": Choice((True, False))}),
            }
        ),
    }
)

SPACES: dict[str, Space] = {
    "empty": Record({}),
    "one": Record(
        {"only": Choice(("this",)), "fixed": Real(0.5, 0.5), "parts": Repeat(BLOCK, 0, 0)}
    ),
    "choice": Record({"norm": Choice(("batch", None, 3, 0.5, True)), "bias": Choice((None, 0))}),
    "integer": Record({"depth": Integer(-3, 4), "width": Integer(1, 100, log=True)}),
    "real": Record({"decay": Real(-1.0, 2.0), "lr": Real(1e-4, 1.0, log=True)}),
    "narrow": Record({"x": Real(1000.0, 1000.001), "y": Real(0.5, 0.500001, log=True)}),
    "record": Record({"train": Record({"lr": Choice((0.1, 0.01))}), "depth": Integer(1, 3)}),
    "repeat": Record({"bits": Repeat(Choice((0, 1)), 0, 3), "pair": Repeat(Integer(1, 2), 2, 2)}),
    "either": Either(
        {"mlp": Record({"depth": Integer(1, 3)}), "linear": Record({"bias": Choice((None, 0))})}
    ),
    "dense cell": Record({"cell": Cell(3, ("skip", "conv"))}),
    "sparse cell": Record({"cell": Cell(5, ("skip", "conv"), inputs=2, fan_in=2)}),
    "nested": Record(
        {
            "network": Record({"blocks": Repeat(BLOCK, 1, 3), "pool": Choice(("max", "mean"))}),
            "train": Record({"lr": Real(1e-3, 1.0, log=True), "steps": Integer(1, 20)}),
        }
    ),
    "repeats in repeats": Record(
        {
            "groups": Repeat(
                Record({"items": Repeat(Either({"a": BLOCK, "b": Record({})}), 0, 2)}), 0, 2
            )
        }
    ),
    **{name: make() for name, make in NAMED.items()},
    "tables of classes": table_pipelines("classification", boosted=BOOSTED),
    "tables of numbers": table_pipelines("regression", boosted=()),
}


@pytest.fixture(params=list(SPACES.values()), ids=list(SPACES))
def space(request: pytest.FixtureRequest) -> Space:
    chosen: Space = request.param
    return chosen
