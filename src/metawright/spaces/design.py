"""A design: one finished set of decisions, architecture and hyperparameters together, as a value.

It is what a space describes, a strategy proposes, `build` turns into a module and the store keeps:
a frozen, hashable, JSON-ready tree.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeAlias, final

from metawright.errors import InputError

__all__ = ["Design", "Value"]

Value: TypeAlias = "str | int | float | bool | tuple[Value, ...] | Design | None"


@final
class Design(Mapping[str, Any]):
    """A frozen tree of decisions by name; its leaves are strings, numbers, truth values and None.

    Lists become tuples and mappings become designs. Designs are equal where their canonical JSON
    text (`key`) is: the order of the names does not matter, while `1`, `1.0` and `True` are three
    different values, as they are in JSON. Numbers must be finite; `-0.0` is stored as `0.0`.
    Indexing is typed `Any`, for only the space knows which decision has which type.

    Arguments:
        fields: decisions by name.

    Raises:
        InputError: a name is not a string, or a value has no JSON form.

    Example:
        >>> from metawright.spaces.design import Design
        >>> design = Design({"lr": 0.1, "network": {"depth": 2, "widths": [8, 16]}})
        >>> design["network"]["widths"]
        (8, 16)
        >>> design == Design.from_json(design.to_json())
        True
        >>> design.key
        '{"lr":0.1,"network":{"depth":2,"widths":[8,16]}}'
        >>> design
        Design(lr=0.1, network=Design(depth=2, widths=(8, 16)))
    """

    __slots__ = ("_fields", "_key")

    _fields: dict[str, Value]
    _key: str

    def __init__(self, fields: Mapping[str, Any]) -> None:
        frozen = {_checked_name(name): _freeze(value, name) for name, value in fields.items()}
        pairs = (f"{json.dumps(name)}:{_text(frozen[name])}" for name in sorted(frozen))
        object.__setattr__(self, "_fields", frozen)
        object.__setattr__(self, "_key", "{" + ",".join(pairs) + "}")

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Design":
        """The design that `to_json` wrote, or that a user wrote as a JSON object."""
        if not isinstance(data, Mapping):
            raise InputError(f"A design must be a JSON object with names, but got {data!r}.")
        return Design(data)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and scalars; `Design.from_json` reads them back."""
        return {name: _thaw(value) for name, value in self._fields.items()}

    @property
    def key(self) -> str:
        """Canonical JSON text: names sorted, no spaces. Equal designs have equal keys."""
        return self._key

    @property
    def digest(self) -> str:
        """A hash of `key` in 16 hexadecimal digits, the same in every process."""
        return hashlib.blake2b(self._key.encode(), digest_size=8).hexdigest()

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Design) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Design({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("A design is frozen: make a new one instead of setting attributes.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("A design is frozen: make a new one instead of deleting attributes.")

    # Pickling and copying go through the constructor, because slots cannot be set from outside.
    def __reduce__(self) -> tuple[type["Design"], tuple[dict[str, Value]]]:
        return Design, (self._fields,)


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"A design's names must be non-empty strings, but got {name!r}.")
    return str.__str__(name)


def _freeze(value: Any, path: str) -> Value:
    """`value` in the exact types of a design; subclasses (`StrEnum`, `numpy.float64`) are cast."""
    if value is None or isinstance(value, (bool, Design)):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # str() of an enumeration would give its member's name
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"A design's numbers must be finite, but got {path}={value!r}.")
        return float(value) + 0.0  # -0.0 + 0.0 is 0.0: one zero, one key
    if isinstance(value, Mapping):
        return Design(value)
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item, f"{path}.{index}") for index, item in enumerate(value))
    raise InputError(
        "A design holds strings, numbers, truth values, None, lists and mappings of these, "
        f"but got {path}={value!r} of type {type(value).__name__}."
    )


def _thaw(value: Value) -> Any:
    if isinstance(value, Design):
        return value.to_json()
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value


def _text(value: Value) -> str:
    """Canonical JSON text; nested designs bring theirs, so that each level is written once."""
    if isinstance(value, Design):
        return value.key
    if isinstance(value, tuple):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return json.dumps(value)
