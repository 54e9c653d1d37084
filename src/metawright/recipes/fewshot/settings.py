"""How each learner is trained where the user says nothing: one table.

Rates inside a task are the papers'. Outside, steps are fewer and rates higher than in the papers,
which train for hours on a GPU: 4 to 8 tasks a step and a cosine get further in minutes on a CPU
(docs/results.md). A row that is not in the table gets the settings of its kind of task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from metawright.recipes.fewshot.asked import Asked

__all__ = ["Settings", "settings_for"]

CLASSES, NUMBERS = "classification", "regression"


@dataclass(frozen=True)
class Settings:
    """How to meta-train, and what to ask of the learner.

    Arguments:
        tasks: tasks of a step.
        lr, optimiser, schedule, clip: see `metawright.training.fit`.
        queries: query examples of a class in training; judging has its own number.
        ways: classes of a training task, None for as many as in judging; more is better for
            learners whose output is not of fixed width.
        inner_lr, inner_steps, evaluation_steps, normalisation: of the learner, None for what its
            row says; see `metawright.recipes.fewshot.learners`.
    """

    tasks: int = 8
    lr: float = 2e-3
    optimiser: Literal["adam", "sgd"] = "adam"
    schedule: str = "cosine"
    clip: float | None = 10.0
    queries: int = 5
    ways: int | None = None
    inner_lr: float | None = None
    inner_steps: int | None = None
    evaluation_steps: int | None = None
    normalisation: str | None = None


_KINDS: Mapping[str, Settings] = {
    CLASSES: Settings(),
    # Finn et al., 2017, section 5.1: 25 tasks, Adam 1e-3.
    NUMBERS: Settings(tasks=25, lr=1e-3, queries=10),
}

# Nichol et al. train on 10 to 15 examples a class, also for one-shot use. The rate of SGD is the
# paper's outer step; the inner rate is higher than its 1e-3, which is meant for 100,000 steps.
_REPTILE = Settings(
    tasks=5, lr=1.0, optimiser="sgd", schedule="linear", clip=None, queries=10, inner_lr=8e-3
)

_DEAR = Settings(tasks=5, lr=3e-3, queries=10)

_LEARNERS: Mapping[tuple[str, str], Settings] = {
    # Finn et al.: one step of 0.4 in training, three in use.
    ("maml", CLASSES): Settings(evaluation_steps=3),
    ("first-order-maml", CLASSES): Settings(evaluation_steps=3),
    ("reptile", CLASSES): _REPTILE,
    ("reptile", NUMBERS): replace(_REPTILE, inner_lr=1e-3),
    # A step is many times as dear as MAML's: fewer tasks and a higher rate get much further.
    ("bayesian-maml", NUMBERS): _DEAR,
    ("platipus", NUMBERS): _DEAR,
    # Snell et al.: more classes in training than in use.
    ("prototypical-network", CLASSES): Settings(tasks=1, ways=20),
}


def settings_for(asked: Asked, kind: str) -> Settings:
    """The table's row for a learner on a kind of task ("classification", "regression"), with what
    the user asked for in its place.

    Example:
        >>> from metawright.recipes.fewshot.asked import Asked
        >>> asked = Asked("maml", ("glyphs",), steps=5, inner_steps=2)
        >>> settings = settings_for(asked, "classification")
        >>> settings.inner_steps, settings.evaluation_steps
        (2, 3)
    """
    known = _LEARNERS.get((asked.learner, kind), _KINDS[kind])
    names = ("inner_lr", "inner_steps", "lr", "normalisation")
    given = {name: getattr(asked, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    if asked.tasks_per_step is not None:
        changes["tasks"] = asked.tasks_per_step
    if asked.inner_steps is not None:
        # Never fewer in use than in training: the last steps would be for nothing.
        changes["evaluation_steps"] = max(asked.inner_steps, known.evaluation_steps or 0)
    return replace(known, **changes)
