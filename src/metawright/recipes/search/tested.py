"""Designs judged on the examples that were kept aside: no choice was made by these."""

from typing import Any

import torch
from torch import nn

from metawright.errors import InputError
from metawright.evaluate.classical import judge_pipeline
from metawright.evaluate.evaluating import predictions
from metawright.evaluate.intervals import wilson
from metawright.evaluate.scores import scores_of
from metawright.evaluate.supervised import Supervised
from metawright.recipes.search.problem import Problem
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.store.blobs import Blobs
from metawright.store.records import Trial
from metawright.tasks.task import Batch, Kind, Task

__all__ = ["network_of", "plain_row", "row", "tested"]

_MOST = 5000  # examples that the plain baseline learns from: seconds, not minutes


def tested(problem: Problem, trial: Trial, blobs: Blobs) -> dict[str, float] | None:
    """Scores of the trial's trained model on the test part; None where there is none of either.

    A pipeline, whose fitted parts are not kept, is fitted again: the same seed gives the same.
    """
    judge = problem.evaluator
    if not isinstance(judge, Supervised) or problem.data is None:
        return None
    test, spec = problem.data.division.test, judge.task.spec
    if not len(test.x):
        return None
    if judge.name == "pipelines":
        again = Task(judge.task.support, test, spec)
        seed = int(trial.evidence["seed"])
        return dict(judge_pipeline(again, trial.design, fidelity=1.0, seed=seed).scores)
    module = network_of(problem, trial, blobs)
    return None if module is None else scores_of(predictions(module, test.x), test.labels, spec)


def plain_row(problem: Problem, measure: str) -> dict[str, Any] | None:
    """A row for what a plain model reaches on the test part: scaled logistic regression (for
    numbers ridge regression, for texts on counts of words), from 5,000 examples at most."""
    judge = problem.evaluator
    if not isinstance(judge, Supervised) or problem.data is None:
        return None
    support, spec = judge.task.support, judge.task.spec
    test = problem.data.division.test
    if not len(test.x):
        return None
    rows = torch.randperm(len(support.x), generator=stream(0, "plain"))[:_MOST]
    regression = spec.kind is Kind.REGRESSION
    model = {"kind": "ridge", "penalty": 1.0} if regression else {"kind": "logistic"}
    design = Design(
        {
            "scaler": "none" if spec.vocabulary else "standard",
            "reduction": {"kind": "none"},
            "model": model if regression else model | {"strength": 1.0},
        }
    )
    task = Task(Batch(support.x[rows], support.labels[rows]), test, spec)
    scores = judge_pipeline(task, design, fidelity=1.0, seed=0).scores
    name = "ridge regression" if regression else "logistic regression"
    name += f" on {len(rows)} of the examples" if len(rows) < len(support.x) else ""
    return row(name, scores, measure, len(test.x))


def row(
    name: str, scores: dict[str, float] | Any, measure: str, examples: int, *, own: bool = False
) -> dict[str, Any] | None:
    """A named score on the test part, with its 95 % interval where it is an accuracy."""
    value = scores.get(measure) if scores else None
    if value is None:
        return None
    low = high = None
    if measure == "accuracy":
        low, high = wilson(round(value * examples), examples)
    return {"name": name, "value": value, "low": low, "high": high, "own": own}


def network_of(problem: Problem, trial: Trial, blobs: Blobs) -> nn.Module | None:
    """The trained network of a trial; None where its design is no network, or its weights were
    not kept.

    Raises:
        InputError: a user's `build` gives another module than when it was trained.
    """
    if trial.weights is None or not isinstance(problem.evaluator, Supervised):
        return None
    if not blobs.has(trial.weights):
        return None
    module = problem.evaluator.module(trial.design)
    try:
        module.load_state_dict(blobs.get(trial.weights))
    except RuntimeError as error:
        raise InputError(
            f"The weights of trial {trial.id} do not fit the module that `build` gives for its "
            "design: it must give the same one for the same design."
        ) from error
    return module.eval().requires_grad_(False)
