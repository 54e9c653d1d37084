"""Spaces as data: what designs there are, without a word on how to build or to search them.

A space is a tree of frozen values. Its leaves are single decisions (`Choice`, `Integer`, `Real`);
`Record`, `Repeat`, `Either` and `Cell` tie decisions together. What can be done with a space
(read, sample, encode, count ...) is free functions over its flat sequence of decisions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NoReturn, TypeAlias, TypeVar, final

from metawright.errors import InputError
from metawright.spaces.domain import Choice, Domain, Integer, Real, Scalar

__all__ = [
    "Cell",
    "Choice",
    "Domain",
    "Either",
    "Integer",
    "Point",
    "Real",
    "Record",
    "Repeat",
    "Scalar",
    "Space",
    "source_sets",
]

Point: TypeAlias = tuple[Scalar, ...]
"""A design as one value per decision of its space, None where the decision is inactive."""

_Item = TypeVar("_Item", bound="Space")


@final
class _Named(Mapping[str, _Item]):
    """Spaces by name: frozen, hashable, in order (the order of decisions hangs on it)."""

    __slots__ = ("_hash", "_items")

    _items: dict[str, _Item]
    _hash: int

    def __init__(self, items: Mapping[str, _Item]) -> None:
        object.__setattr__(self, "_items", dict(items))
        # Kept, because the cache of decisions asks for it at every step into a space.
        object.__setattr__(self, "_hash", hash(tuple(self._items.items())))

    def __getitem__(self, name: str) -> _Item:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Named):
            return NotImplemented
        return list(self._items.items()) == list(other._items.items())

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self._items)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("A space is frozen: make a new one instead of setting attributes.")

    def __reduce__(self) -> tuple[type["_Named[_Item]"], tuple[dict[str, _Item]]]:
        return _Named, (self._items,)


@dataclass(frozen=True)
class Record:
    """Several named parts that are all there. A design's value is a `Design` with these names.

    Arguments:
        fields: a space by name, in the order in which the decisions are taken.

    Raises:
        InputError: a name is empty or has a dot, or a field is not a space.

    Example:
        >>> from metawright.spaces import Choice, Integer, Record
        >>> space = Record({"depth": Integer(1, 3), "norm": Choice(("batch", "group"))})
        >>> list(space.fields)
        ['depth', 'norm']
    """

    fields: Mapping[str, "Space"]

    def __post_init__(self) -> None:
        _check_names("fields", self.fields)
        for name, field in self.fields.items():
            _check_space(f"fields[{name!r}]", field)
        object.__setattr__(self, "fields", _Named(self.fields))


@dataclass(frozen=True)
class Repeat:
    """From `low` to `high` parts of one kind, each decided for itself. The value is a tuple.

    Arguments:
        item: the space of one part.
        low: the fewest parts, at least 0.
        high: the most parts.

    Raises:
        InputError: `item` is not a space, or `0 <= low <= high` does not hold.
    """

    item: "Space"
    low: int
    high: int

    def __post_init__(self) -> None:
        _check_space("item", self.item)
        if type(self.low) is not int or type(self.high) is not int:
            raise InputError(
                "`low` and `high` must be integers, "
                f"but got (low={self.low!r}, high={self.high!r})."
            )
        if not 0 <= self.low <= self.high:
            raise InputError(
                f"`0 <= low <= high` must hold, but got (low={self.low}, high={self.high})."
            )


@dataclass(frozen=True)
class Either:
    """One of several records. The value is that record's `Design` with its case under "kind".

    Arguments:
        cases: a record by the name of its case; none of them has a field "kind".

    Raises:
        InputError: no cases, a name is empty or has a dot, a case is not a `Record` or has "kind".
    """

    cases: Mapping[str, Record]

    def __post_init__(self) -> None:
        _check_names("cases", self.cases)
        if not self.cases:
            raise InputError("`cases` must hold at least one case, but got none.")
        for name, case in self.cases.items():
            if not isinstance(case, Record):
                raise InputError(f"`cases[{name!r}]` must be a Record, but got {case!r}.")
            if "kind" in case.fields:
                raise InputError(
                    f"`cases[{name!r}]` must not have a field 'kind': it holds the case's name."
                )
        object.__setattr__(self, "cases", _Named(self.cases))


@dataclass(frozen=True)
class Cell:
    """A small directed graph: each node adds up what operations make of earlier nodes.

    The first `inputs` nodes are given; each later one is decided. The value is a tuple with one
    `Design` a decided node: `sources`, the numbers of the earlier nodes that it reads in rising
    order, and `operations`, one for each source. With `fan_in=None` a node reads all earlier ones,
    as in NAS-Bench-201 (`nodes=4`, five operations: 5^6 cells); with `fan_in=2, inputs=2` it reads
    two, as in DARTS.

    Arguments:
        nodes: number of nodes, the given ones among them.
        operations: names of the operations.
        inputs: how many nodes are given.
        fan_in: how many earlier nodes a node reads (all, where there are fewer); None: all.

    Raises:
        InputError: `1 <= inputs < nodes` or `fan_in >= 1` does not hold, or the operations are
            not valid options.

    References:
        NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search,
        Dong and Yang, 2020, https://arxiv.org/abs/2001.00326
        DARTS: Differentiable Architecture Search, Liu, Simonyan and Yang, 2019,
        https://arxiv.org/abs/1806.09055
    """

    nodes: int
    operations: tuple[str, ...]
    inputs: int = 1
    fan_in: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "operations", Choice(self.operations).options)
        if not all(isinstance(operation, str) for operation in self.operations):
            raise InputError(f"`operations` must be names, but got {self.operations}.")
        for name, number in (("nodes", self.nodes), ("inputs", self.inputs)):
            if type(number) is not int:
                raise InputError(f"`{name}` must be an integer, but got {number!r}.")
        if not 1 <= self.inputs < self.nodes:
            raise InputError(
                "`1 <= inputs < nodes` must hold, "
                f"but got (inputs={self.inputs}, nodes={self.nodes})."
            )
        if self.fan_in is not None and (type(self.fan_in) is not int or self.fan_in < 1):
            raise InputError(f"`fan_in` must be an integer >= 1 or None, but got {self.fan_in!r}.")


Space: TypeAlias = Domain | Record | Repeat | Either | Cell


def source_sets(cell: Cell, node: int) -> tuple[tuple[int, ...], ...]:
    """The sets of earlier nodes that node number `node` may read, at least one."""
    reads = node if cell.fan_in is None else min(cell.fan_in, node)
    return tuple(combinations(range(node), reads))


def _check_names(argument: str, parts: object) -> None:
    if not isinstance(parts, Mapping):
        raise InputError(f"`{argument}` must map names to spaces, but got {parts!r}.")
    for name in parts:
        # A dot would make two different paths read the same.
        if not isinstance(name, str) or not name or "." in name:
            raise InputError(
                f"Names in `{argument}` must be non-empty texts without a dot, but got {name!r}."
            )


def _check_space(argument: str, space: object) -> None:
    if not isinstance(space, Space):
        raise InputError(f"`{argument}` must be a space, but got {space!r}.")
