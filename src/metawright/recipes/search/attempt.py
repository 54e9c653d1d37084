"""Trying one design in a worker: constraints that need no training are checked before it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from metawright.evaluate.costs import costs
from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised
from metawright.models.saved import weights_bytes
from metawright.spaces.design import Design
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint, violation

__all__ = ["Attempt", "Tried"]


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
        self, design: Design, *, fidelity: float = 1.0, seed: int = 0, stretch: float = 1.0
    ) -> Tried:
        """Scores, cost, evidence and weights of the design.

        Arguments:
            stretch: how many times longer than a full training; only networks can be.
        """
        began = time.perf_counter()
        if (early := self._left_out(design)) is not None:
            return early
        with _longer(self.evaluator, stretch):
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
def _longer(evaluator: Evaluator, stretch: float) -> Iterator[None]:
    """Within it, full trainings have so many times more epochs."""
    if stretch == 1 or not isinstance(evaluator, Supervised):
        yield
        return
    before = evaluator.epochs
    evaluator.epochs = max(1, round(before * stretch))
    try:
        yield
    finally:
        evaluator.epochs = before


def _known_costs(evaluator: Evaluator, design: Design) -> dict[str, float]:
    """Parameters, FLOPs and bytes of a network, which need no training."""
    if not isinstance(evaluator, Supervised) or evaluator.name == "pipelines":
        return {}
    return costs(evaluator.module(design), evaluator.task.spec)
