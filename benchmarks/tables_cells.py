"""What each cell of benchmarks/tables.py measures."""

import csv
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.model_selection import KFold, StratifiedKFold

from cells import Tell
from harness import PROJECT, data_folder
from metawright.evaluate.tables import table_scores
from metawright.generators.tables.belief import Belief
from metawright.generators.tables.experience import (
    TableExperience,
    load_experience,
    save_experience,
)
from metawright.spaces.encoding import encode
from metawright.spaces.tables import table_pipelines
from metawright.tasks.kind import Kind
from metawright.tasks.tables.keel import family_of, read_keel
from table_orders import ORDERS, Earlier, regrets

__all__ = ["AT", "FOLDS", "PICKS", "kind_of", "work"]

Matrix = NDArray[np.float64]
FOLDS = 5
AT = (1, 3, 10)  # designs tried, on our own measurements
PICKS = (1, 5, 10)  # on the matrix of model errors
_LOADED = {"wine": load_wine, "digits": load_digits, "diabetes": load_diabetes}
_SAME = {"wine": "wine", "digits": "optdigits", "diabetes": "diabetes"}
_SEQUENCE = 30  # tasks of one user
_TRIED = 10  # designs on each of them
_PARTS = 10  # of the matrix of model errors


def work(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    """One cell."""
    kinds: dict[str, Callable[[Mapping[str, Any], Tell], Mapping[str, Any]]] = {
        "fit": _fit,
        "families": _families,
        "errors": _errors,
        "own": _own,
    }
    return kinds[settings["what"]](settings, tell)


def kind_of(table: str) -> Kind:
    """Columns of tables ("abalone19:c5") and diabetes are numbers to predict."""
    return Kind.REGRESSION if ":" in table or table == "diabetes" else Kind.CLASSIFICATION


# --- a contender on a fold of a table --------------------------------------------------------


def _fit(settings: Mapping[str, Any], tell: Tell) -> Mapping[str, Any]:
    """Scores on the fold that was left out, and what that took."""
    kind = kind_of(settings["table"])
    frame = _frame(settings["table"])
    learn, judge = _split(frame["target"], kind, settings["fold"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frame.iloc[learn].to_csv(folder / "train.csv", index=False)
        frame.iloc[judge].to_csv(folder / "test.csv", index=False)
        words = [n for n in frame.columns if not pd.api.types.is_numeric_dtype(frame[n])]
        (folder / "types.json").write_text(json.dumps(words), "utf-8")
        command = [
            settings["python"] or sys.executable, "-W", "ignore",
            str(PROJECT / "benchmarks" / "contenders" / "automl.py"),
            settings["contender"], kind.value, str(settings["seconds"]), str(folder),
        ]  # fmt: skip
        if settings["contender"] == "metawright":
            command.append(str(_experience_without(settings["table"], kind, folder / "bundle")))
        most = 20 * settings["seconds"] + 300
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=most, env=_environment(), check=False
        )
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1][:300]}
        took = json.loads(done.stdout.strip().splitlines()[-1])
        answers = pd.read_csv(folder / "answers.csv", dtype=np.float64)
    scores = _scores(answers, frame["target"].iloc[judge], kind)
    return {**took, "scores": scores, "rows": len(learn)}


def _environment() -> dict[str, str]:
    paths = [str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _frame(table: str) -> pd.DataFrame:
    """A table, its target last and called "target"; columns of numbers are numbers."""
    if table in _LOADED:
        loaded = _LOADED[table](as_frame=True)
        target = loaded.target if table == "diabetes" else [f"k{v}" for v in loaded.target]
        return loaded.data.assign(target=target)
    name, _, column = table.partition(":")
    frame = read_keel(name).apply(_numbers)
    target = column or "class"
    values = frame[target] if column else [f"k{v}" for v in frame[target]]
    return frame.drop(columns=target).assign(target=values)


def _numbers(values: pd.Series) -> pd.Series:
    found = pd.to_numeric(values, errors="coerce")
    return values.str.strip() if found.isna().any() else found


def _split(target: pd.Series, kind: Kind, fold: int) -> tuple[Matrix, Matrix]:
    """Rows to learn from and to be judged on, the same for all."""
    make = StratifiedKFold if kind is Kind.CLASSIFICATION else KFold
    parts = make(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(target)), target)
    learn, judge = [*parts][fold]
    return learn, judge


def _scores(answers: pd.DataFrame, target: pd.Series, kind: Kind) -> dict[str, float]:
    if kind is Kind.REGRESSION:
        return table_scores(answers.to_numpy(), target.to_numpy(np.float64), kind)
    place = {str(name): at for at, name in enumerate(answers.columns)}
    y = np.array([place.get(str(label), -1) for label in target])
    found = answers.to_numpy().clip(1e-15, 1)
    found = found / found.sum(1, keepdims=True)
    known = y >= 0  # a class may have no row to learn from
    return table_scores(found[known], y[known], kind)


def _experience_without(table: str, kind: Kind, folder: Path) -> Path:
    """What the package knows, but for the family of this table."""
    shipped = load_experience(kind)
    family = _SAME.get(table) or family_of(table.partition(":")[0])
    gone = [family, *(["penbased"] if family == "optdigits" else [])]
    save_experience(folder, {kind: shipped.without(gone)}, provenance={"without": gone})
    return folder


# --- orders of designs -----------------------------------------------------------------------


def _families(settings: Mapping[str, Any], tell: Tell) -> Mapping[str, Any]:
    """Each family of tables in turn is new; the others are earlier."""
    known = load_experience(Kind(settings["kind"]))
    codes = _codes(known)
    names = sorted(set(known.families))
    if settings["most"]:
        names = names[: settings["most"]]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ORDERS}
    for number, family in enumerate(names):
        earlier = _earlier(known.without([family]), codes)
        orders = {name: make(earlier, number) for name, make in ORDERS.items()}
        for task in [i for i, name in enumerate(known.families) if name == family]:
            for name, order in orders.items():
                places = _tried(order, known, task, max(AT))
                share = _regrets(known, task, places)
                found[name].append({"family": family, "regrets": share})
        tell(number / len(names))
    return found


def _codes(known: TableExperience) -> Matrix:
    space = table_pipelines(known.kind.value, boosted=("lightgbm",))
    return np.array([encode(space, design)[0] for design in known.designs])


def _earlier(known: TableExperience, codes: Matrix) -> Earlier:
    whole = Belief(known.worths, known.profiles, weights=known.weights).worths
    return Earlier(whole, known.profiles, known.weights, codes, known.worths)


def _tried(order: Any, known: TableExperience, task: int, most: int) -> list[int]:
    worths = known.worths[task]
    worst = float(np.nanmax(worths))
    places: list[int] = order(
        known.profiles[task],
        lambda place: worst if np.isnan(worths[place]) else float(worths[place]),
        most,
    )
    return places


def _regrets(known: TableExperience, task: int, places: Sequence[int]) -> list[float]:
    """Regrets of the loss as a share of what guessing loses beyond the best design."""
    losses = np.exp(known.worths[task])
    reach = max(1.01 - float(np.nanmin(losses)), 0.02)
    return [regret / reach for regret in regrets(losses, places, AT)]


def _errors(settings: Mapping[str, Any], tell: Tell) -> Mapping[str, Any]:
    """The 302 x 219 matrix of balanced errors, cross-validated over its data sets."""
    errors, profiles = _matrix()
    order = np.random.default_rng(0).permutation(len(errors))
    logs = np.log(errors + 0.02)
    names = [n for n in ORDERS if n != "regressor"]  # designs of others have no encoding of ours
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    parts = np.array_split(order, _PARTS)[: settings["most"] or _PARTS]
    for number, part in enumerate(parts):
        rest = np.setdiff1d(order, part)
        earlier = Earlier(
            logs[rest], profiles[rest], np.ones(len(rest)), np.zeros((219, 0)), logs[rest]
        )
        for name in names:
            tried = ORDERS[name](earlier, number)
            for task in part:
                places = tried(profiles[task], partial(_at, logs[task]), max(PICKS))
                found[name].append(
                    {
                        "rank": int((errors[task] < errors[task, places[0]]).sum()) + 1,
                        "regrets": regrets(errors[task], places, PICKS),
                    }
                )
        tell(number / len(parts))
    return found


def _at(values: Matrix, place: int) -> float:
    return float(values[place])


def _matrix() -> tuple[Matrix, Matrix]:
    """Errors (data sets, models), and meta-features; where not known, their mean."""
    folder = data_folder("metakb")
    assert folder is not None
    rows = _csv(folder / "oboe_error_matrix.csv.gz")
    errors = np.array([row[1:] for row in rows[1:]], np.float64)
    told = _csv(folder / "pmf_dataset_metafeatures.csv.gz")
    features = {int(float(row[0])): [_number(cell) for cell in row[1:]] for row in told[1:]}
    nothing = [np.nan] * (len(told[0]) - 1)
    found = np.array([features.get(int(float(row[0])), nothing) for row in rows[1:]])
    with np.errstate(all="ignore"):
        found = np.sign(found) * np.log1p(np.abs(found))
    found[~np.isfinite(found)] = np.nan
    found = np.where(np.isnan(found), np.nanmean(found, 0), found)
    return errors, found[:, found.std(0) > 1e-9]


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _csv(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [*csv.reader(file)]


def _own(settings: Mapping[str, Any], tell: Tell) -> Mapping[str, Any]:
    """Task 30 of a user, after 29 of theirs on each of which ten designs were tried."""
    known = load_experience(Kind(settings["kind"]))
    found: dict[str, list[list[float]]] = {"no experience": [], "shipped": [], "and own runs": []}
    for repeat in range(settings["repeats"]):
        for name, places, task in _sequence(known, repeat):
            found[name].append(_regrets(known, task, places))
        tell(repeat / settings["repeats"])
    return found


def _sequence(known: TableExperience, repeat: int) -> Iterator[tuple[str, list[int], int]]:
    """A user's last task: designs tried on it with nothing, with half of the families known, and
    with the user's earlier tasks, which are of the other half, beside them."""
    draw = np.random.default_rng(repeat)
    families = draw.permutation(sorted(set(known.families)))
    shipped = set(families[: len(families) // 2])
    others = [i for i, family in enumerate(known.families) if family not in shipped]
    tasks = [int(i) for i in draw.permutation(others)[:_SEQUENCE]]
    last = tasks[-1]
    start = known.only([i for i, family in enumerate(known.families) if family in shipped])
    count = len(known.designs)
    yield "no experience", [int(i) for i in draw.permutation(count)[: max(AT)]], last
    yield "shipped", _by_belief(start, known, last, max(AT)), last
    for task in tasks[:-1]:
        places = _by_belief(start, known, task, _TRIED)
        mine = known.only([task])
        holes = np.full_like(mine.worths, np.nan)
        holes[:, places] = mine.worths[:, places]
        start = start.joined(_with(mine, holes))
    yield "and own runs", _by_belief(start, known, last, max(AT)), last


def _with(one: TableExperience, worths: Matrix) -> TableExperience:
    return TableExperience(
        one.kind, one.names, one.families, (True,), one.profiles, one.designs, worths, one.seconds
    )


def _by_belief(
    earlier: TableExperience, known: TableExperience, task: int, most: int
) -> list[int]:
    codes = np.zeros((len(known.designs), 0))
    return _tried(ORDERS["metawright"](_earlier(earlier, codes), 0), known, task, most)
