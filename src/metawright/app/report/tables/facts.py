"""What the report of a table is made of: all that the run folder holds, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metawright.app.report.words import amount, number, percent
from metawright.errors import InputError
from metawright.store.database import Store
from metawright.store.files import read_json
from metawright.store.records import Trial

__all__ = ["TableFacts", "read_table_facts", "score_name", "score_shown", "size_shown"]

_NAMES = {"r2": "R²", "rmse": "root mean squared error", "mae": "mean absolute error",
          "auc": "area under the ROC curve"}  # fmt: skip


@dataclass(frozen=True)
class TableFacts:
    """A run on a table, ready to be told.

    Arguments:
        run: its folder, as the user gave it.
        told: what `run.json` holds.
        trials: those with scores, the best first.
        failed: those without.
        first: the first pipeline, a scaled linear one.
    """

    run: Path
    told: Mapping[str, Any]
    trials: tuple[Trial, ...]
    failed: tuple[Trial, ...]
    first: Trial | None

    @property
    def loss(self) -> str:
        """The score that pipelines are ranked by: less is better."""
        return "log_loss" if "log_loss" in self.told["scores"] else "rmse"

    @property
    def headline(self) -> str:
        """The score that people ask for."""
        return "accuracy" if "accuracy" in self.told["scores"] else "r2"

    @property
    def shares(self) -> dict[str, float]:
        """Of the trials that the model consists of."""
        return dict(zip(self.told["best"]["members"], self.told["best"]["weights"], strict=True))

    @property
    def classes(self) -> list[str]:
        """Their names in label order; empty for numbers."""
        return list(self.told["check"]["classes"])

    @property
    def explained(self) -> Mapping[str, Any]:
        """What is known of how this very model hangs on the columns."""
        told = self.told.get("explained") or {}
        return told if told.get("of") == self.told["best"]["members"] else {}


def read_table_facts(run: Path) -> TableFacts:
    """All that is known of a run.

    Raises:
        InputError: the run has no model yet.
    """
    told = read_json(run / "run.json")
    if not told.get("scores"):
        raise InputError(f"The run '{run}' has no model yet: run the same command to go on.")
    with Store(run / "store") as store:
        trials = store.trials(run=told["id"])
    scored = [trial for trial in trials if trial.scores]
    loss = "log_loss" if "log_loss" in told["scores"] else "rmse"
    return TableFacts(
        run,
        told,
        tuple(sorted(scored, key=lambda trial: trial.scores[loss])),
        tuple(trial for trial in trials if trial.status == "failed"),
        scored[0] if scored else None,
    )


def score_name(name: str) -> str:
    """A score as people call it.

    Example:
        >>> score_name("r2"), score_name("log_loss")
        ('R²', 'log loss')
    """
    return _NAMES.get(name, name.replace("_", " "))


def score_shown(name: str, value: float) -> str:
    """A score with its digits."""
    if abs(value) < 1e-12:
        value = 0.0
    return percent(value) if "accuracy" in name else number(value, 4)


def size_shown(size: float) -> str:
    """Bytes with their unit.

    Example:
        >>> size_shown(568), size_shown(23_456)
        ('568 B', '23.5 kB')
    """
    told = amount(size)
    return f"{told}B" if told[-1:].isalpha() else f"{told} B"
