"""A space as a tree in words: what is decided, among what, and what only counts in some cases.

What repeats is said once: the parts of a `Repeat`, and a part that is like one beside it. No torch
here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from metawright.spaces import (
    Cell,
    Choice,
    Either,
    Integer,
    Real,
    Record,
    Repeat,
    Scalar,
    Space,
    count,
    decisions,
)

__all__ = ["Branch", "counted", "lines", "space_tree", "whole"]

_OPTIONS = 12  # of a choice that are listed


class Branch(NamedTuple):
    """A part of a space: its name, what it may be, and its own parts."""

    name: str
    words: str
    parts: tuple["Branch", ...] = ()


def space_tree(name: str, space: Space) -> Branch:
    """The tree of a space of designs.

    Raises:
        InputError: its values are no designs.

    Example:
        >>> from metawright.spaces import Integer, Record
        >>> space_tree("net", Record({"depth": Integer(1, 3)})).parts
        (Branch(name='depth', words='1 to 3', parts=()),)
    """
    taken = len(decisions(space))
    noun = "decision" if taken == 1 else "decisions"
    whole_tree = _branch(name, space)
    words = f"{taken} {noun}"
    return whole_tree._replace(words=f"{whole_tree.words}, {words}".removeprefix(", "))


def lines(tree: Branch) -> list[str]:
    """The tree as lines of text, its words in one column."""
    rows = [(tree.name, tree.words), *_rows(tree.parts, "")]
    width = max(len(left) for left, _ in rows) + 2
    return [f"{left:<{width}}{words}".rstrip() for left, words in rows]


def _rows(parts: tuple[Branch, ...], before: str) -> Iterator[tuple[str, str]]:
    for index, part in enumerate(parts, 1):
        last = index == len(parts)
        yield f"{before}{'└─ ' if last else '├─ '}{part.name}", part.words
        yield from _rows(part.parts, before + ("   " if last else "│  "))


def _branch(name: str, space: Space) -> Branch:
    match space:
        case Record(fields):
            return Branch(name, "", _parts(dict(fields)))
        case Repeat(item, low, high):
            return _repeated(name, item, low, high)
        case Either(cases):
            return _cases(name, dict(cases))
        case Cell():
            return _cell(name, space)
        case Choice(options):
            return Branch(name, _options(options))
        case Integer(low, high, log) | Real(low, high, log):
            between = f"{low:g} to {high:g}" if low < high else f"always {low:g}"
            return Branch(name, between + ", log scale" * (log and low < high))


def _parts(fields: dict[str, Space]) -> tuple[Branch, ...]:
    """The branches of some fields; one that is like an earlier one only says so."""
    seen: dict[Space, str] = {}
    parts = []
    for name, field in fields.items():
        large = not isinstance(field, Choice | Integer | Real) and field != Record({})
        if large and field in seen:
            parts.append(Branch(name, f"like {seen[field]}"))
        else:
            seen[field] = name
            parts.append(_branch(name, field))
    return tuple(parts)


def _repeated(name: str, item: Space, low: int, high: int) -> Branch:
    times = f"{low} to {high} times" if low < high else "once" if high == 1 else f"{high} times"
    inside = _branch(name, item)
    words = f"{times}: {inside.words}" if inside.words else times
    return Branch(name, words, inside.parts)


def _cases(name: str, cases: dict[str, Record]) -> Branch:
    if not any(case.fields for case in cases.values()):
        return Branch(name, _options(tuple(cases)))
    parts = _parts(dict(cases))
    told = tuple(p._replace(words=p.words or ("only then:" if p.parts else "")) for p in parts)
    return Branch(name, f"one of {len(cases)}", told)


def _cell(name: str, cell: Cell) -> Branch:
    own = cell.nodes - cell.inputs
    reads = "all earlier ones" if cell.fan_in is None else f"{cell.fan_in} earlier"
    given = "1 input" if cell.inputs == 1 else f"{cell.inputs} inputs"
    words = f"a cell: {given}, {own} {'node' if own == 1 else 'nodes'}, each reads {reads}"
    parts = (
        Branch("operations", _options(cell.operations)),
        Branch("cells", whole(count(cell))),
    )
    return Branch(name, words, parts)


def _options(options: tuple[Scalar, ...]) -> str:
    """The options of a choice: "a, b or c"."""
    names = {True: "yes", False: "no"}
    told = [
        names[option] if isinstance(option, bool) else f"{option}" for option in options[:_OPTIONS]
    ]
    if len(options) > _OPTIONS:
        return f"{', '.join(told)} and {len(options) - _OPTIONS} more"
    if len(told) == 1:
        return f"always {told[0]}"
    return f"{', '.join(told[:-1])} or {told[-1]}"


def whole(number: float) -> str:
    """A whole number with its thousands apart, or its power of ten where it is very large.

    Example:
        >>> whole(15625), whole(3 * 10**21)
        ('15,625', 'about 3 × 10^21')
    """
    if number < 1e15:
        return f"{int(number):,}"
    digits = str(int(number))  # exact, for a power may be beyond what a float holds
    first, power = round(int(digits[:3]) / 100), len(digits) - 1
    return f"about 1 × 10^{power + 1}" if first == 10 else f"about {first} × 10^{power}"


def counted(space: Space) -> tuple[int, int]:
    """How many designs there are where every real number counts as one value, and how many real
    numbers there are."""
    pinned = count(_pinned(space))
    domains = [decision.domain for decision in decisions(space)]
    return int(pinned), sum(isinstance(d, Real) and d.low < d.high for d in domains)


def _pinned(space: Space) -> Space:
    """The space with every real number at its lowest value."""
    match space:
        case Real(low):
            return Real(low, low)
        case Record(fields):
            return Record({name: _pinned(field) for name, field in fields.items()})
        case Repeat(item, low, high):
            return Repeat(_pinned(item), low, high)
        case Either(cases):
            return Either({name: Record({n: _pinned(f) for n, f in case.fields.items()})
                           for name, case in cases.items()})  # fmt: skip
        case _:
            return space
