"""Experience as data: read from a store, written, loaded, joined."""

from pathlib import Path

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.generators.tables.experience import (
    TableExperience,
    experience_of,
    load_experience,
    save_experience,
    worth_of,
)
from metawright.generators.tables.likeness import completed
from metawright.generators.tables.price import Price
from metawright.generators.tables.profile import PROFILE
from metawright.spaces.design import Design
from metawright.spaces.points import contains
from metawright.spaces.tables import first_designs, table_pipelines
from metawright.store.records import RunRecord, Trial
from metawright.tasks.kind import Kind

DESIGNS = first_designs("classification")


def made(names: tuple[str, ...] = ("a1", "a2", "b")) -> TableExperience:
    """A few tasks whose costs grow with their rows; the last design was tried on one alone."""
    rng = np.random.default_rng(len(names))
    profiles = rng.normal(size=(len(names), len(PROFILE)))
    profiles[:, 0] = np.linspace(5, 9, len(names))
    worths = -rng.random((len(names), 4))
    seconds = np.exp(profiles[:, :1] - 7) * [1, 2, 3, 4]
    worths[1:, 3] = seconds[1:, 3] = np.nan
    return TableExperience(
        Kind.CLASSIFICATION, names, tuple(name[0] for name in names), (False,) * len(names),
        profiles, DESIGNS[:4], worths, seconds,
    )  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    one = made()
    save_experience(tmp_path, {one.kind: one}, provenance={"source": "none"})
    back = load_experience(one.kind, tmp_path)
    assert (back.names, back.families, back.designs) == (one.names, one.families, one.designs)
    np.testing.assert_allclose(back.worths, one.worths, rtol=1e-6)
    with pytest.raises(InputError, match="damaged"):
        load_experience(Kind.REGRESSION, tmp_path)
    (tmp_path / "experience.safetensors").write_bytes(b"nothing")
    load_experience.cache_clear()
    with pytest.raises(InputError, match="damaged"):
        load_experience(one.kind, tmp_path)
    with pytest.raises(InputError, match="no experience"):
        load_experience(one.kind, tmp_path / "elsewhere")


@pytest.mark.parametrize("kind", [Kind.CLASSIFICATION, Kind.REGRESSION])
def test_the_package_brings_experience_of_designs_that_can_be_built(kind: Kind) -> None:
    shipped = load_experience(kind)
    space = table_pipelines(kind.value, boosted=("lightgbm",))
    assert len(shipped.names) > 30 and len(shipped.designs) > 40
    assert all(contains(space, design) for design in shipped.designs)
    assert shipped.designs[: len(DESIGNS)] == first_designs(kind.value)
    assert np.isnan(shipped.worths).mean() < 0.05


def test_a_store_becomes_experience_and_other_runs_do_not() -> None:
    profile = [0.0] * len(PROFILE)
    profile[PROFILE.index("log outputs")] = np.log(2)
    profile[PROFILE.index("entropy")] = 1.0
    info = {"kind": "classification", "name": "t.csv", "profile": profile}
    runs = [RunRecord("r", "generate", info=info), RunRecord("other", "search")]
    trials = [
        Trial("1", "t", DESIGNS[0], {"log_loss": np.log(2) / 2}, {"seconds": 0.5}, run="r"),
        Trial("2", "t", DESIGNS[1], {}, status="failed", run="r"),
        Trial("3", "t", DESIGNS[2], {"accuracy": 1.0}, run="other"),
    ]
    found = experience_of(runs, trials, Kind.CLASSIFICATION, own=True)
    assert found.names == ("t.csv",) and found.own == (True,)
    assert found.worths[0, 0] == pytest.approx(np.log(0.51)) and np.isnan(found.worths[0, 1])
    assert not experience_of(runs, trials, Kind.REGRESSION, own=True).names


def test_worth_is_the_share_of_what_guessing_loses() -> None:
    profile = [0.0] * len(PROFILE)
    assert worth_of({"r2": 0.0}, profile, Kind.REGRESSION) == pytest.approx(np.log(1.01))
    assert worth_of({"r2": 0.75}, profile, Kind.REGRESSION) == pytest.approx(np.log(0.51))
    assert worth_of({"r2": -50.0}, profile, Kind.REGRESSION) == pytest.approx(0.3)
    assert np.isnan(worth_of({}, profile, Kind.REGRESSION))


def test_joined_experience_keeps_designs_of_both() -> None:
    left, right = made(), made(("c",)).having([0, 2])
    both = left.joined(right)
    assert both.names == ("a1", "a2", "b", "c") and both.designs == left.designs
    np.testing.assert_array_equal(both.worths[3, [0, 2]], right.worths[0])
    assert np.isnan(both.worths[3, 1])
    assert both.without(["a"]).names == ("b", "c")
    np.testing.assert_allclose(left.weights, [2**-0.5, 2**-0.5, 1])


def test_seconds_grow_with_the_table_and_follow_this_machine() -> None:
    one = made(tuple("abcdefgh"))
    profile = one.profiles[0].copy()
    profile[0] = 8.0
    price = Price(one)
    np.testing.assert_allclose(price.of(profile)[:3], np.e * np.array([1, 2, 3]), rtol=0.3)
    slow = price.of(profile, [1], [20 * np.e])
    np.testing.assert_allclose(slow, 10 * np.e * price.of(profile) / price.of(profile)[1] * 2)


def test_a_design_that_one_task_knows_is_guessed_for_the_others() -> None:
    space = table_pipelines("classification", boosted=())
    near = DESIGNS[1].to_json()
    near["model"]["leaves"] = 9
    like = Design.from_json(near)
    one = made(tuple("abcdefgh"))
    rare = np.full((8, 1), np.nan)
    rare[0] = one.worths[0, 1] - 0.3
    known = TableExperience(
        one.kind, one.names, one.families, one.own, one.profiles, (*DESIGNS[:3], like),
        np.hstack([one.worths[:, :3], rare]), np.hstack([one.seconds[:, :3], np.exp(rare)]),
    )  # fmt: skip
    whole = completed(known, space)
    assert whole.worths[0, 3] == rare[0, 0]
    others = whole.worths[1:, 3] - one.worths[1:, 1]
    assert np.allclose(others, others[0]) and -0.3 < others[0] < 0, "better, but less so"
    foreign = Design({"model": {"kind": "alien"}})
    wide = known.joined(
        TableExperience(
            one.kind,
            ("z",),
            ("z",),
            (True,),
            one.profiles[:1],
            (foreign,),
            np.array([[-5.0]]),
            np.array([[1.0]]),
        )
    )
    assert foreign not in completed(wide, space).designs
