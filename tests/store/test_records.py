"""Records are plain, checked values."""

import copy
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from metawright.store import RunRecord, Trial

MakeTrial = Callable[..., Trial]


def test_trial_is_frozen_and_keeps_its_own_copies(make_trial: MakeTrial) -> None:
    scores = {"accuracy": 0.5}
    trial = make_trial("a", scores=scores)
    scores["accuracy"] = 0.9
    assert trial.scores == {"accuracy": 0.5}
    with pytest.raises(FrozenInstanceError):
        trial.run = "other"  # type: ignore[misc]


def test_numbers_become_plain_floats(make_trial: MakeTrial) -> None:
    trial = make_trial("a", scores={"accuracy": np.float32(0.5)}, cost={"parameters": 7})
    assert [type(trial.scores["accuracy"]), type(trial.cost["parameters"])] == [float, float]


def test_trial_travels_between_processes(make_trial: MakeTrial) -> None:
    trial = make_trial("a", evidence={"folds": [0.5, 0.7]}, weights="0" * 64)
    assert pickle.loads(pickle.dumps(trial)) == trial == copy.deepcopy(trial)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"id": ""}, ValueError, "`id` must be a non-empty text, but got ''."),
        ({"status": "good"}, ValueError, "`status` must be 'ok' or 'failed', but got 'good'."),
        ({"scores": {"x": "high"}}, TypeError, "`scores` must map names to numbers, but got"),
        ({"cost": {"x": None}}, TypeError, "`cost` must map names to numbers, but got"),
    ],
)
def test_wrong_fields_are_named(
    make_trial: MakeTrial, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make_trial(**{"id": "a"} | fields)


def test_run_needs_an_id() -> None:
    with pytest.raises(ValueError, match="`id` must be a non-empty text"):
        RunRecord("", "generate")
