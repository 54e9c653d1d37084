"""A search led by experience."""

import math

import numpy as np
import pytest

from metawright.generators.tables.experience import TableExperience
from metawright.generators.tables.guided import GuidedTables
from metawright.generators.tables.profile import PROFILE
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.spaces.draw import sample
from metawright.spaces.space import Either, Record
from metawright.spaces.tables import NETWORKS, first_designs, table_pipelines
from metawright.store.records import Trial
from metawright.strategies.choose import strategy
from metawright.strategies.objectives import objective
from metawright.tasks.kind import Kind

DESIGNS = first_designs("classification")
SPACE = table_pipelines("classification", boosted=())


def known(best: int, *, slow: int | None = None) -> TableExperience:
    """Twenty tasks on which one design is much the best."""
    rng = np.random.default_rng(0)
    worths = -0.5 + 0.05 * rng.normal(size=(20, len(DESIGNS)))
    worths[:, best] -= 1.0
    seconds = np.ones_like(worths)
    if slow is not None:
        seconds[:, slow] = 1000.0
    profiles = rng.normal(size=(20, len(PROFILE)))
    names = tuple(f"t{i}" for i in range(20))
    return TableExperience(
        Kind.CLASSIFICATION, names, names, (False,) * 20, profiles, DESIGNS, worths, seconds
    )


def guide(experience: TableExperience, remaining: float = math.inf) -> GuidedTables:
    inner = strategy("random", SPACE, rng=stream(1), objectives=[objective("log_loss")])
    profile = [0.0] * len(PROFILE)
    profile[PROFILE.index("log outputs")] = math.log(2)
    profile[PROFILE.index("entropy")] = 1.0
    return GuidedTables(
        SPACE, experience, profile, inner, SPACE, first=DESIGNS[:1], remaining=lambda: remaining
    )


def trial(design: Design, worth: float, number: int = 0) -> Trial:
    loss = math.log(2) * (math.exp(worth) - 0.01)
    return Trial(f"{number}{design.key[:60]}", "t", design, {"log_loss": loss}, {"seconds": 1.0})


def test_the_first_design_and_then_what_experience_expects_most_of() -> None:
    search = guide(known(best=5))
    assert search.ask(1) == [DESIGNS[0]]
    search.tell([trial(DESIGNS[0], -0.5)])
    assert search.ask(1) == [DESIGNS[5]]
    assert DESIGNS[5] not in search.ask(3), "nothing is proposed twice"


def test_what_does_not_fit_into_the_time_is_left_out() -> None:
    search = guide(known(best=5, slow=5), remaining=60.0)
    search.tell([trial(DESIGNS[0], -0.5)])
    assert DESIGNS[5] not in search.ask(10)
    assert guide(known(best=5, slow=5), remaining=1e6).promising() == DESIGNS[5]


def test_the_other_strategy_goes_on_where_experience_expects_nothing_more() -> None:
    search = guide(known(best=5))
    search.tell([trial(design, -4.0 - 0.01 * i, i) for i, design in enumerate(DESIGNS)])
    found = search.ask(5)
    assert len(set(found)) == 5 and not set(found) & set(DESIGNS)


@pytest.mark.parametrize("told", [3, 9])
def test_a_resumed_search_goes_on_with_the_same_proposals(told: int) -> None:
    whole = guide(known(best=5))
    made = []
    for number in range(told + 6):
        (design,) = whole.ask(1)
        made.append(trial(design, -0.5 - 0.01 * number, number))
        whole.tell(made[-1:])
    again = guide(known(best=5))
    again.tell(made[:told])
    for one in made[told:]:
        assert again.ask(1) == [one.design]
        again.tell([one])


def test_the_other_strategy_is_told_only_what_it_can_propose() -> None:
    wide = table_pipelines("classification", boosted=())
    narrow = table_pipelines("classification", boosted=(), networks=False)
    inner = strategy("tpe", narrow, rng=stream(1), objectives=[objective("log_loss")])
    search = GuidedTables(wide, known(best=5), [0.0] * len(PROFILE), inner, narrow)
    models = wide.fields["model"]
    assert isinstance(models, Either)
    only = Either({"resnet": models.cases["resnet"]})
    network = sample(Record({**wide.fields, "model": only}), stream(2))
    search.tell([trial(network, -0.5), trial(DESIGNS[0], -0.4, 1)])
    proposed = search.ask(40)
    assert not {design["model"]["kind"] for design in proposed} & set(NETWORKS)
