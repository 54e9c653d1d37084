"""Few-shot learning from end to end; `run` holds the verb, `compare` the verb over several."""

__all__: list[str] = []
