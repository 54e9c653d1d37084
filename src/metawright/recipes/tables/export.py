"""A model of a table as a folder that needs no metawright: its two files, a script, and the parts
of metawright that read rows and predict them, copied as they are under another name.

The script needs numpy, pandas, scipy, scikit-learn, skops and safetensors; no training rows are in
the folder unless they are asked for.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metawright import __version__
from metawright.errors import InputError
from metawright.recipes.tables.model import (
    TableModel,
    load_table_model,
    model_files,
    save_table_model,
)
from metawright.store.files import write_text

__all__ = ["KEEPS_ROWS", "export_table", "without_rows"]

KEEPS_ROWS = ("neighbours", "svm")
"""Models that hold rows of the table (prepared as numbers): there is no predicting without."""

_PARTS = "table_model"
_ENTRIES = ("metawright.recipes.tables.model", "metawright.tasks.tables.read")
_ROOT = Path(__file__).resolve().parents[2]
_LEAST = 0.5  # share of the model that must be left
_SCRIPT = '''"""Predicts the rows of a table: `python predict.py new.csv > predictions.csv`.

Needs numpy, pandas, scipy, scikit-learn, skops and safetensors, and the folder `table_model`.
"""

import csv
import sys
from pathlib import Path

from table_model.errors import MetawrightError
from table_model.recipes.tables.model import load_table_model
from table_model.tasks.tables.read import read_table

HERE = Path(__file__).resolve().parent


def predict(table, *, fill=False):
    """What the model says of a file, or of a frame of pandas; see `TablePredictions`."""
    return load_table_model(HERE).predict(read_table(table), fill=fill)


def main():
    if len(sys.argv) != 2:
        sys.exit("Give one table: python predict.py new.csv")
    try:
        found = predict(sys.argv[1])
    except MetawrightError as error:
        sys.exit(f"Error: {error}")
    for note in found.notes:
        print(note, file=sys.stderr)
    names = [f"p_{name}" for name in found.classes] or ["low", "high"]
    answers = found.answers if found.classes else zip(found.low, found.high)
    first = found.labels if found.classes else [f"{value:.6g}" for value in found.answers[:, 0]]
    writer = csv.writer(sys.stdout, lineterminator="\\n")
    writer.writerow(["input", "prediction", *names])
    for number, (label, row) in enumerate(zip(first, answers), start=1):
        writer.writerow([number, label, *(f"{value:.6g}" for value in row)])


if __name__ == "__main__":
    main()
'''


def export_table(
    run: Path, out: Path, told: Mapping[str, Any], *, keep_rows: bool = False
) -> tuple[Path, list[str]]:
    """Writes the model of a run to a folder of its own; gives the folder and what was left out.

    Arguments:
        told: what `run.json` holds.
        keep_rows: whether members that hold rows of the table are exported too.

    Raises:
        InputError: the run has no model, or most of it holds rows of the table.
    """
    model = load_table_model(run)
    notes: list[str] = []
    if not keep_rows:
        model, notes = without_rows(model)
    save_table_model(out, model_files(model))
    for name in _closure():
        write_text(_place(out, name), _text(name))
    for folder in {path for name in _closure() for path in _place(out, name).parents}:
        if out in folder.parents and not (folder / "__init__.py").exists():
            write_text(folder / "__init__.py", "")
    write_text(out / "predict.py", _SCRIPT)
    write_text(out / "README.md", _readme(model, told, notes))
    return out, notes


def without_rows(model: TableModel) -> tuple[TableModel, list[str]]:
    """The model without members that hold rows of the table, and a sentence on them if there are.

    Raises:
        InputError: they are half of the model or more.
    """
    pairs = list(zip(model.members, model.weights, strict=True))
    bare = [pair for pair in pairs if pair[0].design["model"]["kind"] not in KEEPS_ROWS]
    if len(bare) == len(pairs):
        return model, []
    gone = [(m.design["model"]["kind"], w) for m, w in pairs if (m, w) not in bare]
    told = ", ".join(f"{kind.replace('_', ' ')} {weight:.0%}" for kind, weight in gone)
    left = sum(weight for _, weight in bare)
    if left <= _LEAST:
        raise InputError(
            f"The model holds rows of the table in {told} of it and would be little without: "
            "export it with them (--keep-rows, in Python `keep_rows=True`)."
        )
    less = replace(
        model,
        members=tuple(member for member, _ in bare),
        weights=tuple(weight / left for _, weight in bare),
    )
    note = (
        f"Left out, because they hold rows of the table: {told} of the model. Scores in the "
        "report are with them; --keep-rows exports all."
    )
    return less, [note]


def _closure() -> list[str]:
    """Names of the modules that the script needs, found by reading their imports."""
    known: dict[str, None] = {}
    waiting = list(_ENTRIES)
    while waiting:
        name = waiting.pop()
        if name not in known:
            known[name] = None
            waiting += _imported(name)
    return sorted(known)


def _imported(name: str) -> Iterator[str]:
    for node in ast.parse(_source(name).read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("metawright."):
            yield str(node.module)


def _source(name: str) -> Path:
    return _ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")


def _place(out: Path, name: str) -> Path:
    return out.joinpath(_PARTS, *name.split(".")[1:]).with_suffix(".py")


def _text(name: str) -> str:
    """The module with its imports from the copied package."""
    lines = _source(name).read_text("utf-8").splitlines(keepends=True)
    return "".join(
        line.replace("from metawright.", f"from {_PARTS}.", 1)
        if line.lstrip().startswith("from metawright.")
        else line
        for line in lines
    )


def _readme(model: TableModel, told: Mapping[str, Any], notes: list[str]) -> str:
    name = "accuracy" if "accuracy" in told["scores"] else "r2"
    low, high = told["intervals"][name]
    columns = [f"- `{column.name}`: {column.why}" for column in model.columns if column.used]
    return "\n".join(
        [
            f"# A model of `{model.target}`, made by metawright {__version__}",
            "",
            f"Learned from {told['check']['rows']:,} rows of {told['data']['name']}; "
            f"cross-validated {name} {told['scores'][name]:.4g} ({low:.4g} to {high:.4g}).",
            *notes,
            "",
            "    python predict.py new.csv > predictions.csv",
            "",
            "needs numpy, pandas, scipy, scikit-learn, skops and safetensors. From Python, in "
            "this folder: `from predict import predict; predict(frame).answers`.",
            "`table.json` and the safetensors file are the model: data, no code. `table_model` is "
            "the part of metawright (Apache-2.0) that reads rows and predicts them.",
            "",
            "It needs these columns:",
            "",
            *columns,
            "",
        ]
    )
