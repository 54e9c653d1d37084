"""Meta-learners. `LEARNERS` is the table of those that are asked for by name.

A row gives a learner for tasks of a kind (its `TaskSpec`), with the paper's settings as far as
they do not depend on the data, and first weights drawn from the generator. A new learner is one
file, one row here and one test of its own truth; the contract test finds the row by itself.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from metawright.learners.learner import Learner, Loss, Predictor, accuracy, task_loss
from metawright.learners.maml import MAML, build_maml
from metawright.learners.prototypes import (
    PrototypicalNetwork,
    build_prototypical_network,
    prototypes,
)
from metawright.learners.reptile import Reptile, build_reptile
from metawright.tasks.task import TaskSpec

__all__ = [
    "LEARNERS",
    "MAML",
    "Learner",
    "Loss",
    "Predictor",
    "PrototypicalNetwork",
    "Reptile",
    "accuracy",
    "prototypes",
    "task_loss",
]

LEARNERS: Mapping[str, Callable[[TaskSpec, torch.Generator], Learner]] = {
    "first-order-maml": partial(build_maml, second_order=False),
    "maml": build_maml,
    "prototypical-network": build_prototypical_network,
    "reptile": build_reptile,
}
