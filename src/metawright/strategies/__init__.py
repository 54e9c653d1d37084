"""Search strategies: one a file, all asking and telling; a new one is a row of `STRATEGIES`."""

from collections.abc import Callable, Mapping

from metawright.strategies.evolution import Evolution
from metawright.strategies.ledger import Ledger
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy, usable_score

__all__ = ["STRATEGIES", "Evolution", "Ledger", "RandomSearch", "Strategy", "usable_score"]

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
}
"""Strategies by name; each is called as `strategy(space, rng=rng, score="accuracy")`."""
