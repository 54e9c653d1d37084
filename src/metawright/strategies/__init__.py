"""Search strategies: one a file, all asking and telling; a new one is a row of `STRATEGIES`.

Names load on first use, so that the table can be read without torch and without the libraries
that only one strategy needs.
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes

if TYPE_CHECKING:
    from metawright.strategies.bayesian import TPE
    from metawright.strategies.choose import STRATEGIES, options_of
    from metawright.strategies.controller import Reinforce
    from metawright.strategies.evolution import Evolution
    from metawright.strategies.gaussian_process import GaussianProcess
    from metawright.strategies.grid import Grid
    from metawright.strategies.halving import SuccessiveHalving, hyperband
    from metawright.strategies.ledger import Ledger
    from metawright.strategies.local import LocalSearch
    from metawright.strategies.nsga2 import NSGA2
    from metawright.strategies.objectives import Constraint, Objective, measured, objective
    from metawright.strategies.pareto import Archive, hypervolume
    from metawright.strategies.paths import Paths
    from metawright.strategies.policy import Policy
    from metawright.strategies.ppo import PPO
    from metawright.strategies.predictor import Predictor
    from metawright.strategies.random import RandomSearch
    from metawright.strategies.scalarise import Scalarised
    from metawright.strategies.strategy import Strategy, fidelity_of, usable_score

__all__ = [
    "NSGA2",
    "PPO",
    "STRATEGIES",
    "TPE",
    "Archive",
    "Constraint",
    "Evolution",
    "GaussianProcess",
    "Grid",
    "Ledger",
    "LocalSearch",
    "Objective",
    "Paths",
    "Policy",
    "Predictor",
    "RandomSearch",
    "Reinforce",
    "Scalarised",
    "Strategy",
    "SuccessiveHalving",
    "fidelity_of",
    "hyperband",
    "hypervolume",
    "measured",
    "objective",
    "options_of",
    "usable_score",
]

_HOMES = {
    "bayesian": ("TPE",),
    "choose": ("STRATEGIES", "options_of"),
    "controller": ("Reinforce",),
    "evolution": ("Evolution",),
    "gaussian_process": ("GaussianProcess",),
    "grid": ("Grid",),
    "halving": ("SuccessiveHalving", "hyperband"),
    "ledger": ("Ledger",),
    "local": ("LocalSearch",),
    "nsga2": ("NSGA2",),
    "objectives": ("Constraint", "Objective", "measured", "objective"),
    "pareto": ("Archive", "hypervolume"),
    "policy": ("Policy",),
    "ppo": ("PPO",),
    "paths": ("Paths",),
    "predictor": ("Predictor",),
    "random": ("RandomSearch",),
    "scalarise": ("Scalarised",),
    "strategy": ("Strategy", "fidelity_of", "usable_score"),
}

__getattr__ = attributes(
    __name__,
    {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names},
)
