"""The one training loop and what it needs: gradients by name, schedules, checkpoints."""

from metawright.training.fit import History, Optimiser, Progress, fit
from metawright.training.schedule import SCHEDULES, Schedule
from metawright.training.trainable import Stateful, Step, Trainable

__all__ = [
    "SCHEDULES",
    "History",
    "Optimiser",
    "Progress",
    "Schedule",
    "Stateful",
    "Step",
    "Trainable",
    "fit",
]
