"""What holds in every space: a new kind of space is tested by a row in `conftest.SPACES`."""

import json
import math
from itertools import islice

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import (
    Design,
    Space,
    active,
    check,
    contains,
    count,
    decisions,
    encode,
    encoding_names,
    explain_mismatch,
    grid,
    read,
    space_from_json,
    space_to_json,
    write,
)
from metawright.spaces.draw import crossover, mutate, sample

DRAWS = 40


def drawn(space: Space, name: str = "drawn") -> list[Design]:
    rng = stream(0, name)
    return [sample(space, rng) for _ in range(DRAWS)]


def test_samples_belong_to_the_space(space: Space) -> None:
    for design in drawn(space):
        check(space, design)
        assert contains(space, design)
        assert explain_mismatch(space, design) is None


def test_same_generator_same_designs(space: Space) -> None:
    assert drawn(space) == drawn(space)
    if count(space) > 1:
        assert drawn(space) != drawn(space, "others")


def test_a_point_is_the_design(space: Space) -> None:
    for design in drawn(space):
        point = write(space, design)
        assert read(space, point) == design
        assert write(space, read(space, point)) == point
        for decision, value in zip(decisions(space), point, strict=True):
            assert active(decision, point) or value is None


def test_equal_design_equal_point(space: Space) -> None:
    designs = drawn(space)
    for first in designs:
        for second in designs[:10]:
            assert (first == second) == (write(space, first) == write(space, second))


def test_names_are_unique_and_parents_come_first(space: Space) -> None:
    flat = decisions(space)
    assert len({decision.name for decision in flat}) == len(flat)
    for index, decision in enumerate(flat):
        assert decision.condition is None or decision.condition.on < index


def test_designs_survive_json(space: Space) -> None:
    for design in drawn(space):
        assert Design.from_json(json.loads(json.dumps(design.to_json()))) == design
        assert Design.from_json(json.loads(design.key)) == design


def test_the_space_survives_json(space: Space) -> None:
    # Sorted on purpose: the order of decisions must not hang on the order inside JSON objects.
    again = space_from_json(json.loads(json.dumps(space_to_json(space), sort_keys=True)))
    assert again == space
    assert hash(again) == hash(space)
    assert decisions(again) == decisions(space)


@pytest.mark.parametrize("changes", [1, 3])
def test_mutants_are_valid_and_differ(space: Space, changes: int) -> None:
    rng = stream(1)
    for design in drawn(space):
        mutant = mutate(space, design, rng, changes=changes)
        check(space, mutant)
        assert (mutant != design) == (count(space) > 1)


def test_one_change_changes_one_decision(space: Space) -> None:
    rng = stream(2)
    for design in drawn(space):
        old, new = write(space, design), write(space, mutate(space, design, rng))
        both = [active(d, old) and active(d, new) for d in decisions(space)]
        changed = [a != b for a, b, lives in zip(old, new, both, strict=True) if lives]
        assert sum(changed) == (count(space) > 1)


def test_children_are_valid_mixes(space: Space) -> None:
    rng = stream(3)
    for first, second in zip(drawn(space), drawn(space, "second"), strict=True):
        child = crossover(space, first, second, rng)
        check(space, child)
        parents = zip(write(space, first), write(space, second), strict=True)
        for value, pair in zip(write(space, child), parents, strict=True):
            assert value is None or value in pair
        assert crossover(space, first, first, rng) == first


def test_encodings_have_one_length_and_stay_in_bounds(space: Space) -> None:
    names = encoding_names(space)
    assert len(set(names)) == len(names)
    for design in drawn(space):
        vector, mask = encode(space, design)
        assert vector.shape == mask.shape == (len(names),)
        assert vector.dtype == np.float64
        assert mask.dtype == np.bool_
        assert ((vector >= 0) & (vector <= 1)).all()
        assert (vector[~mask] == 0).all()


def test_different_designs_have_different_encodings(space: Space) -> None:
    designs = set(drawn(space))
    assert len({encode(space, design)[0].tobytes() for design in designs}) == len(designs)


def test_the_grid_lists_each_design_once(space: Space) -> None:
    if count(space) <= 3000:
        listed = list(grid(space))
        assert len(listed) == len(set(listed)) == count(space)
        assert set(drawn(space)) <= set(listed)
    else:
        listed = list(islice(grid(space, steps=2), 500))
        assert len(listed) == len(set(listed))
        assert all(contains(space, design) for design in listed)


def test_foreign_designs_are_refused(space: Space) -> None:
    foreign = Design({"kind": "foreign", "nobody": 1})
    assert not contains(space, foreign)
    with pytest.raises(InputError, match=r"kind|has 'nobody'|must have"):
        check(space, foreign)


def test_wrong_points_are_refused(space: Space) -> None:
    point = write(space, drawn(space)[0])
    with pytest.raises(
        InputError, match=f"must have {len(point)} values, but got {len(point) + 1}"
    ):
        read(space, (*point, None))
    for index, decision in enumerate(decisions(space)):
        wrong = (*point[:index], math.nan, *point[index + 1 :])
        with pytest.raises(InputError, match=rf"^{decision.name} "):
            read(space, wrong)
