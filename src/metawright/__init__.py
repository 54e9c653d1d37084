"""metawright learns from many tasks, then makes a model for a new one."""

__version__ = "0.1.0"
