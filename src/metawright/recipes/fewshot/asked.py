"""What a few-shot run is asked for, checked before anything heavy is loaded.

`Asked` is plain data: it is what `run.json` keeps of the question, so that the same command can be
told from another one. This module imports no torch; folders of images are looked at in NumPy.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metawright.errors import InputError, did_you_mean
from metawright.tasks import SOURCES

__all__ = ["COMPARISON", "KIND", "Asked", "is_own"]

KIND = "fewshot"
COMPARISON = "fewshot comparison"


@dataclass(frozen=True)
class Asked:
    """One question: who learns, from what, for how long, judged on how much.

    Arguments:
        learner: name of a row of `LEARNERS`; for a comparison, several joined by commas.
        sources: names of `SOURCES`, or folders with one sub-folder of images, .txt or .wav files
            a class, or tables of texts; tasks of several sources are mixed in equal parts.
        ways: classes of a task, at least 2 (means nothing to regression).
        shots: support examples of a class, or of a regression task; None for 1, or 10 in all.
        queries: query examples of a class, or of a regression task.
        steps: steps of meta-training; None for as many as the budget allows.
        budget: seconds of meta-training; None where steps are given.
        tasks: test tasks that the learner is judged on.
        inner_lr, inner_steps, lr, tasks_per_step, normalisation: settings that replace the
            learner's own.
        size, channels: of the images of a folder (and of sources that can be asked for it).
        seed: of first weights, tasks and everything else that is drawn.

    Raises:
        InputError: a number out of its range, or a source that is neither a name nor a folder.
    """

    learner: str
    sources: tuple[str, ...]
    ways: int = 5
    shots: int | None = None
    queries: int = 15
    steps: int | None = None
    budget: float | None = None
    tasks: int = 600
    inner_lr: float | None = None
    inner_steps: int | None = None
    lr: float | None = None
    tasks_per_step: int | None = None
    normalisation: str | None = None
    size: int | None = None
    channels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, ways=2, queries=1, tasks=2)
        optional = ("shots", "steps", "inner_steps", "tasks_per_step", "size")
        _at_least(self, **{name: 1 for name in optional if getattr(self, name) is not None})
        for name in ("inner_lr", "lr", "budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"--{_flag(name)} must be more than 0, but got {value}.")
        if self.channels not in (None, 1, 3):
            raise InputError(
                f"--channels must be 1 (grey) or 3 (colour), but got {self.channels}."
            )
        if (self.steps is None) == (self.budget is None):
            raise InputError("Give either --steps or --budget: how long to meta-train.")
        if not self.sources:
            raise InputError("Give a --source of tasks: see `metawright sources`, or a folder.")
        for source in self.sources:
            _check_source(source)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run.json` keeps it."""
        return asdict(self) | {"sources": list(self.sources)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Asked":
        """What `to_json` gave."""
        return Asked(**{**data, "sources": tuple(data["sources"])})


def is_own(source: str) -> bool:
    """Whether a source is a folder or file of the user's; one named like a source comes first."""
    return Path(source).exists()


def _check_source(source: str) -> None:
    if is_own(source):
        return
    if source not in SOURCES:
        hint = did_you_mean(source, [*SOURCES])
        raise InputError(f"There is no source or folder '{source}': {hint}")


def _at_least(asked: Asked, **least: int) -> None:
    for name, low in least.items():
        if getattr(asked, name) < low:
            raise InputError(
                f"--{_flag(name)} must be at least {low}, but got {getattr(asked, name)}."
            )


def _flag(name: str) -> str:
    return name.replace("_", "-")
