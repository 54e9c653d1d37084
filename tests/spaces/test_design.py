"""A design is a value: equality, hashing, JSON, what it refuses."""

import copy
import pickle
from enum import Enum, StrEnum
from typing import Any

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.spaces import Design


def test_equality_is_that_of_json() -> None:
    different = [Design({"x": value}) for value in (1, 1.0, True, "1", None, (1,), {"1": 1})]
    assert len(set(different)) == len(different)
    assert len({design.key for design in different}) == len(different)
    assert Design({"a": 1, "b": {"c": [1, 2]}}) == Design({"b": Design({"c": (1, 2)}), "a": 1})
    assert Design({"x": -0.0}) == Design({"x": 0.0})
    assert Design({"x": (1, 2)}) != {"x": (1, 2)}


def test_equal_designs_share_hash_and_digest() -> None:
    first, second = Design({"a": 0.1, "b": "ü"}), Design({"b": "ü", "a": 0.1})
    assert hash(first) == hash(second)
    assert first.digest == second.digest
    # Pinned: digests name things in stores, so they may never change.
    assert first.digest == "14f7087f0d6a03bd"
    assert first.key == '{"a":0.1,"b":"\\u00fc"}'


def test_it_is_a_mapping() -> None:
    design = Design({"network": {"depth": 2}, "lr": 0.1})
    assert list(design) == ["network", "lr"]
    assert len(design) == 2
    assert design["network"]["depth"] == 2
    assert "lr" in design
    assert design.get("missing") is None
    assert repr(design) == "Design(network=Design(depth=2), lr=0.1)"


def test_it_is_frozen() -> None:
    inner: dict[str, Any] = {"widths": [1, 2]}
    design = Design({"network": inner})
    inner["widths"].append(3)
    assert design["network"]["widths"] == (1, 2)
    with pytest.raises(AttributeError, match="frozen"):
        design.lr = 0.1
    with pytest.raises(AttributeError, match="frozen"):
        del design._fields
    data = design.to_json()
    data["network"]["widths"].append(3)
    assert design.to_json() == {"network": {"widths": [1, 2]}}


def test_it_can_be_pickled_and_copied() -> None:
    design = Design({"network": {"widths": [1, 2]}, "lr": 0.1})
    for twin in (pickle.loads(pickle.dumps(design)), copy.deepcopy(design), copy.copy(design)):
        assert twin == design
        assert isinstance(twin, Design)


def test_subclasses_of_scalars_are_cast() -> None:
    class Norm(StrEnum):
        BATCH = "batch"

    class Pool(str, Enum):  # noqa: UP042  (the older form, whose str() is another)
        MEAN = "mean"

    design = Design({"lr": np.float64(0.5), "norm": Norm.BATCH, "pool": Pool.MEAN})
    assert [type(value) for value in design.values()] == [float, str, str]
    assert design.key == '{"lr":0.5,"norm":"batch","pool":"mean"}'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": float("nan")}, "must be finite, but got lr=nan"),
        ({"a": [1.0, float("inf")]}, r"must be finite, but got a\.1=inf"),
        ({"a": {1, 2}}, "but got a=.* of type set"),
        ({"a": b"text"}, "of type bytes"),
        ({"a": np.int64(3)}, "of type int64"),
        ({3: 1}, "non-empty strings, but got 3"),
        ({"": 1}, "non-empty strings, but got ''"),
    ],
)
def test_what_json_cannot_say_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Design(fields)


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match=r"must be a JSON object with names, but got \[1\]"):
        Design.from_json([1])  # type: ignore[arg-type]
