"""What is tried: a design in a role, how far and with which seed, and who works on it."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from metawright.engine.workers import Outcome
from metawright.spaces.design import Design
from metawright.store.records import Trial

__all__ = ["CONTROL", "FULL", "SEARCH", "Job", "Runner", "identity", "identity_of", "role_of"]

SEARCH, CONTROL, FULL = "search", "control", "full"

Identity: TypeAlias = tuple[str, str, int, str, float]


@dataclass(frozen=True)
class Job:
    """A design to be tried: in which role, how far, and with which seed.

    Arguments:
        role: SEARCH; CONTROL; FULL, the best of those trained in part, where a strategy has
            trained none in full; or what a later stage calls its trials.
        of: id of the trial that it repeats or varies, if any.
        epochs: of its training, where that is another number than for all; seconds: after which
            its training ends, wherever it stands.
    """

    design: Design
    role: str
    fidelity: float = 1.0
    seed: int = 0
    of: str = ""
    epochs: int | None = None
    seconds: float | None = None


class Runner(Protocol):
    """Who works on jobs: `engine.workers.Workers` or `engine.inline.Inline`."""

    @property
    def free(self) -> int:
        """How many jobs can be submitted now."""
        ...

    def submit(
        self,
        key: Any,
        *arguments: Any,
        seconds: float | None = None,
        until: float | None = None,
        **keywords: Any,
    ) -> None:
        """Gives somebody a job."""
        ...

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """What came of jobs; waits for the first of them, but not longer than `seconds`."""
        ...


def role_of(trial: Trial) -> str:
    """In which role a design was tried."""
    return str(trial.evidence.get("role", SEARCH))


def identity(job: Job, epochs: int | None) -> Identity:
    """What tells a job from others: a trial with the same has done it already."""
    stretch = round(job.epochs / epochs, 2) if job.epochs and epochs else 1.0
    return job.role, job.of, job.seed, job.design.key, stretch


def identity_of(trial: Trial) -> Identity:
    """The identity of the job that a trial came from."""
    told = trial.evidence
    stretch = float(told.get("stretch", 1.0))
    return role_of(trial), str(told.get("of", "")), int(told["seed"]), trial.design.key, stretch
