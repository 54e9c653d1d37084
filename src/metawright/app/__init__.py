"""The command line: the only place that reads flags and prints. Nothing imports it."""

__all__: list[str] = []
