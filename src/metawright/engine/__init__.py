"""Where a job runs: budgets and locks of run folders."""

from metawright.engine.budget import Budget, Clock, parse_duration
from metawright.engine.lock import FolderLock

__all__ = ["Budget", "Clock", "FolderLock", "parse_duration"]
