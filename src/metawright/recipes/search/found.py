"""What a search gives: the chosen design and its network, the front, and every trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from metawright.errors import InputError
from metawright.models.architectures import ARCHITECTURES, network_blueprint
from metawright.models.saved import MODEL_FILE, load_model, save_model
from metawright.recipes.search.asked import KIND, OWN, Asked, is_file
from metawright.recipes.search.own_file import FromFile
from metawright.recipes.search.problem import Build, Problem
from metawright.spaces.design import Design
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.files import read_json
from metawright.store.records import Trial
from metawright.strategies.objectives import measured
from metawright.tasks.task import TaskSpec

__all__ = ["Found", "load_found", "save_network"]


@dataclass(frozen=True)
class Found:
    """The end of a search.

    Arguments:
        trial: of the chosen design: scores, cost, evidence.
        front: the trials that no other beats in all objectives.
        trials: all of them, in the order in which they were made.
        module: the chosen network with its trained weights, a plain `nn.Module` in evaluation
            mode; None where designs are no networks (pipelines, tables, an own evaluator).
        spec: of the data; None where there is none.
        record: what `run.json` holds; `record["why"]` says what the find is worth.
        run: the folder.
    """

    trial: Trial
    front: tuple[Trial, ...]
    trials: tuple[Trial, ...]
    module: nn.Module | None
    spec: TaskSpec | None
    record: Mapping[str, Any]
    run: Path | None

    @property
    def design(self) -> Design:
        """The chosen design."""
        return self.trial.design

    def __str__(self) -> str:
        asked = self.record["asked"]
        values = ((name, measured(self.trial, name)) for name in asked["objectives"])
        told = ", ".join(f"{name} {value:.6g}" for name, value in values if value is not None)
        where = asked["data"] if asked["space"] == OWN else f"'{asked['space']}'"
        return f"{asked['strategy']} over {where}, {len(self.trials)} trials: {told}"


def save_network(
    folder: Path, problem: Problem, asked: Asked, trial: Trial, blobs: Blobs
) -> Path | None:
    """Makes the chosen network the model of the run's folder, from where it can predict and be
    exported; None where its layers are the user's own."""
    if trial.weights is None or problem.spec is None or asked.space not in ARCHITECTURES:
        return None
    blueprint = network_blueprint(asked.space, trial.design, problem.spec)
    return save_model(folder, blueprint, blobs.get(trial.weights), problem.spec)


def load_found(run: Path | str, *, build: Build | None = None) -> nn.Module:
    """The network that a search found, with its trained weights, in evaluation mode.

    Arguments:
        run: folder that `metawright search` wrote.
        build: of a space of your own, where the run was not made from a Python file.

    Raises:
        InputError: no such run, one without a network, or `build` is needed.
    """
    run = Path(run)
    told = _told(run)
    if (run / MODEL_FILE).is_file():
        return load_model(run).module
    with Store(run / "store") as store:
        trials = {trial.id: trial for trial in store.trials(run=told["id"])}
        trial = trials.get(told.get("kept") or told.get("best") or "")
        if trial is None or trial.weights is None or told["spec"] is None:
            raise InputError(f"The run '{run}' has found no network (yet).")
        asked = Asked.from_json(told["asked"])
        if build is None and not is_file(asked.space):
            raise InputError(f"The run '{run}' is of a space of your own: give `build`.")
        make = build or FromFile(Path(asked.space), "build")
        module = make(trial.design, TaskSpec.from_json(told["spec"]))
        module.load_state_dict(Blobs(store.folder).get(trial.weights))
    return module.eval().requires_grad_(False)


def _told(run: Path) -> Any:
    if not (run / "run.json").is_file():
        raise InputError(f"There is no run '{run}': give a folder that `metawright search` wrote.")
    told = read_json(run / "run.json")
    if not isinstance(told, dict) or told.get("kind") != KIND:
        raise InputError(f"'{run}' is no run of `metawright search`: give the folder of one.")
    return told
