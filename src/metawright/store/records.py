"""What is remembered: a trial (what was tried and what came of it) and a run (who tried it).

Records are values in plain data: they know no database and no tensors. Weights stay in the blobs;
a trial carries only their hash.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from metawright.spaces.design import Design

__all__ = ["RunRecord", "Status", "Trial"]

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Trial:
    """One design tried on one task. Experience is all trials ever stored.

    Scores and costs may be NaN or infinite; a store gives both back as NaN, because JSON has
    neither. The mappings are copied, so that the caller's own may change later.

    Arguments:
        id: unique name; a store keeps the first trial of an id.
        task: id or fingerprint of the task.
        design: architecture and hyperparameters together.
        scores: quality by name, such as {"accuracy": 0.93}.
        cost: price by name, such as {"seconds": 1.2, "parameters": 4096}.
        evidence: anything in plain JSON that explains the scores (folds, curves, the error).
        status: "ok", or "failed" when no score could be had.
        run: id of the run that made it.
        created: seconds since 1970 (UTC).
        weights: blob hash of the trained weights, or None when they were not kept.
    """

    id: str
    task: str
    design: Design
    scores: Mapping[str, float]
    cost: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "ok"
    run: str = ""
    created: float = field(default_factory=time.time)
    weights: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("`id` must be a non-empty text, but got ''.")
        if self.status not in get_args(Status):
            raise ValueError(f"`status` must be 'ok' or 'failed', but got {self.status!r}.")
        object.__setattr__(self, "scores", _numbers("scores", self.scores))
        object.__setattr__(self, "cost", _numbers("cost", self.cost))
        object.__setattr__(self, "evidence", dict(self.evidence))


@dataclass(frozen=True)
class RunRecord:
    """One call of a command that fills a store.

    Arguments:
        id: unique name.
        command: what was run, such as "generate" or "meta-train".
        created: seconds since 1970 (UTC).
        status: how it stands, such as "running", "done", "stopped" or "failed".
        info: anything in plain JSON: arguments, seed, version, the data's fingerprint.
    """

    id: str
    command: str
    created: float = field(default_factory=time.time)
    status: str = "running"
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("`id` must be a non-empty text, but got ''.")
        object.__setattr__(self, "info", dict(self.info))


def _numbers(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """A copy in plain floats, whatever kind of number (NumPy's, a tensor of one entry) came."""
    try:
        return {key: float(value) for key, value in values.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must map names to numbers, but got {values!r}.") from error
