"""The report of a model of a table: how good it is, why this one, what was tried and read."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metawright import __version__
from metawright.app.report.charts import Interval, intervals
from metawright.app.report.confusion import confusion
from metawright.app.report.html import (
    definitions,
    figure,
    items,
    page,
    section,
    table,
    text,
    two_sizes,
)
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.style import style_sheet
from metawright.app.report.words import number, percent, seconds
from metawright.app.table_check import check_lines
from metawright.errors import InputError
from metawright.recipes.tables.words import pipeline_words
from metawright.store.database import Store
from metawright.store.files import read_json, write_text
from metawright.store.records import Trial

__all__ = ["write_table_report"]

_BEST = 20


def write_table_report(run: Path | str) -> Path:
    """Writes `report.html` into the folder of a run on a table, and gives its path.

    Raises:
        InputError: the run has no model yet.
    """
    run = Path(run)
    told = read_json(run / "run.json")
    if not told.get("scores"):
        raise InputError(f"The run '{run}' has no model yet: run the same command to go on.")
    with Store(run / "store") as store:
        trials = store.trials(run=told["id"])
    body = "".join(
        (
            _header(told, trials),
            _beside(told, trials),
            section("Why this one", items(told.get("why") or [], "why")),
            _errors(told),
            _tried(told, trials),
            _read(told),
            _made(told),
            _use(run, told),
            f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>",
        )
    )
    path = run / "report.html"
    write_text(path, page(f"{told['data']['name']} – metawright report", style_sheet(), body))
    return path


def _headline(told: Mapping[str, Any]) -> str:
    return "accuracy" if "accuracy" in told["scores"] else "r2"


def _shown(name: str, value: float) -> str:
    return percent(value) if "accuracy" in name else number(value, 4)


def _header(told: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    name, check = _headline(told), told["check"]
    value, (low, high) = told["scores"][name], told["intervals"][name]
    called = {"accuracy": "Accuracy", "r2": "Share of the variance explained (R²)"}[name]
    words = (
        f"{called} on rows that the pipelines had not learned from; with 95 % confidence between "
        f"{_shown(name, low)} and {_shown(name, high)}."
    )
    tiles = [
        (f"{check['rows']:,}", "rows"),
        (str(sum(column["used"] for column in check["columns"])), "columns used"),
        (str(len(trials)), "pipelines tried"),
        (seconds(told.get("first_model_seconds")), "to the first model"),
        (seconds(told.get("seconds")), "spent in all"),
    ]
    rows = "".join(f"<li><b>{text(v)}</b><span>{text(n)}</span></li>" for v, n in tiles)
    state = "" if told.get("status") == "done" else " (not done: the best so far)"
    return (
        f'<header><p class="brow">metawright report{text(state)}</p>'
        f"<h1>{text(check['target'])} in {text(told['data']['name'])}</h1>"
        f'<div class="score"><b>{text(_shown(name, value))}</b><div><p>{text(words)}</p></div>'
        f'</div><ul class="tiles">{rows}</ul></header>'
    )


def _beside(told: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    """The model beside its first answer and beside guessing, and all scores."""
    name = _headline(told)
    low, high = told["intervals"][name]
    first = next((trial for trial in trials if trial.scores), None)
    rows = [Interval("this model", told["scores"][name], low, high, own=True)]
    if first is not None:
        rows.append(Interval("first: scaled linear model", first.scores[name]))
    if name in told["baseline"]:
        rows.append(Interval("guessing", told["baseline"][name]))
    wide, narrow = (
        intervals(rows, name="beside", width=width, percents=name == "accuracy")
        for width in WIDTHS
    )
    cells = [
        (
            "",
            (
                text(score.replace("_", " ")),
                text(_shown(score, value)),
                text(" to ".join(_shown(score, end) for end in told["intervals"][score])),
                text(_shown(score, told["baseline"][score]) if score in told["baseline"] else "–"),
            ),
        )
        for score, value in told["scores"].items()
    ]
    heads = [("Score", ""), ("Value", "n"), ("95 % interval", "n"), ("Guessing", "n")]
    caption = "Cross-validated; the interval is over rows drawn anew."
    return section("How good is it", two_sizes(wide, narrow, caption), table(heads, cells))


def _errors(told: Mapping[str, Any]) -> str:
    if not told.get("confusion"):
        return ""
    classes = list(told["check"]["classes"])
    picture = confusion(told["confusion"], classes)
    return section("Where it errs", figure(picture, "Rows are true classes, cross-validated."))


def _tried(told: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    loss = "log_loss" if "log_loss" in told["scores"] else "rmse"
    done = sorted((t for t in trials if t.scores), key=lambda trial: trial.scores[loss])
    shares = dict(zip(told["best"]["members"], told["best"]["weights"], strict=True))
    cells = [
        (
            "own" if trial.id in shares else "",
            (
                str(rank),
                text(pipeline_words(trial.design)),
                text(number(trial.scores[loss], 4)),
                text(percent(shares[trial.id], 0) if trial.id in shares else ""),
                text(seconds(trial.cost.get("seconds"))),
            ),
        )
        for rank, trial in enumerate(done[:_BEST], start=1)
    ]
    heads = [
        ("Rank", "n"),
        ("Pipeline", "design"),
        (loss.replace("_", " "), "n"),
        ("Share", "n"),
        ("Time", "n"),
    ]
    failed = [t for t in trials if t.status == "failed"]
    errors = [f"{pipeline_words(t.design)}: {t.evidence.get('error', '')}" for t in failed]
    more = f"<p>The best {_BEST} of {len(done)}.</p>" if len(done) > _BEST else ""
    return section("What was tried", table(heads, cells), more, items(errors, "why"))


def _read(told: Mapping[str, Any]) -> str:
    check = told["check"]
    cells = [
        (
            "",
            (
                text(column["name"]),
                text(column["kind"]),
                text("used" if column["used"] else "left out"),
                str(column["missing"]),
                text(column["why"]),
            ),
        )
        for column in check["columns"]
    ]
    heads = [("Column", ""), ("Kind", ""), ("Done with it", ""), ("Missing", "n"), ("Why", "")]
    findings = items([line.lstrip("-! ") for line in check_lines(check)], "why")
    return section("The data check", findings, table(heads, cells))


def _made(told: Mapping[str, Any]) -> str:
    rows = {
        "target": told["check"]["target"],
        "kind": told["check"]["kind"],
        "seed": told["seed"],
        "temperature of probabilities": number(told.get("temperature")),
        "made on": told["created"],
        "made by": f"metawright {told['metawright']}",
    }
    return section("How it was made", definitions(rows))


def _use(run: Path, told: Mapping[str, Any]) -> str:
    flag = " --probabilities" if told.get("confusion") else ""
    line = f"metawright predict {shlex.quote(str(run))} new.csv --format csv{flag}"
    return section("Use it", f"<pre><code>{text(line)}</code></pre>")
