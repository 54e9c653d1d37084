"""Tables: first answers, answers after 10 and 60 seconds, and what experience is worth.

Every contender is a process with one thread, on the same rows of the same five folds; metawright's
experience leaves out the family of the table in question. Peers come from an environment of their
own, whose Python is named by --peers (or METAWRIGHT_PEERS):

    python -m venv peers
    peers/bin/pip install flaml lightgbm catboost xgboost-cpu autogluon.tabular

    python benchmarks/tables.py --peers peers/bin/python      # all tables and folds: days
    python benchmarks/tables.py --tables 8 --folds 1 ...      # the first tables of the list
    python benchmarks/tables.py --quick                       # under a minute
"""

import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cells import Cell, figures_of, flags_of
from harness import Check, data_folder, finish, mean_ci
from metawright.tasks.kind import Kind
from table_orders import ORDERS
from tables_cells import AT, FOLDS, PICKS, work
from weight import weight

OURS = "metawright"
FIRST = 1.0  # seconds of our first answer
LIMITS = (10.0, 60.0)
DEFAULTS = ("scaled linear", "hist. boosting", "random forest")
BORROWED = ("lightgbm", "flaml zero-shot")  # of the peers' environment
SEARCHING = ("flaml", "autogluon")
# Of different kinds early in the list, so that its beginning stands for the whole.
TABLES = (
    "wdbc", "german", "diabetes", "yeast1", "segment", "saheart", "wine", "abalone19:c5",
    "contraceptive", "phoneme", "sonar", "winequality-red-4:c8", "tae", "splice", "mammographic",
    "titanic", "flare-F", "winequality-red-4", "bands", "german:c5", "movement_libras", "digits",
    "housevotes", "breast", "tic-tac-toe", "monk-2", "haberman", "segment:c18", "spambase",
    "satimage", "banana", "twonorm", "ring", "chess", "car-good", "optdigits", "mushroom",
    "penbased", "marketing",
)  # fmt: skip
ABOUT = (
    "Scores are of folds that were left out; losses are log loss, or the root of 1 - R² for "
    "numbers; ranks are among all contenders of the same table, mean over tables and folds. "
    "Seconds: of the clock that a contender was given; CPU and wall are what it took from rows "
    "in memory to answers, imports left out (ours has to start a process within that time). "
    "AutoGluon: preset medium, without torch (its neural networks are left out). Orders: each "
    "family of tables in turn is new, regret is how far the best design so far is from the best "
    "of all, as a share of what guessing loses beyond it. Matrix: 302 data sets x 219 models of "
    "OBOE (Yang et al. 2019), balanced error, cross-validated over data sets in ten parts."
)


def cells_of(tables: Sequence[str], folds: int, peers: str, *, quick: bool) -> list[Cell]:
    """Fits by contender, table, fold and time; orders by kind."""
    made = []
    limits: list[tuple[str, float, bool]] = [(OURS, FIRST, False)]
    limits += [(name, 0.0, False) for name in DEFAULTS]
    if peers:
        limits += [(name, 0.0, True) for name in BORROWED]
    for seconds in () if quick else LIMITS:
        limits.append((OURS, seconds, False))
        limits += [(name, seconds, True) for name in SEARCHING] if peers else []
    for fold in range(folds):
        for table in tables:
            for contender, seconds, theirs in limits:
                settings = {
                    "what": "fit", "table": table, "fold": fold, "contender": contender,
                    "seconds": seconds, "python": peers if theirs else "",
                }  # fmt: skip
                made.append(Cell(cell_name(settings), settings, (seconds + 5) / 60))
    most = 3 if quick else 0
    for kind in (Kind.CLASSIFICATION, Kind.REGRESSION):
        settings = {"what": "families", "kind": kind.value, "most": most}
        made.append(Cell(f"families-{kind.value}", settings, 2))
    made.append(Cell("own", {"what": "own", "kind": "classification",
                             "repeats": 2 if quick else 60}, 2))  # fmt: skip
    made.append(Cell("errors", {"what": "errors", "most": 1 if quick else 0}, 2))
    return made


def cell_name(settings: Mapping[str, Any]) -> str:
    """As a file's."""
    parts = [settings["table"].replace(":", "."), settings["fold"], settings["contender"]]
    return "-".join(str(part) for part in [*parts, f"{settings['seconds']:g}"]).replace(" ", "-")


# --- tables of results -----------------------------------------------------------------------


class Round:
    """What contenders reached at one time: on every fold of every table that all have."""

    def __init__(
        self, found: Mapping[str, Any], tables: Sequence[str], folds: int,
        contenders: Sequence[tuple[str, float]],
    ) -> None:  # fmt: skip
        self.contenders = [f"{name}, {seconds:g} s" if seconds else name
                           for name, seconds in contenders]  # fmt: skip
        self.figures: list[tuple[str, list[Mapping[str, Any]]]] = []
        self.failed = dict.fromkeys(self.contenders, 0)
        for table in tables:
            for fold in range(folds):
                row = [
                    found.get(cell_name({"table": table, "fold": fold, "contender": name,
                                         "seconds": seconds}))
                    for name, seconds in contenders
                ]  # fmt: skip
                known = [one for one in row if one is not None]
                if row and len(known) == len(row):
                    for name, one in zip(self.contenders, known, strict=True):
                        self.failed[name] += "error" in one
                    self.figures.append((table, known))

    @property
    def losses(self) -> np.ndarray:
        """(folds of tables, contenders), infinite where one failed."""
        return np.array([[_loss(one) for one in row] for _, row in self.figures])

    @property
    def ranks(self) -> np.ndarray:
        """Ranks (folds of tables, contenders); equal losses share theirs."""
        losses = self.losses
        below = (losses[:, None, :] < losses[:, :, None]).sum(2)
        same = (losses[:, None, :] == losses[:, :, None]).sum(2)
        return np.asarray(below + (same + 1) / 2)

    def table(self, title: str) -> dict[str, Any]:
        """A row a contender."""
        rows = []
        if self.figures:
            ranks, ours = self.ranks, self.losses[:, [0]]
            shares = self.losses / ours.clip(1e-6)
            for at, name in enumerate(self.contenders):
                mean, half = mean_ci([float(v) for v in ranks[:, at]])
                took = [row[at] for _, row in self.figures if "error" not in row[at]]
                rows.append([
                    name, f"{mean:.2f} ± {half:.2f}",
                    f"{np.median(self._of('log_loss', at)):.4f}",
                    f"{100 * np.mean(self._of('auc', at)):.2f}",
                    f"{np.mean(self._of('r2', at)):.4f}" if self._of("r2", at) else "",
                    f"{np.median(shares[:, at]):.3f}",
                    f"{np.mean([t['cpu'] for t in took]):.1f}" if took else "",
                    f"{max(t['wall'] for t in took):.1f}" if took else "",
                    self.failed[name],
                ])  # fmt: skip
        names = sorted({table for table, _ in self.figures})
        return {
            "title": f"{title} ({len(self.figures)} folds of {len(names)} tables)",
            "columns": ["contender", "mean rank", "median log loss", "mean AUC, %", "mean R²",
                        "loss / ours, median", "CPU s", "longest wall s", "failed"],
            "rows": rows,
        }  # fmt: skip

    def mean_rank(self, name: str) -> float:
        """Of a contender, or nan."""
        if name not in self.contenders or not self.figures:
            return float("nan")
        return float(self.ranks[:, self.contenders.index(name)].mean())

    def median_loss(self, name: str) -> float:
        """Median log loss, or nan."""
        if name not in self.contenders or not self.figures:
            return float("nan")
        values = self._of("log_loss", self.contenders.index(name))
        return statistics.median(values) if values else float("nan")

    def longest(self) -> float:
        """Seconds of the clock that ours took at most, as a share of what it was given."""
        if not self.figures:
            return float("nan")
        given = float(self.contenders[0].split(", ")[1].split()[0])
        walls = [row[0]["wall"] for _, row in self.figures if "error" not in row[0]]
        return max(walls) / given if walls else float("nan")

    def _of(self, score: str, at: int) -> list[float]:
        rows = [row[at].get("scores", {}) for _, row in self.figures]
        return [row[score] for row in rows if score in row]


def _loss(one: Mapping[str, Any]) -> float:
    if "error" in one:
        return float("inf")
    scores = one["scores"]
    return float(scores["log_loss"] if "log_loss" in scores else max(1 - scores["r2"], 0) ** 0.5)


def rounds(found: Mapping[str, Any], tables: Sequence[str], folds: int) -> dict[str, Round]:
    """First answers, and those after each time."""
    firsts = [(OURS, FIRST), *((name, 0.0) for name in (*DEFAULTS, *BORROWED))]
    there = {name.rpartition("-")[0] for name in found}
    have = [c for c in firsts if any(c[0].replace(" ", "-") in name for name in there)]
    made = {"First answers": Round(found, tables, folds, have)}
    for seconds in LIMITS:
        names = [(OURS, seconds), *((name, seconds) for name in SEARCHING)]
        made[f"After {seconds:g} s"] = Round(found, tables, folds, names)
    return made


def orders_table(found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Regret after some designs, each family weighing the same."""
    figures = found.get(f"families-{kind}", {})
    rows = []
    for name in ORDERS:
        if figures.get(name):
            means = _by_family(figures[name])
            rows.append([name, *(f"{m:.4f} ± {h:.4f}" for m, h in means)])
    title = f"Order of designs on a new family of tables, {kind}: regret after"
    return {"title": title, "columns": ["order", *(f"{at} designs" for at in AT)], "rows": rows}


def _by_family(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    families = sorted({row["family"] for row in rows})
    means = [
        np.mean([row["regrets"] for row in rows if row["family"] == family], 0)
        for family in families
    ]
    return [mean_ci([float(mean[at]) for mean in means]) for at in range(len(AT))]


def errors_table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Rank of the first pick, and regrets."""
    rows = []
    for name, picks in found.get("errors", {}).items():
        ranks = mean_ci([float(pick["rank"]) for pick in picks])
        regrets = [mean_ci([pick["regrets"][at] for pick in picks]) for at in range(len(PICKS))]
        rows.append([name, f"{ranks[0]:.1f} ± {ranks[1]:.1f}",
                     *(f"{m:.4f} ± {h:.4f}" for m, h in regrets)])  # fmt: skip
    title = "Matrix of 302 data sets x 219 models: rank of the first pick, regret of error after"
    columns = ["order", "rank of 219", *(f"{at} picks" for at in PICKS)]
    return {"title": title, "columns": columns, "rows": rows}


def own_table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Regrets on a user's thirtieth task."""
    rows = [
        [name, *(f"{m:.4f} ± {h:.4f}" for m, h in
                 (mean_ci([one[at] for one in values]) for at in range(len(AT))))]
        for name, values in found.get("own", {}).items()
    ]  # fmt: skip
    title = "Task 30 of a user: regret with nothing, with shipped experience of other families, "
    title += "and with the 29 earlier tasks of the user (ten designs each) beside it"
    return {"title": title, "columns": ["experience", *(f"{at} designs" for at in AT)],
            "rows": rows}  # fmt: skip


def weight_table(peers: str) -> dict[str, Any]:
    """Size with all that is required, and time to load."""
    wanted = [(sys.executable, "metawright", "from metawright import generate_from_table")]
    gluon = "from autogluon.tabular import TabularPredictor"
    theirs = (("flaml", "from flaml import AutoML"), ("autogluon.tabular", gluon))
    wanted += [(peers, *one) for one in theirs] if peers else []
    rows = []
    for python, package, statement in wanted:
        one = weight(python, package, statement)
        size = f"{one['bytes'] / 2**20:.0f}"
        rows.append([package, size, one["packages"], f"{one['seconds']:.2f}"])
    columns = ["package", "MiB with what it requires", "packages", "CPU s to import"]
    return {"title": "Size and loading", "columns": columns, "rows": rows}


# --- checks ----------------------------------------------------------------------------------


def checks(found: Mapping[str, Any], made: Mapping[str, Round]) -> Iterator[Check]:
    """What is asked: ours is better than each."""
    first = made["First answers"]
    ours = f"{OURS}, {FIRST:g} s"
    for name in (*DEFAULTS, *BORROWED):
        ratio = first.mean_rank(ours) / first.mean_rank(name)
        yield Check(f"first answer, mean rank as a share of {name}'s", ratio, 1.0, lower=True)
    for seconds in LIMITS:
        round_ = made[f"After {seconds:g} s"]
        for name in SEARCHING:
            mine, theirs = f"{OURS}, {seconds:g} s", f"{name}, {seconds:g} s"
            ratio = round_.mean_rank(mine) / round_.mean_rank(theirs)
            yield Check(f"{seconds:g} s, mean rank as a share of {name}'s", ratio, 1.0, lower=True)
            ratio = round_.median_loss(mine) / round_.median_loss(theirs)
            yield Check(
                f"{seconds:g} s, median log loss as a share of {name}'s", ratio, 1.0, lower=True
            )
        yield Check(f"{seconds:g} s, longest wall time as a share of it", round_.longest(), 1.0,
                    lower=True)  # fmt: skip
    for kind in ("classification", "regression"):
        figures = found.get(f"families-{kind}", {})
        for rival in ("random order", "static portfolio", "nearest tasks"):
            for at, count in enumerate(AT):
                yield Check(
                    f"{kind}, regret after {count} designs as a share of {rival}'s",
                    _share(figures, rival, at), 1.0, lower=True,
                )  # fmt: skip
    picks = found.get("errors", {})
    for rival in ("random order", "static portfolio"):
        ratio = _mean(picks, OURS, "rank") / _mean(picks, rival, "rank")
        yield Check(f"matrix, rank of the first pick as a share of {rival}'s", ratio, 1.0,
                    lower=True)  # fmt: skip
        for at, count in enumerate(PICKS):
            ratio = _mean(picks, OURS, at) / _mean(picks, rival, at)
            yield Check(f"matrix, regret after {count} picks as a share of {rival}'s", ratio, 1.0,
                        lower=True)  # fmt: skip
    own = found.get("own", {})
    for at, count in enumerate(AT):
        values = [float(np.mean([one[at] for one in own[n]])) if own.get(n) else float("nan")
                  for n in ("and own runs", "no experience", "shipped")]  # fmt: skip
        for name, other in zip(("an empty store's", "shipped experience's"), values[1:],
                               strict=True):  # fmt: skip
            yield Check(f"task 30, regret after {count} designs as a share of {name}",
                        values[0] / max(other, 1e-9), 1.0, lower=True)  # fmt: skip


def _share(figures: Mapping[str, Any], rival: str, at: int) -> float:
    if not figures.get(rival):
        return float("nan")
    mine, theirs = (_by_family(figures[name])[at][0] for name in (OURS, rival))
    return mine / max(theirs, 1e-9)


def _mean(picks: Mapping[str, Any], name: str, what: str | int) -> float:
    if not picks.get(name):
        return float("nan")
    values = [p["rank"] if what == "rank" else p["regrets"][what] for p in picks[name]]
    return max(float(np.mean(values)), 1e-9)


def main() -> int:
    """Reads the flags, runs what is missing, and hands the record to the harness."""
    parser = flags_of(__doc__, workers=1)
    parser.add_argument("--tables", type=int, default=len(TABLES), help="first of the list")
    parser.add_argument("--folds", type=int, default=FOLDS, help="first of the five")
    parser.add_argument("--peers", default=os.environ.get("METAWRIGHT_PEERS", ""),
                        help="Python of an environment with the peers")  # fmt: skip
    flags = parser.parse_args()
    folder = data_folder("tabular_keel")
    if folder is None:
        print("Skipped: tabular_keel is not there; set METAWRIGHT_DATA.", file=sys.stderr)
        return 0
    os.environ["METAWRIGHT_DATA"] = str(folder.parent)
    tables = ("wdbc", "tae") if flags.quick else TABLES[: flags.tables]
    folds = 1 if flags.quick else flags.folds
    cells = cells_of(tables, folds, flags.peers, quick=flags.quick)
    found = figures_of("Tables", "tables", cells, work, flags)
    made = rounds(found, tables, folds)
    result = {
        "title": "Tables",
        "about": ABOUT,
        "seeds": [0],
        "tables": [
            *(one.table(title) for title, one in made.items()),
            orders_table(found, "classification"),
            orders_table(found, "regression"),
            errors_table(found),
            own_table(found),
            weight_table("" if flags.quick else flags.peers),
        ],
        "folds": {name: one for name, one in found.items() if "scores" in one or "error" in one},
        "missing": [cell.name for cell in cells if cell.name not in found],
    }
    return finish("tables", result, list(checks(found, made)), flags.quick)


if __name__ == "__main__":
    sys.exit(main())
