"""Real tables as tasks."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from metawright.errors import InputError
from metawright.generators.tables.profile import PROFILE, table_profile
from metawright.tasks.kind import Kind
from metawright.tasks.tables.keel import keel_names, keel_tables, read_keel

Data = Callable[[str], Path]


def test_tables_are_posed_as_they_were_meant(data: Data) -> None:
    root = data("tabular_keel")
    assert len(keel_names(root)) == 73
    frame = read_keel("german", root)
    assert frame.shape == (1000, 21) and list(frame.columns[-2:]) == ["c20", "class"]
    first, second = islice(keel_tables(Kind.CLASSIFICATION, rows=200, root=root), 2)
    assert (first.name, first.family, len(first.task.y)) == ("banana", "banana", 200)
    assert second.task.kind is Kind.CLASSIFICATION and len(second.task.classes) == 2
    with pytest.raises(InputError, match="no table 'nothing'"):
        read_keel("nothing", root)


def test_columns_of_many_numbers_are_predicted_too(data: Data) -> None:
    root = data("tabular_keel")
    found = list(islice(keel_tables(Kind.REGRESSION, rows=300, root=root), 4))
    assert [one.name for one in found] == ["banana:c1", "banana:c2", "bands:c11", "bands:c8"]
    assert all("class" in one.task.used for one in found)
    assert found[0].task.kind is Kind.REGRESSION


def test_profiles_are_finite_and_tell_tables_apart(data: Data) -> None:
    root = data("tabular_keel")
    tables = islice(keel_tables(Kind.CLASSIFICATION, rows=300, root=root), 6)
    profiles = [table_profile(one.task) for one in tables]
    assert all(len(profile) == len(PROFILE) for profile in profiles)
    assert len({tuple(profile) for profile in profiles}) == 6
    share = PROFILE.index("share of categories")
    assert profiles[3][share] == 1.0, "chess has categories only"
    assert profiles[0][share] == 0.0, "banana has none"
