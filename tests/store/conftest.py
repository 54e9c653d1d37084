"""Trials for the tests of the store."""

from collections.abc import Callable
from typing import Any

import pytest

from metawright.spaces.design import Design
from metawright.store import Trial

MakeTrial = Callable[..., Trial]


@pytest.fixture
def make_trial() -> MakeTrial:
    """A trial of a small design; keyword arguments change its fields."""

    def make(id: str, **fields: Any) -> Trial:
        design = Design({"lr": 0.1, "network": {"depth": 2, "widths": [8, 16]}})
        return Trial(**{"id": id, "task": "digits", "design": design, "scores": {}} | fields)

    return make
