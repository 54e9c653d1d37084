"""The best answer so far: one design or an ensemble, honest, and the same after a restart."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from metawright.errors import MetawrightError
from metawright.evaluate.assessment import assess
from metawright.evaluate.support import Support
from metawright.generators.bundle import Bundle
from metawright.models.build import module_of
from metawright.recipes.answer import MEMBERS, Answer, Search
from metawright.recipes.data import resized, source_task
from metawright.rng import stream
from metawright.spaces import Design
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample
from metawright.store import Trial

TASK = resized(source_task("digits", ways=4, shots=3, queries=5, seed=0), channels=1, size=28)


def search_of(bundle: Bundle, *, seed: int = 0) -> Search:
    support = Support(
        TASK.support.x, TASK.support.labels, TASK.spec, bundle.shared, bundle.prepare, seed=seed
    )
    return Search(bundle, support, run="run", seed=seed, proposals=4)


def tried(search: Search, count: int) -> list[Trial]:
    trials = []
    for _ in range(count):
        trial = search.score(search.strategy.ask(1)[0])
        search.strategy.tell([trial])
        search.observe([trial])
        trials.append(trial)
    return trials


def told(search: Search, trials: Sequence[Trial]) -> Search:
    search.strategy.tell(trials)
    search.observe(trials)
    return search


def test_a_trial_says_what_was_measured(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    trial = tried(search, 1)[0]
    found = assess(trial.design, search.support)
    assert trial.scores == {"accuracy": found.accuracy, "log_loss": found.log_loss}
    assert (trial.task, trial.run, trial.status) == ("digits", "run", "ok")
    assert trial.cost["seconds"] > 0 and trial.cost["parameters"] >= 0
    evidence = trial.evidence
    assert evidence["origin"] == "proposal" and evidence["folds"] == list(found.folds)
    assert evidence["predicted"] == search.strategy.predicted(trial.design)
    assert evidence["predicted_sd"] == tiny_bundle.proposal.spread
    assert evidence["curve"] == list(found.curve)
    other = search.score(sample(convolutional(), stream(77)))
    assert other.evidence["origin"] == "evolution"


def test_the_answer_is_the_best_estimate(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    trials = tried(search, 5)
    answer, estimates = search.answer(), search.estimates()
    assert answer.members[0] == max(estimates, key=lambda trial: estimates[trial])
    middle, low, high = tiny_bundle.proposal.honest(
        estimates[answer.members[0]], search.judged, single=False
    )
    assert (answer.accuracy, answer.low, answer.high) == (middle, low, high)
    assert low <= middle <= high
    assert sum(answer.weights) == pytest.approx(1) and len(answer.members) <= MEMBERS
    assert int(answer.confusion.sum()) == 12 and answer.confusion.sum(1).tolist() == [3] * 4
    assert {trial.id for trial in trials} >= set(answer.members)


def test_an_ensemble_must_be_better_where_it_was_judged(tiny_bundle: Bundle) -> None:
    """Two halves that err on different examples, each unsure where it errs."""
    search = search_of(tiny_bundle)
    trials = tried(search, 3)
    labels = search.support.labels[torch.cat([fold.judged for fold in search.support.folds])]
    sure = 0.9 * torch.nn.functional.one_hot(labels, 4) + 0.025
    wrong = 0.1 * torch.nn.functional.one_hot(labels, 4) + 0.3 * torch.nn.functional.one_hot(
        (labels + 1) % 4, 4
    ) + 0.15  # fmt: skip
    half = torch.arange(12)[:, None] < 6

    def answer(*tables: torch.Tensor) -> Answer:
        for trial, table in zip(trials, tables, strict=True):
            search._probabilities[trial.id] = table
        return search.answer()

    mixed = answer(torch.where(half, sure, wrong), torch.where(half, wrong, sure), wrong)
    assert len(mixed.members) >= 2
    alone = answer(sure, sure, sure)
    assert len(alone.members) == 1, "equals do not gain from one another"
    assert alone.log_loss == pytest.approx(float(-torch.tensor(0.925).log()), abs=1e-5)
    assert alone.confusion.diagonal().sum() == 12


def test_where_nothing_can_be_held_out_the_first_few_are_averaged(tiny_bundle: Bundle) -> None:
    lone = TASK.support.x[::3]
    support = Support(lone, torch.arange(4), TASK.spec, tiny_bundle.shared, tiny_bundle.prepare)
    search = Search(tiny_bundle, support, run="run", proposals=4)
    assert search.single and search.judged == 4
    tried(search, 4)
    estimates, answer = search.estimates(), search.answer()
    ranked = sorted(estimates, key=lambda trial: -estimates[trial])
    assert list(answer.members) == ranked[:MEMBERS]
    single = tiny_bundle.proposal.honest(estimates[ranked[0]], 4, single=True)
    assert (answer.accuracy, answer.low, answer.high) == single


def test_the_model_is_the_mean_of_its_members(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    trials = tried(search, 2)
    both = replace(
        search.answer(), members=tuple(trial.id for trial in trials), weights=(0.5, 0.5)
    )
    singles = [replace(both, members=(trial.id,), weights=(1.0,)) for trial in trials]
    x = TASK.query.x
    parts = [module_of(search.model(single))(x).softmax(1) for single in singles]
    together = module_of(search.model(both))(x).softmax(1)
    torch.testing.assert_close(together, (parts[0] + parts[1]) / 2)


def test_told_trials_give_the_same_answer(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    trials = tried(search, 5)
    again = told(search_of(tiny_bundle), trials)
    before, after = search.answer(), again.answer()
    assert before.members == after.members and before.log_loss == after.log_loss
    assert torch.equal(before.confusion, after.confusion)
    assert search.why(before) == again.why(after)


def test_probabilities_that_were_not_stored_are_made_again(tiny_bundle: Bundle) -> None:
    """With many classes and examples they are too many to be stored with every trial."""
    search = search_of(tiny_bundle)
    trials = tried(search, 3)
    bare = [replace(t, evidence={**t.evidence, "probabilities": None}) for t in trials]
    before, after = search.answer(), told(search_of(tiny_bundle), bare).answer()
    assert before.members == after.members and before.log_loss == after.log_loss


def test_without_any_design_that_worked(tiny_bundle: Bundle) -> None:
    failed = Trial("bad", "digits", Design({"a": 1}), {}, status="failed")
    for trials in ([], [failed]):
        with pytest.raises(MetawrightError, match="No design that was tried worked"):
            told(search_of(tiny_bundle), trials).answer()


def test_why_in_sentences(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    tried(search, 3)
    sentences = search.why(search.answer())
    assert [sentence.partition(":")[0] for sentence in sentences[:4]] == [
        "The design", "Experience", "Evidence", "Together",
    ]  # fmt: skip
    assert "60 trials on 10 earlier tasks" in sentences[1]
    assert "3-fold cross-validation on 12 examples" in sentences[2]
    assert all(sentence.endswith(".") for sentence in sentences)


def test_expected_seconds_grow_with_the_work(tiny_bundle: Bundle) -> None:
    search = search_of(tiny_bundle)
    pixels = Design(
        {
            "features": {"kind": "pixels", "side": 8},
            "head": {"kind": "prototypes"},
            "augmentation": {"copies": 0, "strength": 0.3},
        }
    )
    assert search.expected_seconds(pixels) == 0, "nothing is known before the first trial"
    search.score(pixels)
    network = {"depth": 2, "width": 32, "kernel": 3, "normalisation": "group", "pool": "max",
               "skip": False}  # fmt: skip
    larger = {"depth": 4, "width": 64, "kernel": 5, "normalisation": "group", "pool": "max",
              "skip": True}  # fmt: skip
    descent = {"kind": "descent", "steps": 5, "lr": 0.1}

    def seconds(network: dict[str, object], adaptation: dict[str, object], copies: int) -> float:
        features = {"kind": "network", "network": network, "adaptation": adaptation}
        augmentation = {"copies": copies, "strength": 0.3}
        whole = {"features": features, "head": {"kind": "prototypes"}}
        return search.expected_seconds(Design(whole | {"augmentation": augmentation}))

    ordered = [
        search.expected_seconds(pixels),
        seconds(network, {"kind": "none"}, 0),
        seconds(larger, {"kind": "none"}, 0),
        seconds(larger, {"kind": "none"}, 8),
        seconds(larger, descent, 8),
    ]
    assert ordered == sorted(ordered) and ordered[0] > 0 and len(set(ordered)) == 5
