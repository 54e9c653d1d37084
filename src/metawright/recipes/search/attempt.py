"""Trying one design in a worker: constraints that need no training are checked before it."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from metawright.evaluate.costs import costs
from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised
from metawright.evaluate.training_plan import training_plan
from metawright.models.saved import weights_bytes
from metawright.spaces.design import Design
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint, violation

__all__ = ["Attempt", "Tried"]

_FEW, _MORE = 2, 10  # steps of the short trainings that are timed


class Tried(NamedTuple):
    """An `Evaluation` as it comes back from a worker; `weights`: a safetensors file's bytes."""

    scores: Mapping[str, float]
    cost: Mapping[str, float]
    evidence: Mapping[str, Any]
    weights: bytes


class Attempt:
    """What a worker does with a design.

    Arguments:
        evaluator: judges designs.
        constraints: a design that breaks one by what is known beforehand is not trained.
    """

    def __init__(self, evaluator: Evaluator, constraints: Sequence[Constraint] = ()) -> None:
        self.evaluator = evaluator
        self.constraints = tuple(constraints)

    def __call__(
        self,
        design: Design,
        *,
        fidelity: float = 1.0,
        seed: int = 0,
        epochs: int | None = None,
        max_seconds: float | None = None,
        timing: bool = False,
    ) -> Any:
        """A `Tried`: scores, cost, evidence and weights of the design.

        Arguments:
            epochs: of a full training of a network; None: the evaluator's own number.
            max_seconds: after which the training of a network ends, wherever it stands.
            timing: whether only the seconds of one epoch are wanted.
        """
        if timing:
            return _epoch_seconds(self.evaluator, design, seed)
        began = time.perf_counter()
        if (early := self._left_out(design)) is not None:
            return early
        with _effort(self.evaluator, epochs, max_seconds):
            made = self.evaluator(design, fidelity=fidelity, seed=seed)
        cost = {"seconds": time.perf_counter() - began, **made.cost}
        evidence = dict(made.evidence) | ({"fidelity": fidelity} if fidelity < 1 else {})
        weights = b"" if made.params is None else weights_bytes(made.params)
        return Tried(made.scores, cost, evidence, weights)

    def _left_out(self, design: Design) -> Tried | None:
        cost = _known_costs(self.evaluator, design) if self.constraints else {}
        known = [c for c in self.constraints if c.name in cost]
        if not known or not violation(Trial("known", "", design, {}, cost), known):
            return None
        over = next(c for c in known if cost[c.name] > c.most)
        told = f"{over.name} {cost[over.name]:,.6g} is above {over.most:,.6g}: not trained."
        return Tried({}, cost, {"skipped": told}, b"")


@contextmanager
def _effort(evaluator: Evaluator, epochs: int | None, max_seconds: float | None) -> Iterator[None]:
    """Within it, trainings of networks have so many epochs and seconds."""
    if not isinstance(evaluator, Supervised):
        yield
        return
    before = evaluator.epochs, evaluator.max_seconds
    evaluator.epochs = epochs or evaluator.epochs
    evaluator.max_seconds = max_seconds or evaluator.max_seconds
    try:
        yield
    finally:
        evaluator.epochs, evaluator.max_seconds = before


def _epoch_seconds(evaluator: Evaluator, design: Design, seed: int) -> float:
    """What an epoch of a design takes: by a training of a few steps and one of some more, whose
    difference is free of what comes once."""
    assert isinstance(evaluator, Supervised)
    examples = len(evaluator.task.support.x)
    batch = min(training_plan(design).batch_size, examples)
    steps = evaluator.epochs * math.ceil(examples / batch)
    spent = []
    for count in (_FEW, _MORE):
        began = time.perf_counter()
        evaluator(design, fidelity=min(1.0, count / steps), seed=seed)
        spent.append(time.perf_counter() - began)
    step = max(spent[1] - spent[0], 1e-4) / (_MORE - _FEW)
    return step * steps / evaluator.epochs


def _known_costs(evaluator: Evaluator, design: Design) -> dict[str, float]:
    """Parameters, FLOPs and bytes of a network, which need no training."""
    if not isinstance(evaluator, Supervised) or evaluator.name == "pipelines":
        return {}
    return costs(evaluator.module(design), evaluator.task.spec)
