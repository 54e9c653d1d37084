"""How a design says it is to be trained, read off its "training" part."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.training.fit import Optimiser
from metawright.training.schedule import SCHEDULES

__all__ = ["TrainingPlan", "training_plan"]


@dataclass(frozen=True)
class TrainingPlan:
    """What `metawright.spaces.training.training_space` decides, with values for what is left out.

    Arguments:
        optimiser: "adam", or "sgd" with momentum 0.9.
        augmentation: 0 (none) to 1.
    """

    optimiser: Optimiser = "adam"
    lr: float = 3e-3
    weight_decay: float = 1e-2
    batch_size: int = 64
    schedule: str = "cosine"
    label_smoothing: float = 0.0
    augmentation: float = 0.0

    def __post_init__(self) -> None:
        if self.optimiser not in ("adam", "sgd"):
            raise InputError(f"`optimiser` must be 'adam' or 'sgd', but got {self.optimiser!r}.")
        if self.schedule not in SCHEDULES:
            raise InputError(
                f"`schedule` must be one of {', '.join(SCHEDULES)}, but got {self.schedule!r}."
            )
        if not (self.lr > 0 and self.weight_decay >= 0 and self.batch_size >= 1):
            raise InputError(
                "`lr > 0`, `weight_decay >= 0` and `batch_size >= 1` must hold, but got "
                f"(lr={self.lr}, weight_decay={self.weight_decay}, batch_size={self.batch_size})."
            )
        if not (0 <= self.label_smoothing < 1 and 0 <= self.augmentation <= 1):
            raise InputError(
                "`0 <= label_smoothing < 1` and `0 <= augmentation <= 1` must hold, but got "
                f"(label_smoothing={self.label_smoothing}, augmentation={self.augmentation})."
            )

    @property
    def momentum(self) -> float:
        """Of the optimiser."""
        return 0.9 if self.optimiser == "sgd" else 0.0


def training_plan(design: Design) -> TrainingPlan:
    """The plan of a design: what its "training" says, and defaults for the rest.

    The optimiser may be a name, or a record of its "kind" with what belongs to it.

    Raises:
        InputError: "training" decides something that no training knows.

    Example:
        >>> from metawright.evaluate.training_plan import training_plan
        >>> from metawright.spaces import Design
        >>> optimiser = {"kind": "sgd", "lr": 0.1, "weight_decay": 0.0}
        >>> training_plan(Design({"training": {"optimiser": optimiser}})).lr
        0.1
    """
    told: dict[str, Any] = dict(design.get("training", {}))
    optimiser = told.get("optimiser")
    if isinstance(optimiser, Mapping):
        own = dict(optimiser)
        told |= {"optimiser": own.pop("kind", None), **own}
    known = {field.name for field in fields(TrainingPlan)}
    if unknown := sorted(set(told) - known):
        raise InputError(
            f"A design's training may decide {', '.join(sorted(known))}, but this one has "
            f"'{unknown[0]}': rename it, or put it outside of 'training'."
        )
    return TrainingPlan(**told)
