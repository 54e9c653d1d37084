"""Thousands of candidates at once: points of a space as rows of numbers.

An acquisition is maximised among so many designs that drawing them one by one would take longer
than the model. So a design is a row with one number a decision: the number of the option of a
choice, 0..1 of a number on its scale, NaN of a decision that is not in play.
"""

import numpy as np
from numpy.typing import NDArray

from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Integer, Scalar, from_unit, size, to_unit
from metawright.spaces.points import read, write
from metawright.spaces.space import Space

__all__ = ["Pool"]

Rows = NDArray[np.float64]

# A changed number moves by a normal step of this share of its scale, or is drawn afresh in this
# share of cases, as in `spaces.draw`.
_LOCAL_STEP = 0.15
_RESAMPLE_RATE = 0.2


class Pool:
    """Draws, changes and encodes rows of a space.

    Arguments:
        space: a space of designs.

    Example:
        >>> import numpy as np
        >>> from metawright.spaces import Choice, Design, Integer, Record
        >>> pool = Pool(Record({"x": Choice(("a", "b")), "y": Integer(0, 4)}))
        >>> pool.row(Design({"x": "b", "y": 2})).tolist()
        [1.0, 0.5]
        >>> pool.design(np.array([0.0, 1.0]))
        Design(x='a', y=4)
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._flat = decisions(space)
        self._free = np.array([size(each.domain) > 1 for each in self._flat], dtype=bool)
        # The rows' numbers of the values on which a decision hangs.
        self._conditions = [
            None
            if each.condition is None
            else (
                each.condition.on,
                [_number(self._flat[each.condition.on], value) for value in each.condition.values],
            )
            for each in self._flat
        ]

    def row(self, design: Design) -> Rows:
        """The row of a design, (decisions,)."""
        point = write(self.space, design)
        numbers = [
            _number(each, value) if active(each, point) else np.nan
            for each, value in zip(self._flat, point, strict=True)
        ]
        return np.array(numbers, dtype=np.float64)

    def design(self, row: Rows) -> Design:
        """The design of a row."""
        values: list[Scalar] = []
        for each, number in zip(self._flat, row.tolist(), strict=True):
            if number != number:
                values.append(None)
            elif isinstance(each.domain, Choice):
                values.append(each.domain.options[int(number)])
            else:
                values.append(from_unit(each.domain, number))
        return read(self.space, tuple(values))

    def draw(self, count: int, rng: np.random.Generator) -> Rows:
        """Random rows (count, decisions): every decision in play is uniform on its scale."""
        return self._settled(np.full((count, len(self._flat)), np.nan), rng)

    def change(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Copies (count, decisions) of the rows in turn, one decision changed (in a quarter of
        them maybe two)."""
        changed = rows[np.arange(count) % len(rows)].copy()
        if not self._free.any():
            return changed
        for again in (slice(None), slice(0, None, 4)):
            part = changed[again]
            possible = self._free & ~np.isnan(part)
            chosen = np.where(possible, rng.random(part.shape), -1.0).argmax(1)
            for index in np.unique(chosen):
                here = (chosen == index) & possible[:, index]
                part[here, index] = _moved(self._flat[index], part[here, index], rng)
            changed[again] = self._settled(part, rng)
        return changed

    def vectors(self, rows: Rows) -> Rows:
        """Vectors whose squared distance is the share of decisions in which two rows differ: a
        number counts by the square of its step, a decision in play in one of them by half."""
        columns = []
        for index, each in enumerate(self._flat):
            if isinstance(each.domain, Choice):
                options = np.arange(len(each.domain.options))
                columns.append((rows[:, index, None] == options) * 0.5**0.5)
            else:
                inside = ~np.isnan(rows[:, index, None])
                unit = np.where(inside, rows[:, index, None], 0.5)
                columns.append(unit)
                if each.condition is not None:
                    columns.append(inside * 0.5**0.5)
        found: Rows = np.concatenate(columns, axis=1, dtype=np.float64) / len(self._flat) ** 0.5
        return found

    def _settled(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """The rows with what came into play drawn and what went out of play dropped."""
        for index, (each, condition) in enumerate(zip(self._flat, self._conditions, strict=True)):
            if condition is not None:
                on, values = condition
                inside = np.isclose(rows[:, on, None], values, rtol=0, atol=1e-9).any(1)
                rows[~inside, index] = np.nan
                missing = inside & np.isnan(rows[:, index])
            else:
                missing = np.isnan(rows[:, index])
            rows[missing, index] = _drawn(each, int(missing.sum()), rng)
        return rows


def _number(decision: Decision, value: Scalar) -> float:
    if isinstance(decision.domain, Choice):
        return float(decision.domain.options.index(value))
    assert isinstance(value, (int, float))
    return to_unit(decision.domain, value)


def _drawn(decision: Decision, count: int, rng: np.random.Generator) -> Rows:
    if isinstance(decision.domain, Choice):
        return rng.integers(len(decision.domain.options), size=count).astype(np.float64)
    return _snapped(decision, rng.random(count))


def _moved(decision: Decision, numbers: Rows, rng: np.random.Generator) -> Rows:
    """Other numbers than these, near them where the domain knows near."""
    domain = decision.domain
    if isinstance(domain, Choice):
        others = len(domain.options)
        return (numbers + rng.integers(1, others, size=len(numbers))) % others
    # Mirrored at 0 and 1.
    near = np.abs(numbers + _LOCAL_STEP * rng.normal(size=len(numbers))) % 2
    near = np.where(near > 1, 2 - near, near)
    afresh = rng.random(len(numbers)) < _RESAMPLE_RATE
    moved = _snapped(decision, np.where(afresh, rng.random(len(numbers)), near))
    still = moved == numbers  # a small step of an integer rounds away
    moved[still] = _drawn(decision, int(still.sum()), rng)
    return moved


def _snapped(decision: Decision, units: Rows) -> Rows:
    """The units of values that the domain has: an integer has few."""
    domain = decision.domain
    if not isinstance(domain, Integer):
        return units
    if not domain.log:
        span = max(1, domain.high - domain.low)
        return np.round(units * span) / span
    return np.array([to_unit(domain, from_unit(domain, unit)) for unit in units.tolist()])
