"""A model of a table: a few fitted pipelines, their shares, and what turns them into an answer.

In a run folder it is `table.json` and the safetensors file that this names; no training rows are
kept but those that a member cannot predict without (nearest neighbours).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from metawright.errors import InputError, VersionError
from metawright.models.tables.fitted import FittedPipeline
from metawright.models.tables.mixture import calibrated, mixed
from metawright.models.tables.state import State, joined, part
from metawright.store.files import clear_errors, json_text, read_json, write_bytes
from metawright.tasks.kind import Kind
from metawright.tasks.tables.column import Column
from metawright.tasks.tables.conform import conform
from metawright.tasks.tables.read import Frame

__all__ = ["FILE", "TableModel", "TablePredictions", "load_table_model", "model_files",
           "save_table_model"]  # fmt: skip

FILE = "table.json"
_FORMAT = 1

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class TablePredictions:
    """What a model says of rows.

    Arguments:
        classes: in the order of the columns of `answers`; empty for numbers.
        answers: probabilities (rows, classes), or numbers (rows, 1).
        low, high: (rows,) ends of the 90 % interval of numbers; None for classes.
        notes: what was odd about the rows, a sentence each.
    """

    classes: tuple[str, ...]
    answers: Matrix
    low: Matrix | None
    high: Matrix | None
    notes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each row."""
        return [self.classes[best] for best in self.answers.argmax(1)]


@dataclass(frozen=True)
class TableModel:
    """Pipelines whose answers are averaged.

    Arguments:
        members: fitted on all rows; weights: their shares.
        temperature: at which the averaged probabilities are read; 1 for numbers.
        spread: added to a number for the ends of its 90 % interval, from held-out rows.
        kind, classes, target, columns: of the task.
        levels: values of each category that were seen, to say which ones are new.
    """

    members: tuple[FittedPipeline, ...]
    weights: tuple[float, ...]
    temperature: float
    spread: tuple[float, float]
    kind: Kind
    classes: tuple[str, ...]
    target: str
    columns: tuple[Column, ...]
    levels: Mapping[str, tuple[str, ...]]

    def predict(self, frame: Frame, *, fill: bool = False) -> TablePredictions:
        """Predicts the rows of a table that was read by `read_table`.

        Arguments:
            fill: take columns that are not there for missing, instead of refusing.

        Raises:
            InputError: columns that the model needs are not there.
        """
        x, notes = conform(
            frame, self.columns, levels=self.levels, known=(self.target,), fill=fill
        )
        answers = self.answers(x)
        if self.kind is Kind.REGRESSION:
            low, high = (answers[:, 0] + side for side in self.spread)
            return TablePredictions((), answers, low, high, notes)
        return TablePredictions(self.classes, answers, None, None, notes)

    def answers(self, x: Any) -> Matrix:
        """Probabilities (rows, classes) or numbers (rows, 1) of rows that are typed already."""
        answers = mixed([member.predict(x) for member in self.members], self.weights)
        return answers if self.kind is Kind.REGRESSION else calibrated(answers, self.temperature)


def save_table_model(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Makes these files the model of `folder`, wholly or not at all; gives the JSON file."""
    for name, data in files.items():  # the description comes last: it names the other
        write_bytes(folder / name, data)
    for old in folder.glob("table-*.safetensors"):
        if old.name not in files:
            old.unlink(missing_ok=True)
    return folder / FILE


def model_files(model: TableModel) -> dict[str, bytes]:
    """The files that a model consists of, by name: the arrays, then the description.

    Written twice, they may differ by some bytes: scikit-learn's parts carry numbers of their own.
    """
    parts = {str(number): member.to_state() for number, member in enumerate(model.members)}
    state = joined(parts)
    data = save({name: np.ascontiguousarray(array) for name, array in state.arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = f"table-{digest[:16]}.safetensors"
    told = {
        "format": _FORMAT,
        "weights": weights,
        "sha256": digest,
        "shares": list(model.weights),
        "temperature": model.temperature,
        "spread": list(model.spread),
        "kind": model.kind.value,
        "classes": list(model.classes),
        "target": model.target,
        "columns": [column._asdict() for column in model.columns],
        "levels": {name: list(seen) for name, seen in model.levels.items()},
        "members": [state.data[str(number)] for number in range(len(model.members))],
    }
    return {weights: data, FILE: f"{json_text(told)}\n".encode()}


def load_table_model(folder: Path | str) -> TableModel:
    """The model of a run folder.

    Raises:
        InputError: there is none, or its files are damaged.
        VersionError: another version of metawright wrote it.
    """
    folder = Path(folder)
    if not (folder / FILE).is_file():
        raise InputError(f"'{folder}' holds no model of a table: give the folder of such a run.")
    told: dict[str, Any] = read_json(folder / FILE)
    if told.get("format") != _FORMAT:
        raise VersionError(
            f"The model in '{folder}' was written by another version: make it again."
        )
    return TableModel(
        tuple(_members(folder, told)),
        tuple(told["shares"]),
        told["temperature"],
        (told["spread"][0], told["spread"][1]),
        Kind(told["kind"]),
        tuple(told["classes"]),
        told["target"],
        tuple(Column(**column) for column in told["columns"]),
        {name: tuple(seen) for name, seen in told["levels"].items()},
    )


def _members(folder: Path, told: dict[str, Any]) -> Sequence[FittedPipeline]:
    # The name comes from a file that anybody may have written: it must not lead elsewhere.
    path = folder / Path(str(told["weights"])).name
    with clear_errors(path, verb="read"):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise InputError(f"{path} is damaged: restore the file or make the model again.")
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: make the model again.") from error
    named = {str(number): state for number, state in enumerate(told["members"])}
    whole = State(named, arrays)
    return [FittedPipeline.from_state(part(whole, number)) for number in named]
