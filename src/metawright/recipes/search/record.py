"""What a run leaves: every trial in its stores, the front, and `run.json`."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load

from metawright.engine.run_folder import RunFolder
from metawright.errors import InputError, MetawrightError
from metawright.recipes.search.asked import KIND, Asked, Limits
from metawright.recipes.search.controls import FINAL, RANKED, REPEAT
from metawright.recipes.search.earlier import best_elsewhere
from metawright.recipes.search.job import role_of
from metawright.recipes.search.problem import Problem
from metawright.spaces import Design, count, space_to_json
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import objective
from metawright.strategies.pareto import Archive

__all__ = ["SearchRecord", "Watch", "check_space", "told_at_start"]

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "trials", "front", "chosen", "seconds" and "stage"."""

SAVE_EVERY = 2.0  # seconds between two writings of run.json


class SearchRecord:
    """The trials of a run and their front, kept where a kill cannot reach them.

    Arguments:
        problem, asked: what is searched.
        folder: of the run.
        own: its store; shared: a further one that other runs write to, if any.
        watch: is told of every trial.
    """

    def __init__(
        self,
        problem: Problem,
        asked: Asked,
        folder: RunFolder,
        own: Store,
        shared: Store | None,
        watch: Watch | None,
    ) -> None:
        self.problem, self.asked, self.folder, self.watch = problem, asked, folder, watch
        self.shared = shared
        self.stores = [own] if shared is None else [own, shared]
        self.blobs = Blobs(own.folder)
        self.goals = [objective(name) for name in asked.objectives]
        self.id = folder.record.setdefault("id", _new_id(folder))
        self.trials = own.trials(run=self.id)
        self.archive = Archive(self.goals, asked.limits())
        self.archive.tell([trial for trial in self.trials if role_of(trial) in RANKED])
        self.made_at = dict(folder.record.get("made_at", {}))
        self.stage, self._saved_at = "Searching", 0.0

    def begin(self) -> None:
        """Notes the run, and that it goes on."""
        info = {"data": self.problem.name, "out": self.folder.path.name}
        for each in self.stores:
            each.add_run(RunRecord(self.id, KIND, info=info))
            each.add_trials(self.trials)  # a kill may have come between the two stores
        self.folder.save(status="running")

    def keep(self, trial: Trial, weights: bytes) -> Trial:
        """A trial was made: into the stores first, then into the front."""
        if weights and role_of(trial) != REPEAT:
            trial = replace(trial, weights=self.blobs.put(load(weights)))
        for each in self.stores:
            each.add_trial(trial)
        self.trials.append(trial)
        if role_of(trial) in RANKED:
            self.archive.tell([trial])
        self.made_at[trial.id] = round(self.folder.seconds, 3)
        if self.folder.seconds - self._saved_at > SAVE_EVERY:
            self.save()
        if self.watch is not None:
            self.watch(self._event(trial))
        return trial

    def chosen(self) -> Trial:
        """The best of the front by the rule that was asked for.

        Raises:
            InputError: no design meets the constraints; the sentence names the nearest.
            MetawrightError: no design has a score; the sentence names the last error.
        """
        if not self.archive.trials and self.archive.nearest is None:
            raise MetawrightError(self._no_answer())
        return self.archive.choose(self.asked.rule)

    def save(self, **changes: Any) -> None:
        """Writes `run.json`."""
        self._saved_at = self.folder.seconds
        front = self.archive.trials
        self.folder.save(
            trials=len(self.trials),
            failed=sum(trial.status == "failed" for trial in self.trials),
            front=[trial.id for trial in front],
            best=self.archive.choose(self.asked.rule).id if front else None,
            made_at=self.made_at,
            **changes,
        )

    def end(self) -> None:
        """The run is done: only the weights of the front, and of longer trainings, are kept."""
        kept = {trial.weights for trial in self.archive.trials}
        kept |= {trial.weights for trial in self.trials if role_of(trial) == FINAL}
        for trial in self.trials:
            if trial.weights is not None and trial.weights not in kept:
                self.blobs.path(trial.weights).unlink(missing_ok=True)
        for each in self.stores:
            each.update_run(self.id, status="done")

    def earlier(self) -> list[Design]:
        """What did best on other tasks of the shared store."""
        if self.shared is None:
            return []
        if "earlier" not in self.folder.record:  # later sessions must try the same ones first
            known = self.shared.trials(status="ok")
            space, task = self.problem.space, self.problem.fingerprint
            found = best_elsewhere(known, space, self.goals[0], task=task)
            self.folder.save(earlier=[design.to_json() for design in found])
        return [Design.from_json(design) for design in self.folder.record["earlier"]]

    def _event(self, trial: Trial) -> dict[str, Any]:
        front = self.archive.trials
        return {
            "trial": trial,
            "trials": len(self.trials),
            "front": front,
            "chosen": self.archive.choose(self.asked.rule) if front else None,
            "seconds": self.folder.seconds,
            "stage": self.stage,
        }

    def _no_answer(self) -> str:
        names = " and ".join(self.asked.objectives)
        failed = [trial for trial in self.trials if trial.status == "failed"]
        if not failed:
            return (
                f"No design was trained in full, so that none has {names}: give a larger --budget."
            )
        last = failed[-1].evidence
        advice = {
            "time": "give a larger --trial-seconds or --budget",
            "memory": "give a larger --memory, or search a space with smaller designs",
        }.get(str(last.get("how")), "mend that, or give a larger --budget to try more designs")
        made = "design" if len(self.trials) == 1 else "designs"
        return (
            f"None of the {len(self.trials)} {made} tried has {names}; the last error: "
            f"{str(last['error']).rstrip('.')}: {advice}."
        )


def check_space(out: Path, folder: RunFolder, problem: Problem) -> None:
    """Refuses a folder whose run searched another space under the same name.

    Raises:
        InputError: it did.
    """
    if folder.record.get("space", space_to_json(problem.space)) != space_to_json(problem.space):
        raise InputError(
            f"'{out}' holds a run with another space: choose another --out, or give the same "
            "space as then to go on."
        )


def told_at_start(problem: Problem, asked: Asked, limits: Limits) -> dict[str, Any]:
    """What `run.json` says from the start."""
    designs = count(problem.space)
    return {
        "kind": KIND,
        "asked": asked.to_json(),
        "data": {
            "name": problem.name,
            "fingerprint": problem.fingerprint,
            "notes": list(problem.notes),
        },
        "seed": asked.seed,
        "bundle": None,
        "spec": None if problem.spec is None else problem.spec.to_json(),
        "space": space_to_json(problem.space),
        "designs": designs if isinstance(designs, int) else None,
        "budget": {"seconds": limits.seconds, "trials": limits.trials},
    }


def _new_id(folder: RunFolder) -> str:
    text = f"{folder.record['created']}{folder.path.resolve()}{time.time_ns()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
