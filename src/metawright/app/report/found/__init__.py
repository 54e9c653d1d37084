"""The report page of a search."""

__all__: list[str] = []
