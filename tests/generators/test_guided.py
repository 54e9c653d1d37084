"""Proposals first, then children of the best; whatever was seen is not proposed again."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from metawright.generators.bundle import Bundle
from metawright.generators.guided import GuidedEvolution, ProposalGenerator
from metawright.generators.profile import PROFILE
from metawright.rng import stream
from metawright.spaces import Design, active, contains, decisions, write
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample
from metawright.store import Trial
from metawright.strategies import Strategy

PROFILE_OF_TASK = torch.zeros(len(PROFILE), dtype=torch.float64)


def strategy_of(bundle: Bundle, *, seed: int = 0, proposals: int = 4) -> GuidedEvolution:
    return GuidedEvolution(
        bundle.generator,
        PROFILE_OF_TASK,
        rng=stream(seed),
        proposals=proposals,
        judged=50,
    )


def trial(design: Design, accuracy: float, name: str = "") -> Trial:
    return Trial(name or design.digest, "task", design, {"accuracy": accuracy})


def worth(design: Design) -> float:
    """A made-up accuracy with nothing random in it."""
    return 0.5 + int(design.digest[:4], 16) / 2**17


def search(strategy: Strategy, count: int) -> list[Trial]:
    made = []
    for _ in range(count):
        design = strategy.ask(1)[0]
        made.append(trial(design, worth(design)))
        strategy.tell(made[-1:])
    return made


def test_the_first_designs_are_the_proposals(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle)
    asked = strategy.ask(4)
    assert asked == [candidate.design for candidate in strategy.candidates]
    descents = [d["features"].get("adaptation", {"kind": "none"})["kind"] for d in asked]
    assert descents[0] == "none", "the first answer must come at once"
    values = [candidate.predicted for candidate in strategy.candidates[1:]]
    assert values == sorted(values, reverse=True)
    for candidate in strategy.candidates:
        assert candidate.predicted == pytest.approx(strategy.predicted(candidate.design))


def test_proposals_are_the_best_of_their_kind(tiny_bundle: Bundle) -> None:
    """No two with the same features and head; an elite that the model likes best comes first."""
    model = tiny_bundle.proposal
    pool = [sample(model.space, stream(5, n)) for n in range(3000)]
    best = pool[int(np.argmax(model.predict(PROFILE_OF_TASK, pool)))]
    found = ProposalGenerator(model, [best]).propose(PROFILE_OF_TASK, 6, stream(0))
    assert found[0].design == best and len(found) == 6
    kinds = [(d["features"]["kind"], str(d["features"].get("network")), d["head"]["kind"])
             for d, _ in found]  # fmt: skip
    assert len(set(kinds)) == 6
    alone = ProposalGenerator(model).propose(PROFILE_OF_TASK, 6, stream(0))
    assert best not in [candidate.design for candidate in alone]


def test_nothing_is_proposed_twice(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle)
    told = sample(convolutional(), stream(8))
    strategy.tell([trial(told, 0.99)])
    designs = [made.design for made in search(strategy, 40)] + strategy.ask(10)
    assert len({*designs, told}) == 51
    assert all(contains(convolutional(), design) for design in designs)


def changed(first: Design, second: Design) -> int:
    """How many of the decisions that both designs make differ."""
    old, new = write(convolutional(), first), write(convolutional(), second)
    both = [active(d, old) and active(d, new) for d in decisions(convolutional())]
    return sum(a != b for a, b, lives in zip(old, new, both, strict=True) if lives)


def test_later_designs_are_children_of_the_best(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle, proposals=1)
    rng = stream(3)
    first = strategy.candidates[0].design
    parent = sample(convolutional(), rng)
    bad = [first, *(sample(convolutional(), rng) for _ in range(60))]
    bad = [design for design in bad if changed(design, parent) > 4]
    whole = parent.to_json()
    good = [
        Design(whole | {"augmentation": {"copies": 3, "strength": s}}) for s in (0.3, 0.6, 1.0)
    ]
    good.append(Design(whole | {"augmentation": {"copies": 0, "strength": 0.3}}))
    strategy.tell([trial(design, 0.1) for design in bad] + [trial(d, 0.99) for d in good])
    children = [child for child in strategy.ask(13) if child != first]
    assert len(bad) > 5 and len(children) >= 12
    # A child takes one or two changes; crossover among the good ones changes the augmentation.
    assert all(min(changed(child, design) for design in good) <= 3 for child in children)


def test_of_many_children_the_most_promising_is_asked(tiny_bundle: Bundle) -> None:
    """The model is fond of pixels and shuns descent, so children drift there."""
    strategy = strategy_of(tiny_bundle, proposals=1)
    made = [strategy.ask(1)[0]]
    strategy.tell([trial(made[0], 0.5)])
    for _ in range(15):
        made += strategy.ask(1)
        strategy.tell([trial(made[-1], 0.5)])
    predicted = tiny_bundle.proposal.predict(PROFILE_OF_TASK, made[1:])
    rng = stream(9)
    others = [sample(convolutional(), rng) for _ in range(100)]
    assert predicted.mean() > np.quantile(
        tiny_bundle.proposal.predict(PROFILE_OF_TASK, others), 0.75
    )


@pytest.mark.parametrize("after", [2, 4, 9])
def test_a_resumed_search_goes_on_with_the_same_designs(tiny_bundle: Bundle, after: int) -> None:
    whole = search(strategy_of(tiny_bundle), 12)
    resumed = strategy_of(tiny_bundle)
    resumed.tell(whole[:after])
    assert [t.design for t in search(resumed, 12 - after)] == [t.design for t in whole[after:]]


def test_same_seed_same_search_other_seed_another(tiny_bundle: Bundle) -> None:
    def designs(seed: int) -> list[Design]:
        return [made.design for made in search(strategy_of(tiny_bundle, seed=seed), 8)]

    assert designs(0) == designs(0) != designs(1)


def failed(design: Design) -> Trial:
    return Trial(design.digest, "task", design, {"accuracy": 0.99}, status="failed")


def test_failed_trials_have_no_children_and_no_estimate(tiny_bundle: Bundle) -> None:
    def go(bad: Sequence[Trial]) -> list[Design]:
        strategy = strategy_of(tiny_bundle, proposals=1)
        strategy.tell([trial(strategy.candidates[0].design, 0.5)])
        strategy.tell(bad)
        assert strategy.estimates().keys() == {strategy.candidates[0].design.digest}
        return strategy.ask(8)

    broken = [sample(convolutional(), stream(4, n)) for n in range(3)]
    nan = [trial(design, float("nan")) for design in broken]
    assert go([failed(d) for d in broken]) == go(nan), "neither has a usable score"
    assert not set(broken) & set(go([failed(d) for d in broken]))


def test_foreign_designs_are_not_learned_from(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle)
    strategy.tell([trial(Design({"depth": 3}), 0.9)])
    assert strategy.estimates() == {}
    assert strategy.ask(1) == [strategy.candidates[0].design]


def test_without_any_score_it_goes_on_at_random(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle, proposals=2)
    strategy.tell([failed(design) for design in strategy.ask(2)])
    designs = strategy.ask(5)
    assert len(set(designs)) == 5 and all(contains(convolutional(), d) for d in designs)


def test_estimates_weigh_the_evidence_by_its_noise(tiny_bundle: Bundle) -> None:
    strategy = strategy_of(tiny_bundle)
    pair = strategy.ask(2)
    strategy.tell([trial(pair[0], 0.5, "a"), trial(pair[1], 0.9, "b")])
    strategy.tell([trial(pair[0], 0.5, "a")])  # told twice, counted once
    found = strategy.estimates()
    prior = strategy.predicted(pair[1]) - strategy.predicted(pair[0])
    spread, noise = tiny_bundle.proposal.spread, tiny_bundle.proposal.noise / 50**0.5
    share = spread**2 / (spread**2 + noise**2)
    assert found["b"] - found["a"] == pytest.approx(prior + share * (0.4 - prior))
    assert (found["a"] + found["b"]) / 2 == pytest.approx(0.7)
