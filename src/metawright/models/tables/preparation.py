"""From a table of any columns to a matrix of numbers, as a design's "preparation" says.

Numbers, parts of dates, places or target means of categories and topics of texts are filled,
drawn in and scaled together; one-hot and hashed levels are 0 or 1 and left as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.models.tables.categories import Category, fit_category, words_of
from metawright.models.tables.dates import DATE_PARTS, date_numbers
from metawright.models.tables.numbers import Numbers, fit_numbers
from metawright.models.tables.state import State, joined, part
from metawright.models.tables.texts import Text, fit_text

if TYPE_CHECKING:
    from metawright.tasks.tables import Column

__all__ = ["Prepared", "Preparation", "fit_preparation"]

Matrix = NDArray[np.float64]


class Prepared(NamedTuple):
    """A fitted preparation, and the features of the rows that it was fitted on."""

    preparation: "Preparation"
    features: Matrix


@dataclass(frozen=True)
class Preparation:
    """A fitted preparation: by column kind, what was learned about each.

    `scaled` says whether places of categories (encoding "ordinal") were scaled with the numbers;
    where not, `categorical` marks them, for models that take places as names.
    """

    kinds: Mapping[str, str]
    numbers: Numbers
    categories: tuple[Category, ...]
    texts: tuple[Text, ...]
    scaled: bool

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of `transform`."""
        return self.numbers.feature_names + [name for c in self._marks for name in c.feature_names]

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which features are places of a category that were not scaled (features,)."""
        marks = [
            flag for c in self._marks for flag in [c.encoding == "ordinal"] * len(c.feature_names)
        ]
        return np.array([False] * len(self.numbers.feature_names) + marks, dtype=np.bool_)

    @property
    def _marks(self) -> list[Category]:
        return [c for c in self.categories if not _is_measured(c, self.scaled)]

    def transform(self, x: pd.DataFrame) -> Matrix:
        """Features (rows, features), all finite. Columns that were not fitted are ignored.

        Raises:
            InputError: a column is missing, or holds what it cannot (words where numbers were).
        """
        _check_columns(x, self.kinds)
        words = {c.name: c.transform(words_of(x[c.name])) for c in self.categories}
        topics = [text.transform(_texts(x[text.name])) for text in self.texts]
        measured = [words[c.name] for c in self.categories if _is_measured(c, self.scaled)]
        numbers = self.numbers.transform(_stacked(x, self.kinds, [*measured, *topics]))
        return np.hstack([numbers, *(words[c.name] for c in self._marks)])

    def to_state(self) -> State:
        """As plain data and arrays; `from_state` reads it back."""
        parts = {"numbers": self.numbers.to_state()}
        parts |= {f"category{i}": c.to_state() for i, c in enumerate(self.categories)}
        parts |= {f"text{i}": text.to_state() for i, text in enumerate(self.texts)}
        counts = {"categories": len(self.categories), "texts": len(self.texts)}
        return joined(parts, kinds=dict(self.kinds), scaled=self.scaled, **counts)

    @staticmethod
    def from_state(state: State) -> "Preparation":
        """What `to_state` wrote."""
        data = state.data
        return Preparation(
            kinds=data["kinds"],
            numbers=Numbers.from_state(part(state, "numbers")),
            categories=tuple(
                Category.from_state(part(state, f"category{i}")) for i in range(data["categories"])
            ),
            texts=tuple(Text.from_state(part(state, f"text{i}")) for i in range(data["texts"])),
            scaled=data["scaled"],
        )


def fit_preparation(
    x: pd.DataFrame,
    targets: Matrix,
    columns: Sequence["Column"],
    settings: Mapping[str, Any],
    *,
    seed: int,
) -> Prepared:
    """Learns a preparation from the rows of `x`.

    Arguments:
        targets: (rows, outputs) that categories may be encoded by: numbers, or classes one-hot
            (the first left out where there are two).
        columns: what each column is; only used ones are read.
        settings: the "preparation" of a design of `metawright.spaces.tables`.
        seed: decides the folds of target encoding and the projection of texts.

    Raises:
        InputError: a column is missing or holds what it cannot, or nothing varies.
    """
    kinds = {column.name: column.kind for column in columns if column.used}
    _check_columns(x, kinds)
    rng = np.random.default_rng(seed)
    scaled = settings["scaling"] != "none"
    encoded = [
        fit_category(
            words_of(x[name]), targets, name,
            encoding=settings["categories"], rare=settings["rare"], rng=rng,
        )
        for name in _of_kind(kinds, "category")
    ]  # fmt: skip
    words = {name: _texts(x[name]) for name in _of_kind(kinds, "text")}
    texts = tuple(
        fit_text(words[name], name, components=settings["topics"], seed=seed) for name in words
    )
    measured = [e for e in encoded if _is_measured(e.category, scaled)]
    marks = [e.features for e in encoded if not _is_measured(e.category, scaled)]
    topics = [text.transform(words[text.name]) for text in texts]
    stacked = _stacked(x, kinds, [*(e.features for e in measured), *topics])
    names = _names(kinds, [e.category for e in measured], texts)
    numbers = fit_numbers(stacked, names, scaling=settings["scaling"], clip=settings["clip"])
    fitted = Preparation(kinds, numbers, tuple(e.category for e in encoded), texts, scaled)
    features = np.hstack([numbers.transform(stacked), *marks])
    if not features.shape[1]:
        raise InputError(
            f"No column varies in the {len(x)} rows to learn from: give more rows or columns."
        )
    return Prepared(fitted, features)


def _is_measured(category: Category, scaled: bool) -> bool:
    """Whether its features are scaled with the numbers; levels as 0 or 1 are not."""
    return category.encoding == "target" or (category.encoding == "ordinal" and scaled)


def _of_kind(kinds: Mapping[str, str], kind: str) -> list[str]:
    return [name for name, own in kinds.items() if own == kind]


def _names(
    kinds: Mapping[str, str], measured: Sequence[Category], texts: Sequence[Text]
) -> list[str]:
    dates = [f"{name} {part}" for name in _of_kind(kinds, "date") for part in DATE_PARTS]
    levels = [name for category in measured for name in category.feature_names]
    topics = [name for text in texts for name in text.feature_names]
    return [*_of_kind(kinds, "number"), *dates, *levels, *topics]


def _stacked(x: pd.DataFrame, kinds: Mapping[str, str], encoded: Sequence[Matrix]) -> Matrix:
    """All that is scaled together (rows, columns)."""
    numbers = [_numbers(x[name], name)[:, None] for name in _of_kind(kinds, "number")]
    dates = [date_numbers(_dates(x[name], name)) for name in _of_kind(kinds, "date")]
    return np.hstack([np.zeros((len(x), 0)), *numbers, *dates, *encoded])


def _check_columns(x: pd.DataFrame, kinds: Mapping[str, str]) -> None:
    lacking = [name for name in kinds if name not in x.columns]
    if lacking:
        names = ", ".join(f"'{name}'" for name in lacking)
        raise InputError(
            f"The table lacks {len(lacking)} of the {len(kinds)} columns that the model needs: "
            f"{names}. Add them; an unknown value may be left empty."
        )


def _numbers(values: "pd.Series[Any]", name: str) -> NDArray[np.float64]:
    if values.dtype == np.float64:
        return np.asarray(values)
    numbers = pd.to_numeric(values, errors="coerce")
    _check_read(values, numbers.isna(), name, "numbers", "a number")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _dates(values: "pd.Series[Any]", name: str) -> "pd.Series[Any]":
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if pd.api.types.is_numeric_dtype(values.dtype) and values.notna().any():
        dates = pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns]")
    else:
        dates = pd.to_datetime(values, errors="coerce", format="ISO8601")
    _check_read(values, dates.isna(), name, "dates", "a date such as 2024-12-31")
    return dates


def _check_read(
    values: "pd.Series[Any]", unread: "pd.Series[bool]", name: str, what: str, one: str
) -> None:
    wrong = np.flatnonzero((unread & values.notna()).to_numpy())
    if len(wrong):
        raise InputError(
            f"Column '{name}' must hold {what}, but row {wrong[0] + 1} has "
            f"{str(values.iloc[wrong[0]])!r}"
            + (f" and {len(wrong) - 1} more rows are like it" if len(wrong) > 1 else "")
            + f": write {one}, or leave it empty."
        )


def _texts(values: "pd.Series[Any]") -> list[str | None]:
    pairs = zip(values, values.isna(), strict=True)
    return [None if missing else str(value) for value, missing in pairs]
