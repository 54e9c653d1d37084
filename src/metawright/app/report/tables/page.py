"""The report of a model of a table: how good it is, why this one, what was tried and read."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from metawright import __version__
from metawright.app.measures import shown
from metawright.app.report.charts import Interval, intervals
from metawright.app.report.drawing import Picture
from metawright.app.report.html import definitions, items, page, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.style import style_sheet
from metawright.app.report.tables.answers import (
    answer_pictures,
    columns_section,
    errors_section,
    sureness_section,
)
from metawright.app.report.tables.facts import (
    TableFacts,
    read_table_facts,
    score_name,
    score_shown,
    size_shown,
)
from metawright.app.report.tables.tried import front_pictures, front_section, tried_section
from metawright.app.report.words import number, seconds
from metawright.app.report.write import PICTURES, REPORT
from metawright.app.table_check import check_lines
from metawright.lazy import load
from metawright.store.files import write_bytes, write_text

__all__ = ["write_table_report"]


def write_table_report(run: Path | str, *, pictures: bool = True) -> Path:
    """Writes `report.html` into the folder of a run on a table, and gives its path.

    Arguments:
        pictures: whether to write them as PNG files too, into the folder `pictures`.

    Raises:
        InputError: the run has no model yet.
    """
    run = Path(run)
    facts = read_table_facts(run)
    body = "".join(
        (
            _header(facts),
            _use(facts),
            _beside(facts),
            section("Why this one", items(facts.told.get("why") or [], "why")),
            columns_section(facts),
            errors_section(facts),
            sureness_section(facts),
            tried_section(facts),
            front_section(facts),
            _read(facts),
            _made(facts),
            f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>",
        )
    )
    path = run / REPORT
    name = f"{facts.told['data']['name']} – metawright report"
    write_text(path, page(name, style_sheet(), body))
    if pictures:
        # matplotlib takes as long to load as all the rest of the page.
        png = load("metawright.app.report.png:png")
        for picture in (_intervals(facts, WIDTHS[0]), *answer_pictures(facts),
                        *front_pictures(facts)):  # fmt: skip
            write_bytes(run / PICTURES / f"{picture.name}.png", png(picture))
    return path


def _header(facts: TableFacts) -> str:
    told, name, check = facts.told, facts.headline, facts.told["check"]
    value, (low, high) = told["scores"][name], told["intervals"][name]
    called = {"accuracy": "Accuracy", "r2": "Share of the variance explained (R²)"}[name]
    words = (
        f"{called} on rows that the pipelines had not learned from; with 95 % confidence between "
        f"{score_shown(name, low)} and {score_shown(name, high)}."
    )
    cost = told.get("cost") or {}
    tiles = [
        (f"{check['rows']:,}", "rows"),
        (str(sum(column["used"] for column in check["columns"])), "columns used"),
        (str(len(facts.trials) + len(facts.failed)), "pipelines tried"),
        (seconds(told.get("first_model_seconds")), "to the first model"),
        (seconds(told.get("seconds")), "spent in all"),
    ]
    if cost:
        tiles.append((shown("latency_row", cost["latency"]), "to predict a row"))
        tiles.append((size_shown(cost["bytes"]), "on disk"))
    rows = "".join(f"<li><b>{text(v)}</b><span>{text(n)}</span></li>" for v, n in tiles)
    state = "" if told.get("status") == "done" else " (not done: the best so far)"
    return (
        f'<header><p class="brow">metawright report{text(state)}</p>'
        f"<h1>{text(check['target'])} in {text(told['data']['name'])}</h1>"
        f'<div class="score"><b>{text(score_shown(name, value))}</b><div><p>{text(words)}</p>'
        f'</div></div><ul class="tiles">{rows}</ul></header>'
    )


def _intervals(facts: TableFacts, width: float) -> Picture:
    """The model beside its first answer and beside guessing."""
    told, name = facts.told, facts.headline
    low, high = told["intervals"][name]
    rows = [Interval("this model", told["scores"][name], low, high, own=True)]
    if facts.first is not None:
        rows.append(Interval("first: scaled linear model", facts.first.scores[name]))
    if name in told["baseline"]:
        value = told["baseline"][name]
        rows.append(Interval("guessing", 0.0 if abs(value) < 1e-12 else value))
    return intervals(rows, name="beside", width=width, percents=name == "accuracy")


def _beside(facts: TableFacts) -> str:
    told = facts.told
    wide, narrow = (_intervals(facts, width) for width in WIDTHS)
    cells = [
        (
            "",
            (
                text(score_name(score)),
                text(score_shown(score, value)),
                text(" to ".join(score_shown(score, end) for end in told["intervals"][score])),
                text(
                    score_shown(score, told["baseline"][score])
                    if score in told["baseline"]
                    else "–"
                ),
            ),
        )
        for score, value in told["scores"].items()
    ]
    heads = [("Score", ""), ("Value", "n"), ("95 % interval", "n"), ("Guessing", "n")]
    caption = "Cross-validated; the interval is over rows drawn anew."
    return section("How good is it", two_sizes(wide, narrow, caption), table(heads, cells))


def _read(facts: TableFacts) -> str:
    check = facts.told["check"]
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


def _made(facts: TableFacts) -> str:
    told = facts.told
    rows = {
        "target": told["check"]["target"],
        "kind": told["check"]["kind"],
        "seed": told["seed"],
        **({"temperature of probabilities": number(told["temperature"])} if facts.classes else {}),
        **_kept(told.get("cost") or {}, told.get("limits") or {}),
        "made on": told["created"],
        "made by": f"metawright {told['metawright']}",
    }
    return section("How it was made", definitions(rows))


def _kept(cost: Mapping[str, float], limits: Mapping[str, float]) -> dict[str, str]:
    """What the model costs beside what was allowed."""
    shown_as = {"bytes": size_shown, "latency": _row_shown}
    rows = {
        {"bytes": "on disk", "latency": "a row of a thousand"}[name]: show(cost[name])
        + (f" of {show(limits[name])} allowed" if name in limits else "")
        for name, show in shown_as.items()
        if name in cost
    }
    return rows | ({"a single row": _row_shown(cost["latency_single"])} if cost else {})


def _row_shown(seconds: float) -> str:
    return shown("latency_row", seconds)


def _use(facts: TableFacts) -> str:
    flag = " --probabilities" if facts.classes else ""
    run = shlex.quote(str(facts.run))
    lines = [
        f"metawright predict {run} new.csv --format csv{flag}",
        f"metawright export {run}          # files that need no metawright",
        f"metawright report {run}          # this page anew, and its pictures as PNG files",
    ]
    code = "<br>".join(text(line) for line in lines)
    return section("Use it", f"<pre><code>{code}</code></pre>")
