"""What a report is made of: everything that a run folder holds, read once and in order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metawright.models.saved import SavedModel, load_model
from metawright.recipes.inputs import read_run
from metawright.store.database import Store
from metawright.store.records import Trial

__all__ = ["Facts", "read_facts"]


@dataclass(frozen=True)
class Facts:
    """A run, ready to be told.

    Arguments:
        run: its folder, as the user gave it.
        told: what `run.json` holds.
        model: its best model.
        trials: those with a score, the best estimate first.
        failed: those without.
    """

    run: Path
    told: Mapping[str, Any]
    model: SavedModel
    trials: tuple[Trial, ...]
    failed: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """Of the data."""
        return str((self.told.get("data") or {}).get("name") or self.run.name)

    @property
    def support(self) -> dict[str, int]:
        """Examples of each class that the model was made from; empty where not known."""
        return dict((self.told.get("data") or {}).get("support") or {})

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in label order."""
        spec = self.model.spec
        return spec.classes or tuple(str(label) for label in range(spec.outputs))

    @property
    def shares(self) -> dict[str, float]:
        """Trials that the model consists of, with their shares."""
        best = self.told.get("best") or {}
        members = best.get("members") or []
        weights = best.get("weights") or [1 / max(len(members), 1)] * len(members)
        return dict(zip(members, weights, strict=False))

    @property
    def members(self) -> list[Trial]:
        """The trials that the model consists of, in the order of the model."""
        known = {trial.id: trial for trial in self.trials}
        return [known[name] for name in self.shares if name in known]


def read_facts(run: Path) -> Facts:
    """All that is known of a run.

    Raises:
        InputError: not a run, or one without a model yet.
    """
    told = read_run(run)
    trials: list[Trial] = []
    # Opening a store that is not there would make one.
    if (run / "store" / "store.sqlite").exists():
        with Store(run / "store") as store:
            trials = [_estimated(trial, told) for trial in store.trials()]
    scored = [t for t in trials if t.status == "ok" and math.isfinite(estimate(t))]
    return Facts(
        run,
        told,
        load_model(run),
        tuple(sorted(scored, key=estimate, reverse=True)),
        tuple(trial for trial in trials if trial not in scored),
    )


def _estimated(trial: Trial, told: Mapping[str, Any]) -> Trial:
    """The trial with its estimate, which depends on all trials and so is kept with the run."""
    found = (told.get("estimates") or {}).get(trial.id)
    return trial if found is None else replace(trial, scores={**trial.scores, "estimate": found})


def estimate(trial: Trial) -> float:
    """What a trial is ranked by: its estimate, else its accuracy."""
    return trial.scores.get("estimate", trial.scores.get("accuracy", math.nan))
