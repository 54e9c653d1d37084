"""Columns of dates as numbers: what the calendar says, where in the year and week, and when."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATE_PARTS", "date_numbers"]

DATE_PARTS = (
    "year",
    "month",
    "day",
    "weekday",
    "hour",
    "year sine",
    "year cosine",
    "week sine",
    "week cosine",
    "day sine",
    "day cosine",
    "seconds",
)
"""Of each date; weekdays count from Monday 0, `seconds` from 1970 (UTC); sines and cosines go once
round in a year, a week and a day, so that December is near January."""

_DAY = 86_400.0


def date_numbers(values: Any) -> NDArray[np.float64]:
    """The parts of dates (rows, parts), NaN where a date is missing.

    Arguments:
        values: a pandas series of dtype datetime64.
    """
    calendar = values.dt
    seconds = _seconds(values)
    clock = np.mod(seconds, _DAY)
    weekday = _numbers(calendar.day_of_week)
    turns = (
        (_numbers(calendar.day_of_year) - 1) / 365.25,
        (weekday + clock / _DAY) / 7,
        clock / _DAY,
    )
    waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
    plain = [_numbers(getattr(calendar, name)) for name in ("year", "month", "day")]
    return np.stack([*plain, weekday, _numbers(calendar.hour), *waves, seconds], axis=1)


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))


def _seconds(values: Any) -> NDArray[np.float64]:
    """Since 1970; what carries a time zone is counted in UTC."""
    plain = values.dt.tz_convert(None) if values.dt.tz is not None else values
    seconds = plain.to_numpy().astype("datetime64[s]").astype(np.int64).astype(np.float64)
    return np.where(values.isna().to_numpy(), np.nan, seconds)
