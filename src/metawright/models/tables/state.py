"""What a fitted part holds, as plain data and arrays: JSON beside safetensors, never a pickle."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["State", "joined", "part"]


class State(NamedTuple):
    """`data` is JSON-ready; `arrays` go by dotted names and hold numbers."""

    data: dict[str, Any]
    arrays: dict[str, NDArray[np.generic]]


def joined(parts: Mapping[str, State], **data: Any) -> State:
    """One state of several by name, with some data of its own.

    Example:
        >>> import numpy as np
        >>> from metawright.models.tables.state import State, joined, part
        >>> whole = joined({"scale": State({"k": 1}, {"mean": np.zeros(2)})}, version=3)
        >>> list(whole.arrays), whole.data
        (['scale.mean'], {'version': 3, 'scale': {'k': 1}})
        >>> part(whole, "scale").data
        {'k': 1}
    """
    arrays = {
        f"{name}.{inner}": array
        for name, state in parts.items()
        for inner, array in state.arrays.items()
    }
    return State(data | {name: state.data for name, state in parts.items()}, arrays)


def part(state: State, name: str) -> State:
    """The state that was joined under `name`."""
    prefix = f"{name}."
    arrays = {
        key.removeprefix(prefix): array
        for key, array in state.arrays.items()
        if key.startswith(prefix)
    }
    return State(state.data[name], arrays)
