"""What is asked of a model; apart from tasks of tensors, so that it is known without torch."""

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """What is asked of a model."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    CONTROL = "control"
