"""Domains: what one single decision may be: an option of a list, an integer or a real number.

A domain is plain data. Types are part of a value: an integer domain does not hold `1.0` or `True`,
so that equal designs and equal points are the same thing.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from metawright.errors import InputError

__all__ = [
    "Choice",
    "Domain",
    "Integer",
    "Real",
    "Scalar",
    "admits",
    "describe",
    "from_unit",
    "size",
    "to_unit",
]

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, eq=False)
class Choice:
    """One of some options without an order.

    Arguments:
        options: at least one; strings, finite numbers, truth values or None. Python's `==` must
            tell them apart, so `1`, `1.0` and `True` cannot stand side by side.

    Raises:
        InputError: no options, equal options, or an option that is not a JSON scalar.
    """

    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _checked_options(self.options))

    @cached_property
    def _typed(self) -> tuple[tuple[type, Scalar], ...]:
        return tuple((type(option), option) for option in self.options)

    # Type-aware, because a cache must not take Choice((0, 1)) for Choice((False, True)).
    def __eq__(self, other: object) -> bool:
        return self._typed == other._typed if isinstance(other, Choice) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._typed)


@dataclass(frozen=True)
class Integer:
    """An integer from `low` to `high`, both included; `log`: steps count by their ratio.

    Raises:
        InputError: not integers, `low > high`, or `log` with `low < 1`.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if type(self.low) is not int or type(self.high) is not int:
            raise InputError(
                "`low` and `high` must be integers, "
                f"but got (low={self.low!r}, high={self.high!r})."
            )
        _check_bounds(self.low, self.high, self.log)


@dataclass(frozen=True)
class Real:
    """A real number from `low` to `high`, both included; `log`: steps count by their ratio.

    Raises:
        InputError: not finite numbers, `low > high`, `log` with `low <= 0`, or an interval whose
            length overflows.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if isinstance(bound, bool) or not isinstance(bound, (int, float)):
                raise InputError(f"`{name}` must be a number, but got {bound!r}.")
            if not math.isfinite(bound):
                raise InputError(f"`{name}` must be finite, but got {bound!r}.")
            object.__setattr__(self, name, float(bound) + 0.0)  # no -0.0, as in a design
        _check_bounds(self.low, self.high, self.log)


Domain: TypeAlias = Choice | Integer | Real


def _checked_options(options: object) -> tuple[Scalar, ...]:
    if not isinstance(options, (tuple, list)):  # a text would fall apart into its letters
        raise InputError(f"`options` must be a tuple or list, but got {options!r}.")
    if not options:
        raise InputError("`options` must hold at least one option, but got none.")
    for option in options:
        if type(option) not in (str, int, float, bool, type(None)):
            raise InputError(f"`options` must be JSON scalars, but got {option!r}.")
        if isinstance(option, float) and not math.isfinite(option):
            raise InputError(f"`options` must be finite, but got {option!r}.")
    if len(set(options)) < len(options):
        raise InputError(f"`options` must differ from each other, but got {options!r}.")
    return tuple(options)


def _check_bounds(low: float, high: float, log: object) -> None:
    if type(log) is not bool:
        raise InputError(f"`log` must be True or False, but got {log!r}.")
    if low > high:
        raise InputError(f"`low <= high` must hold, but got (low={low}, high={high}).")
    if log and low <= 0:
        raise InputError(f"`low > 0` must hold with `log=True`, but got (low={low}).")
    if math.isinf(high - low):
        raise InputError(f"`high - low` must be finite, but got (low={low}, high={high}).")


def admits(domain: Domain, value: object) -> bool:
    """Whether `value`, with exactly its type, belongs to the domain."""
    match domain:
        case Choice(options):
            return any(type(value) is type(option) and value == option for option in options)
        case Integer(low, high):
            return type(value) is int and low <= value <= high
        case Real(low, high):
            return type(value) is float and low <= value <= high


def describe(domain: Domain) -> str:
    """The domain in words, for messages: "one of 'relu', 'gelu'"."""
    match domain:
        case Choice(options):
            return "one of " + ", ".join(repr(option) for option in options)
        case Integer(low, high):
            return f"an integer from {low} to {high}"
        case Real(low, high):
            return f"a real number from {low} to {high}"


def size(domain: Domain) -> int | float:
    """How many values the domain holds; `math.inf` for a real interval."""
    match domain:
        case Choice(options):
            return len(options)
        case Integer(low, high):
            return high - low + 1
        case Real(low, high):
            return 1 if low == high else math.inf


def to_unit(domain: Integer | Real, value: float) -> float:
    """Where `value` lies between `low` (0) and `high` (1), on the domain's scale."""
    if domain.low == domain.high:
        return 0.0
    if domain.log:
        low, high = math.log(domain.low), math.log(domain.high)
        return (math.log(value) - low) / (high - low)
    return (value - domain.low) / (domain.high - domain.low)


def from_unit(domain: Integer | Real, unit: float) -> int | float:
    """The number at `unit` (0..1) between `low` and `high`, on the domain's scale.

    Real numbers are rounded to six digits (of the number itself on a log scale, of the interval
    otherwise), so that designs read well and do not hang on the last bit of a platform's `exp`.
    """
    low, high = domain.low, domain.high
    if unit <= 0 or low == high:
        return low
    if unit >= 1:
        return high
    if domain.log:
        number = math.exp((1 - unit) * math.log(low) + unit * math.log(high))
    else:
        number = low + unit * (high - low)
    if isinstance(domain, Integer):
        return min(max(round(number), domain.low), domain.high)
    digits = 5 - math.floor(math.log10(min(number, high - low) if domain.log else high - low))
    return min(max(round(number, digits) + 0.0, low), high)
