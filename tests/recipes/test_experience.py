"""Experience: truth beside what the support said, gathered once however often it is asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from metawright.evaluate.assessment import assess, finish
from metawright.evaluate.support import Support
from metawright.generators.bundle import Bundle
from metawright.generators.proposal import Experience, fit_proposal_model
from metawright.models.build import module_of
from metawright.recipes.experience import (
    ExperienceRecipe,
    elites,
    gather,
    read_experience,
    support_profile,
)
from metawright.rng import stream
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample
from metawright.store import Store, Trial
from metawright.tasks import Digits
from metawright.tasks.task import Split, Task

RECIPE = ExperienceRecipe(tasks=3, designs=3, shots=(1, 3), seed=5)


class Source:
    """Digits at the bundle's size; keeps which split was asked for."""

    def __init__(self, shots: int, splits: list[Split]) -> None:
        self.digits = Digits(ways=3, shots=shots, queries=4, size=28)
        self.splits = splits

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        self.splits.append(split)
        return self.digits.draw(split, rng)


def go(
    bundle: Bundle,
    folder: Path,
    *,
    on_trial: Callable[[int, int], None] | None = None,
    splits: list[Split] | None = None,
) -> list[Trial]:
    asked = [] if splits is None else splits
    with Store(folder) as store:
        gather(
            lambda shots: Source(shots, asked),
            bundle.shared,
            bundle.prepare,
            RECIPE,
            store,
            on_trial=on_trial,
        )
        return store.trials()


def plain(trial: Trial) -> tuple[object, ...]:
    return (trial.id, trial.design, trial.scores, trial.evidence)


def test_trials_hold_the_truth_and_what_the_support_said(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    splits: list[Split] = []
    trials = go(tiny_bundle, tmp_path, on_trial=lambda *c: calls.append(c), splits=splits)
    assert calls == [(done, 9) for done in range(1, 10)]
    assert Split.TRAIN not in splits, "only classes that the weights never saw"
    assert len({trial.design for trial in trials}) == 9
    task = Source(3, []).draw(Split.VALIDATION, stream(5, "experience", 1))
    support = Support(
        task.support.x,
        task.support.labels,
        task.spec,
        tiny_bundle.shared,
        tiny_bundle.prepare,
        seed=1,
    )
    trial = next(trial for trial in trials if trial.id == "task-1-design-2")
    found = assess(trial.design, support)
    module = module_of(finish(trial.design, support, found.sharpness))
    truth = (module(task.query.x).argmax(1) == task.query.labels).double().mean()
    assert trial.scores["accuracy"] == found.accuracy
    assert trial.scores["truth"] == pytest.approx(float(truth))
    assert trial.evidence["profile"] == pytest.approx(support_profile(support).tolist())
    assert (trial.evidence["judged"], trial.task, trial.run) == (9, "task-1", "meta-train")


@pytest.mark.parametrize("after", [1, 4])
def test_what_is_stored_is_not_tried_again(
    tiny_bundle: Bundle, tmp_path: Path, after: int
) -> None:
    def stop(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    whole = go(tiny_bundle, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tiny_bundle, tmp_path / "cut", on_trial=stop)
    calls: list[int] = []
    trials = go(tiny_bundle, tmp_path / "cut", on_trial=lambda done, total: calls.append(done))
    assert calls == list(range(after + 1, 10))
    assert [plain(trial) for trial in trials] == [plain(trial) for trial in whole]


def test_experience_is_read_task_by_task(tiny_bundle: Bundle, tmp_path: Path) -> None:
    trials = go(tiny_bundle, tmp_path)
    with Store(tmp_path) as store:
        store.add_trial(Trial("other", "task-0", trials[0].design, {"accuracy": 1.0}, run="mine"))
        tried = read_experience(store)
    assert [len(task.designs) for task in tried] == [3, 3, 3]
    for number, task in enumerate(tried):
        own = trials[3 * number : 3 * number + 3]
        assert list(task.designs) == [trial.design for trial in own]
        assert_allclose(task.truth, [trial.scores["truth"] for trial in own])
        assert_allclose(task.measured, [trial.scores["accuracy"] for trial in own])
        assert_allclose(task.profile, own[0].evidence["profile"])
    shots = [float(np.exp(task.profile[1])) for task in tried]
    assert shots == pytest.approx([1, 3, 1])
    assert [task.judged for task in tried] == [18, 9, 18]


def test_elites_are_those_with_the_best_mean_over_tasks() -> None:
    rng, experience = stream(1), []
    for _ in range(10):
        designs = [sample(convolutional(), rng) for _ in range(4)]
        truth = np.array([float(d["head"]["kind"] == "ridge") for d in designs])
        profile = torch.randn(7, generator=rng, dtype=torch.float64).numpy()
        experience.append(Experience(profile, designs, truth, truth, 10))
    model = fit_proposal_model(convolutional(), experience)
    found = elites(model, experience, count=5, seed=0)
    assert len(set(found)) == 5
    means = np.mean(
        [model.predict(torch.from_numpy(task.profile), found) for task in experience], axis=0
    )
    assert list(means) == sorted(means, reverse=True)
    everything = [design for task in experience for design in task.designs]
    others = np.mean(
        [model.predict(torch.from_numpy(task.profile), everything) for task in experience], axis=0
    )
    assert means[0] >= others.max()
    assert all(design["head"]["kind"] == "ridge" for design in found)
