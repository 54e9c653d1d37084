"""Meta-learners. `LEARNERS` is the table of those that are asked for by name.

A row gives a learner for tasks of a kind (its `TaskSpec`), with the paper's settings as far as
they do not depend on the data, and first weights drawn from the generator. A new learner is one
file, one row here and one test of its own truth; the contract test finds the row by itself.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from metawright.learners.adapted import Adapted
from metawright.learners.bayesian_maml import BayesianMAML, build_bayesian_maml
from metawright.learners.implicit import ImplicitMAML, build_implicit_maml
from metawright.learners.learner import Learner, Loss, Predictor, accuracy, task_loss
from metawright.learners.maml import MAML
from metawright.learners.particles import Hypotheses
from metawright.learners.platipus import Platipus, build_platipus
from metawright.learners.policy_gradient import PolicyGradient
from metawright.learners.prototypes import (
    PrototypicalNetwork,
    build_prototypical_network,
    prototypes,
)
from metawright.learners.relatives import (
    build_anil,
    build_maml,
    build_maml_plus_plus,
    build_meta_sgd,
    head_of,
)
from metawright.learners.reptile import Reptile, build_reptile
from metawright.learners.task_parameters import TaskParameters, build_cavia, build_film
from metawright.tasks.task import TaskSpec

__all__ = [
    "LEARNERS",
    "MAML",
    "Adapted",
    "BayesianMAML",
    "Hypotheses",
    "ImplicitMAML",
    "Learner",
    "Loss",
    "Platipus",
    "PolicyGradient",
    "Predictor",
    "PrototypicalNetwork",
    "Reptile",
    "TaskParameters",
    "accuracy",
    "head_of",
    "prototypes",
    "task_loss",
]

LEARNERS: Mapping[str, Callable[[TaskSpec, torch.Generator], Learner]] = {
    "anil": build_anil,
    "bayesian-maml": build_bayesian_maml,
    "cavia": build_cavia,
    "film": build_film,
    "first-order-maml": partial(build_maml, second_order=False),
    "imaml": build_implicit_maml,
    "maml": build_maml,
    "maml++": build_maml_plus_plus,
    "meta-sgd": build_meta_sgd,
    "platipus": build_platipus,
    "prototypical-network": build_prototypical_network,
    "reptile": build_reptile,
}
