"""Tables: columns of any kind as numbers, and fitted pipelines that can be saved."""

from metawright.models.tables.fitted import FittedPipeline, fit_pipeline
from metawright.models.tables.preparation import Preparation, Prepared, fit_preparation
from metawright.models.tables.state import State

__all__ = [
    "FittedPipeline",
    "Preparation",
    "Prepared",
    "State",
    "fit_pipeline",
    "fit_preparation",
]
