"""The verb `generate` for tables, from Python."""

import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from metawright.engine.budget import parse_duration
from metawright.errors import InputError
from metawright.recipes.inputs import read_run
from metawright.recipes.search.asked import Limits, usual_workers
from metawright.recipes.tables.limits import constraints
from metawright.recipes.tables.model import TableModel, TablePredictions, load_table_model
from metawright.recipes.tables.run import Earlier, Watch, generate_table
from metawright.store.home import home_store
from metawright.tasks.tables import pose_table, read_table

__all__ = ["GeneratedTable", "generate_from_table", "predict_table"]


@dataclass(frozen=True)
class GeneratedTable:
    """A model of a table.

    Arguments:
        model: predicts the rows of tables (`metawright.tasks.tables.read_table`).
        record: what `run.json` holds: the data check, scores with intervals, why.
        run: the folder; None where none was asked for.
    """

    model: TableModel
    record: dict[str, Any]
    run: Path | None

    def predict(self, data: Any, *, fill: bool = False) -> Any:
        """Predictions for a file or a frame; see `TableModel.predict`."""
        return self.model.predict(read_table(data), fill=fill)


def generate_from_table(
    data: Any,
    target: str,
    *,
    budget: str | float | None = None,
    trials: int | None = None,
    kind: str | None = None,
    group: str | None = None,
    time: str | None = None,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    strict: bool = False,
    force: bool = False,
    sheet: str | int | None = None,
    workers: int | None = None,
    trial_seconds: float | None = None,
    memory: int | None = None,
    max_bytes: float | None = None,
    max_latency: float | None = None,
    explained: bool = True,
    out: Path | str | None = None,
    store: Path | str | None = None,
    bundle: Path | str | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> GeneratedTable:
    """A model that predicts one column of a table from the others.

    Arguments:
        data: a file (CSV, TSV, JSON lines, Parquet or Excel with their extras), or a frame of
            pandas or polars.
        target: the column to be predicted.
        budget: seconds, or a text such as "5m" (default 60 s).
        trials: how many pipelines to try, instead of a time.
        kind: "classification" or "regression"; None to choose by the target.
        group, time: columns by which rows are split, not only at random.
        drop: columns not to be used.
        keep: columns to be used even where the data check would leave them out.
        strict: refuse rows without a target; force: go on with fewer than ten rows.
        sheet: of an Excel file, by name or number.
        workers: pipelines tried at once, each in a process with one thread.
        trial_seconds, memory: seconds and bytes that one pipeline may take.
        max_bytes: what the model may take on the disk.
        max_latency: seconds that it may take to predict a row, one of a thousand, on one thread.
        explained: whether to find out, in the time that is left, what the model looks at.
        out: folder of the run, in which the same call goes on; None keeps nothing.
        store: folder of the experience that the run starts from and adds to; None for
            METAWRIGHT_STORE or else your own, "none" for what comes with the package alone.
        bundle: folder of gathered experience, in place of what comes with the package.
        seed: of folds and proposals.
        watch: called after every pipeline.

    Raises:
        InputError: the table or something that was asked for cannot be used.

    Example:
        >>> import metawright
        >>> from sklearn.datasets import load_iris
        >>> iris = load_iris(as_frame=True).frame
        >>> made = metawright.generate_from_table(iris, "target", trials=1, store="none")
        >>> made.model.target, made.record["scores"]["accuracy"] > 0.9
        ('target', True)
    """
    if budget is not None and trials is not None:
        raise InputError("Give `budget` or `trials`, not both.")
    seconds = parse_duration(budget, name="`budget`") if isinstance(budget, str) else budget
    if seconds is None and trials is None:
        seconds = 60.0
    if workers is not None and workers < 1:
        raise InputError(f"`workers` must be at least 1, but got {workers}.")
    most = constraints(max_bytes, max_latency)
    count = usual_workers() if workers is None else workers
    limits = Limits(seconds, trials, count, trial_seconds, memory)
    frame = read_table(data, sheet=sheet)
    task = pose_table(
        frame, target, kind=kind, group=group, time=time, drop=drop, keep=keep, strict=strict,
        force=force,
    )  # fmt: skip
    make = partial(
        generate_table, task, limits, name=frame.name, seed=seed, most=most, watch=watch,
        explained=explained,
        earlier=Earlier(home_store(store), None if bundle is None else Path(bundle)),
    )  # fmt: skip
    if out is not None:
        model, record = make(Path(out))
        return GeneratedTable(model, dict(record), Path(out))
    folder = Path(tempfile.mkdtemp(prefix="metawright-"))
    try:
        model, record = make(folder / "run")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return GeneratedTable(model, dict(record), None)


def predict_table(run: Path | str, data: Any, *, fill: bool = False) -> TablePredictions:
    """Predictions of a run's model for the rows of a table.

    Arguments:
        run: folder of a run of `generate_from_table`.
        data: a file or a frame, as for `generate_from_table`; the target need not be there.
        fill: take columns that are not there for missing, instead of refusing.

    Raises:
        InputError: the run has no model of a table, or the rows cannot be used.
    """
    run = Path(run)
    told = read_run(run, model=False)
    if told.get("kind") != "table" or not (run / "table.json").is_file():
        read_run(run)
        raise InputError(f"'{run}' is no run on a table: use `metawright.predict`.")
    return load_table_model(run).predict(read_table(data), fill=fill)
