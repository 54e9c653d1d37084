"""New rows for a task that is known: the same columns, read in the same way."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas

from metawright.errors import InputError
from metawright.tasks.tables.column import CATEGORY, Column, rows
from metawright.tasks.tables.kinds import read_as
from metawright.tasks.tables.read import Frame

__all__ = ["conform"]


def conform(
    frame: Frame,
    columns: Sequence[Column],
    *,
    levels: Mapping[str, Collection[str]] | None = None,
    known: Collection[str] = (),
    fill: bool = False,
) -> tuple[pandas.DataFrame, tuple[str, ...]]:
    """The used columns of new rows, typed as they were for the task, and what was odd about them.

    Arguments:
        columns: of the task.
        levels: of categories, to say which values are new; a new one is left as it is.
        known: further columns that need no word, such as the target.
        fill: take a column that is not there for missing in all rows, instead of refusing.

    Raises:
        InputError: columns are not there, with their names.
    """
    used = [column for column in columns if column.used]
    lacking = [column.name for column in used if column.name not in frame.data]
    if lacking and not fill:
        has = ", ".join(f"'{name}'" for name in list(frame.data.columns)[:10])
        told = ", ".join(f"'{name}'" for name in lacking[:10]) + (", ..." if lacking[10:] else "")
        raise InputError(
            f"{frame.name} lacks {rows(len(lacking), 'column')} that the model needs ({told}) "
            f"and has {has}: add them, or ask for them to be taken as missing (`fill`)."
        )
    notes = [*frame.notes, *_differences(frame, columns, lacking, known)]
    values = {}
    for column in used:
        given = frame.data.get(column.name)
        if given is None:
            given = pandas.Series(np.full(len(frame.data), None, object))
        read = read_as(given, column.kind, form=column.form)
        values[column.name] = read.values
        if read.cells:
            notes.append(
                f"Column '{column.name}' must be {column.kind}s: {rows(read.cells, 'cell')} such "
                f"as '{read.lost[0][:30]}' {'counts' if read.cells == 1 else 'count'} as missing."
            )
        if read.infinite:
            told = rows(read.infinite)
            notes.append(f"Column '{column.name}' is infinite in {told}: counted as missing.")
        if column.kind == CATEGORY and levels is not None and column.name in levels:
            notes += _unseen(column.name, read.values, levels[column.name])
    return pandas.DataFrame(values, index=frame.data.index), tuple(notes)


def _differences(
    frame: Frame, columns: Sequence[Column], lacking: Sequence[str], known: Collection[str]
) -> list[str]:
    notes = []
    if lacking:
        told = ", ".join(f"'{name}'" for name in lacking[:10])
        notes.append(f"Taken as missing in all rows, because they are not there: {told}.")
    expected = {column.name for column in columns} | set(known)
    extra = [name for name in frame.data.columns if name not in expected]
    if extra:
        told = ", ".join(f"'{name}'" for name in extra[:10]) + (", ..." if extra[10:] else "")
        notes.append(f"Columns that the model does not know are ignored: {told}.")
    return notes


def _unseen(name: str, values: pandas.Series, levels: Collection[str]) -> list[str]:
    counts = values.value_counts()
    new = [str(level) for level in counts.index if counts[level] and level not in levels]
    if not new:
        return []
    told = ", ".join(f"'{level}'" for level in sorted(new)[:5]) + (", ..." if new[5:] else "")
    cells = int(sum(counts[level] for level in new))
    return [f"Column '{name}' has {rows(cells)} of values that were not seen before: {told}."]
