"""Report pages of few-shot runs and of comparisons."""

__all__: list[str] = []
