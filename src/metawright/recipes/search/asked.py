"""What a search is asked for, checked before anything heavy is loaded.

`Asked` tells one run from another: it is what `run.json` keeps of the question, and a run goes on
only where it is the same. `Limits` may change from one call to the next. No torch here.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metawright.errors import InputError, did_you_mean
from metawright.spaces import SPACES
from metawright.strategies.choose import STRATEGIES
from metawright.strategies.objectives import ALIASES, OBJECTIVES, Constraint, Rule, objective

__all__ = [
    "KIND",
    "OWN",
    "RULES",
    "USUAL_SPACE",
    "Asked",
    "Limits",
    "is_file",
    "parse_amount",
    "usual_workers",
]

KIND = "search"
OWN = "own"
"""The name of a space, or of data, that was given as an object."""

USUAL_SPACE = "cells"
RULES = ("best", "knee")
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_TIMES = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True)
class Asked:
    """One question: what is searched, on what, how, and after what.

    Arguments:
        data: a source, a folder, a file, the name of a table of measured architectures, or `OWN`.
        space: a row of `SPACES`, the path of a Python file with `space`, or `OWN`.
        strategy: a row of `STRATEGIES`.
        objectives: names of measures, the most important first.
        constraints: the most that measures may be, by name.
        choose: which point of the front is taken: "best" in the first objective, or the "knee".
        epochs: of a full training; None for as many as the budget allows.
        examples: at most in all, cut from every class alike; None for all.
        size, channels: of images that are read from folders.
        controls: whether a share of the budget goes to what a search must be compared with.
        seed: of the division of the data, of proposals and of trainings.

    Raises:
        InputError: a name that is not known, or a number out of its range.
    """

    data: str
    space: str
    strategy: str = "evolution"
    objectives: tuple[str, ...] = ("accuracy",)
    constraints: tuple[tuple[str, float], ...] = ()
    choose: str = "best"
    epochs: int | None = None
    examples: int | None = None
    size: int | None = None
    channels: int | None = None
    controls: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            hint = did_you_mean(self.strategy, [*STRATEGIES])
            raise InputError(f"There is no strategy '{self.strategy}': {hint}")
        if not is_file(self.space) and self.space not in (*SPACES, OWN):
            hint = did_you_mean(self.space, [*SPACES])
            raise InputError(f"There is no space '{self.space}': {hint}")
        if self.choose not in RULES:
            raise InputError(f"--choose must be best or knee, but got {self.choose!r}.")
        for name in ("epochs", "examples", "size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, but got {value}.")
        if self.channels not in (None, 1, 3):
            raise InputError(
                f"--channels must be 1 (grey) or 3 (colour), but got {self.channels}."
            )
        names = tuple(dict.fromkeys(objective(_known(name)).name for name in self.objectives))
        if not names:
            raise InputError("Give at least one --objective, such as accuracy.")
        object.__setattr__(self, "objectives", names)
        told = tuple(sorted((c.name, float(c.most)) for c in self.limits()))
        object.__setattr__(self, "constraints", told)

    def limits(self) -> list[Constraint]:
        """The constraints as a strategy takes them.

        Raises:
            InputError: one that no design can meet.
        """
        for name, most in self.constraints:
            if not 0 < most < math.inf:
                raise InputError(f"--max-{name} must be more than 0, but got {most:g}.")
        return [Constraint(name, most) for name, most in self.constraints]

    @property
    def rule(self) -> Rule:
        """How one point of the front is chosen."""
        return "knee" if self.choose == "knee" else "best"

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run.json` keeps it."""
        pairs = [list(pair) for pair in self.constraints]
        return asdict(self) | {"objectives": list(self.objectives), "constraints": pairs}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Asked":
        """What `to_json` gave."""
        pairs = tuple((name, most) for name, most in data["constraints"])
        return Asked(**{**data, "objectives": tuple(data["objectives"]), "constraints": pairs})


@dataclass(frozen=True)
class Limits:
    """How far a search may go; another call may give others.

    Arguments:
        seconds: wall-clock time in all; None where trials are given.
        trials: designs to try; None: as many as the time allows.
        workers: designs tried at once, each in a process with one thread; 0: in this process,
            where no limit can be enforced.
        trial_seconds: that one design may take; None: as long as there is time.
        memory: bytes that one worker may hold; None: as many as there are.
        failures: share of failed trials at which the search stops.

    Raises:
        InputError: a number out of its range, or neither a time nor a number of trials.
    """

    seconds: float | None = None
    trials: int | None = None
    workers: int = 1
    trial_seconds: float | None = None
    memory: int | None = None
    failures: float = 0.5

    def __post_init__(self) -> None:
        if self.seconds is None and self.trials is None:
            raise InputError("Give a --budget or --trials: how long to search.")
        for name, value in (("trials", self.trials), ("memory", self.memory)):
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, but got {value}.")
        for name, time in (("budget", self.seconds), ("trial-seconds", self.trial_seconds)):
            if time is not None and not 0 < time < math.inf:
                raise InputError(f"--{name} must be more than 0, but got {time}.")
        if self.workers < 0:
            raise InputError(f"--workers must be at least 0, but got {self.workers}.")
        if not 0 < self.failures <= 1:
            raise InputError(
                f"--max-failures must be above 0 and at most 1, but got {self.failures}."
            )


def parse_amount(text: str, flag: str) -> float:
    """A number with an optional unit: "100k", "1.5M", "300000"; of bytes also "1MB"; for a latency
    "2ms", "40us".

    Raises:
        InputError: the text is no such number.

    Example:
        >>> parse_amount("100k", "--max-params"), parse_amount("2ms", "--max-latency")
        (100000.0, 0.002)
    """
    factors, example = _COUNTS, "100k or 1.5M"
    if flag.endswith("latency"):
        factors, example = _TIMES, "2ms or 40us"
    words = text.strip().lower().replace("µ", "u")
    if flag.endswith(("bytes", "memory")):
        words = words.removesuffix("b")
    number = words.rstrip("kmgus")
    try:
        amount = float(number) * factors[words[len(number) :]]
    except (KeyError, ValueError):
        amount = math.nan
    if not 0 < amount < math.inf:
        raise InputError(f"{flag} must be a number such as {example}, but got {text!r}.")
    return amount


def usual_workers() -> int:
    """One a core, four at most: each holds a copy of the data."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(4, cores or 1))


def is_file(space: str) -> bool:
    """Whether a space is given as a Python file.

    Raises:
        InputError: it is, but there is no such file.
    """
    if not space.endswith(".py"):
        return False
    if not Path(space).is_file():
        raise InputError(f"There is no file '{space}': give a Python file that defines `space`.")
    return True


def _known(name: str) -> str:
    if name not in OBJECTIVES and name not in ALIASES:
        raise InputError(
            f"There is no objective '{name}': {did_you_mean(name, [*OBJECTIVES, *ALIASES])}"
        )
    return name
