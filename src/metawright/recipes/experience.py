"""Experience: designs tried on many tasks of classes that the shared weights never saw.

For each task the truth is known (its queries), so what the support alone would have said of a
design can be compared with what it is worth. The proposal model is fitted to these trials.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metawright.evaluate.assessment import assess, finish
from metawright.evaluate.support import Support
from metawright.generators.profile import profile, reference_network
from metawright.generators.proposal import Experience, ProposalModel
from metawright.models.build import Blueprint, module_of
from metawright.rng import stream
from metawright.spaces import SPACES, Design
from metawright.spaces.draw import sample
from metawright.store.database import Store
from metawright.store.records import Trial
from metawright.tasks.task import Split, Task, TaskSource

__all__ = ["ExperienceRecipe", "elites", "gather", "support_profile", "read_experience"]


@dataclass(frozen=True)
class ExperienceRecipe:
    """How experience is gathered.

    Arguments:
        tasks: how many tasks; designs: how many designs on each.
        ways, shots: ranges that tasks are drawn from; queries: examples of a class to judge on.
        seed: of tasks and designs.
    """

    tasks: int = 48
    designs: int = 12
    ways: tuple[int, int] = (5, 12)
    shots: tuple[int, ...] = (1, 2, 5, 10)
    queries: int = 10
    seed: int = 0


def support_profile(support: Support) -> Tensor:
    """The profile of a support set."""
    network = reference_network()
    features = {
        "x": support.shared_features(network, 0.0)[0],
        "copies": support.shared_features(network, 0.6)[0],
    }
    return profile(support.spec, support.labels, support.x, support.copies(0.6, 1)[0], features)


def gather(
    source_of: Callable[[int], TaskSource],
    shared: Mapping[str, Tensor],
    prepare: Blueprint,
    recipe: ExperienceRecipe,
    store: Store,
    *,
    on_trial: Callable[[int, int], None] | None = None,
) -> None:
    """Tries designs on tasks and stores every trial; those already stored are not tried again.

    Arguments:
        source_of: gives a source of tasks with so many shots.
        on_trial: called with (trials done, trials in all).
    """
    known = {trial.id for trial in store.trials(run="meta-train")}
    space = SPACES["convolutional"]()
    total = recipe.tasks * recipe.designs
    done = len(known)
    for number in range(recipe.tasks):
        names = [f"task-{number}-design-{place}" for place in range(recipe.designs)]
        if known.issuperset(names):
            continue
        shots = recipe.shots[number % len(recipe.shots)]
        rng = stream(recipe.seed, "experience", number)
        split = Split.VALIDATION if number % 2 else Split.TEST
        task = source_of(shots).draw(split, rng)
        support = Support(
            task.support.x, task.support.labels, task.spec, shared, prepare, seed=number
        )
        numbers = support_profile(support).tolist()
        for place, name in enumerate(names):
            design = sample(space, stream(recipe.seed, "design", number, place))
            if name not in known:
                store.add_trial(_trial(name, design, task, support, numbers))
                done += 1
                if on_trial is not None:
                    on_trial(done, total)


def _trial(
    name: str, design: Design, task: Task, support: Support, numbers: Sequence[float]
) -> Trial:
    found = assess(design, support)
    built = finish(design, support, found.sharpness)
    with torch.no_grad():
        outputs = module_of(built)(task.query.x)
    truth = float((outputs.argmax(1) == task.query.labels).double().mean())
    return Trial(
        id=name,
        task=name.partition("-design")[0],
        design=design,
        scores={"accuracy": found.accuracy, "log_loss": found.log_loss, "truth": truth},
        cost={"seconds": found.seconds},
        evidence={
            "profile": list(numbers),
            "judged": len(found.labels),
            "source": task.spec.source,
            "classes": list(task.spec.classes),
        },
        run="meta-train",
    )


def read_experience(store: Store) -> list[Experience]:
    """The stored trials, task by task."""
    tasks: dict[str, list[Trial]] = {}
    for trial in store.trials(run="meta-train", status="ok"):
        tasks.setdefault(trial.task, []).append(trial)
    return [
        Experience(
            np.array(trials[0].evidence["profile"]),
            [trial.design for trial in trials],
            np.array([trial.scores["truth"] for trial in trials]),
            np.array([trial.scores["accuracy"] for trial in trials]),
            int(trials[0].evidence["judged"]),
        )
        for trials in tasks.values()
    ]


def elites(
    model: ProposalModel, experience: Sequence[Experience], *, count: int, seed: int
) -> tuple[Design, ...]:
    """The designs with the best predicted mean over all tasks, best first.

    The first of them is the best single fixed design that experience knows.
    """
    rng = stream(seed, "elites")
    pool: list[Any] = [design for task in experience for design in task.designs]
    pool = list(dict.fromkeys([*pool, *(sample(model.space, rng) for _ in range(500))]))
    # Predictions are linear in the profile, so their mean is that of the mean profile.
    profiles = np.mean([task.profile for task in experience], axis=0)
    means = model.predict(torch.from_numpy(profiles), pool)
    return tuple(pool[index] for index in np.argsort(-means, kind="stable")[:count])
