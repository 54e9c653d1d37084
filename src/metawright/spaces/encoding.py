"""Designs as vectors of fixed length, for models that predict what a design is worth."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from metawright.spaces.decisions import active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, to_unit
from metawright.spaces.points import write
from metawright.spaces.space import Space

__all__ = ["Encoding", "encode", "encoding_names"]

Encoding: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_]]


def encode(space: Space, design: Design) -> Encoding:
    """The design as numbers in 0..1, and which of them count.

    A choice takes one entry an option (1 at the chosen one); a number takes one entry, from 0 at
    its low end to 1 at its high end, on its log scale if it has one. Entries of inactive decisions
    are 0. Equal designs have equal vectors, different designs different ones (numbers that differ
    by less than the arithmetic's rounding aside).

    Returns:
        vector: (entries,) float64.
        mask: (entries,) bool, False where the entry's decision is inactive.

    Raises:
        InputError: the design is not in the space.

    Example:
        >>> from metawright.spaces import Choice, Design, Integer, Record, encode, encoding_names
        >>> space = Record({"depth": Integer(1, 5), "norm": Choice(("batch", "group"))})
        >>> encoding_names(space)
        ('depth', "norm='batch'", "norm='group'")
        >>> vector, mask = encode(space, Design({"depth": 2, "norm": "group"}))
        >>> vector.tolist(), mask.tolist()
        ([0.25, 0.0, 1.0], [True, True, True])
    """
    point = write(space, design)
    vector: list[float] = []
    mask: list[bool] = []
    for decision, value in zip(decisions(space), point, strict=True):
        domain, counts = decision.domain, active(decision, point)
        if isinstance(domain, Choice):
            # `==` finds the right option: those of one choice differ by it.
            vector += [float(counts and option == value) for option in domain.options]
            mask += [counts] * len(domain.options)
        else:
            vector.append(to_unit(domain, value) if isinstance(value, (int, float)) else 0.0)
            mask.append(counts)
    return np.array(vector, dtype=np.float64), np.array(mask, dtype=np.bool_)


def encoding_names(space: Space) -> tuple[str, ...]:
    """What each entry of `encode` says: a decision's name, with the option for a choice."""
    names: list[str] = []
    for decision in decisions(space):
        if isinstance(decision.domain, Choice):
            names += [f"{decision.name}={option!r}" for option in decision.domain.options]
        else:
            names.append(decision.name)
    return tuple(names)
