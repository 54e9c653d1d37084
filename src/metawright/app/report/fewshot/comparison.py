"""The page of a comparison: one picture, one table, and how each learner got there."""

from collections.abc import Mapping
from typing import Any

from metawright.app.report.charts import intervals
from metawright.app.report.fewshot.charts import Series, adaptation_chart, course_chart
from metawright.app.report.fewshot.words import (
    asked_words,
    interval,
    interval_words,
    shape,
    value_words,
)
from metawright.app.report.html import definitions, items, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.words import percent, seconds

__all__ = ["comparison_body"]


def comparison_body(told: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The content of the page.

    Arguments:
        told: `run.json` of the comparison.
        runs: `run.json` of each learner's run, by its name.
    """
    percents = next(iter(runs.values()))["test"]["measure"] == "accuracy"
    return "".join(
        (
            _header(told, percents),
            _scores(told, percents),
            _courses(runs, percents),
            _steps(runs, percents),
            _made(told, percents),
        )
    )


def _header(told: Mapping[str, Any], percents: bool) -> str:
    asked = told["asked"]
    best = next(row for row in told["rows"] if row["learner"])
    words = (
        f"is the best of {sum(row['learner'] for row in told['rows'])} learners on the same "
        f"{asked['tasks']} test tasks, {shape(asked, percents)}, each query predicted alone: "
        f"{interval_words(best['inductive'], percents)}."
    )
    return (
        '<header><p class="brow">metawright few-shot comparison</p>'
        f"<h1>{text(told['data']['name'])}</h1>"
        f'<div class="score"><b>{text(value_words(best["inductive"]["mean"], percents))}</b>'
        f"<div><p><strong>{text(best['name'])}</strong> {text(words)}</p></div></div></header>"
    )


def _scores(told: Mapping[str, Any], percents: bool) -> str:
    rows, bars = [], []
    for row in told["rows"]:
        found, own = row["inductive"], row["learner"]
        if found["mean"] is not None:
            bars.append(interval(row["name"], found, percents, own=own))
        rows.append(("member" if own else "", _cells(row, percents)))
    heads = [("Learner", ""), ("Each query alone", "n"), ("Queries together", "n"),
             ("Untrained", "n"), ("Calib. error", "n"), ("Log loss", "n"), ("Steps", "n"),
             ("Time", "n")]  # fmt: skip
    wide, narrow = (
        intervals(bars, name="comparison", width=width, percents=percents) for width in WIDTHS
    )
    caption = (
        "Mean over tasks with its 95 % interval, each query alone; learners blue, baselines grey."
    )
    broken = items((told.get("broken") or {}).values(), "why")
    return section("Who is best", two_sizes(wide, narrow, caption), table(heads, rows), broken)


def _cells(row: Mapping[str, Any], percents: bool) -> tuple[str, ...]:
    name, alone = text(row["name"]), text(interval_words(row["inductive"], percents))
    if not row["learner"]:
        return (name, alone, *["–"] * 6)
    found = row["calibration"]
    together = "the same" if row["independent"] else interval_words(row["transductive"], percents)
    return (
        name,
        alone,
        text(together),
        text(value_words(row["untrained"], percents)),
        text(percent(found["ece"])) if found else "–",
        f"{found['nll']:.3f}" if found else "–",
        str(row["steps"]),
        text(seconds(row["seconds"])),
    )


def _courses(runs: Mapping[str, Mapping[str, Any]], percents: bool) -> str:
    series = [
        Series(name, tuple((row["seconds"], row["mean"], row["ci95"]) for row in told["history"]))
        for name, told in runs.items()
    ]
    measure = "validation accuracy" if percents else "validation mean squared error"
    wide, narrow = (
        course_chart(
            series, name="courses", x_name="seconds of meta-training", y_name=measure,
            percents=percents, width=width,
        )
        for width in WIDTHS
    )  # fmt: skip
    caption = "The same validation tasks every time."
    return section("Who learns how fast", two_sizes(wide, narrow, caption))


def _steps(runs: Mapping[str, Mapping[str, Any]], percents: bool) -> str:
    series = {name: told["adaptation"] for name, told in runs.items() if told.get("adaptation")}
    wide, narrow = (adaptation_chart(series, percents=percents, width=width) for width in WIDTHS)
    caption = (
        "The same test tasks, queries together; learners that do not adapt by steps are not shown."
    )
    return section("Step by step", two_sizes(wide, narrow, caption))


def _made(told: Mapping[str, Any], percents: bool) -> str:
    rows = asked_words(told["asked"], percents)
    rows |= {"made on": told["created"], "made by": f"metawright {told['metawright']}"}
    note = '<p class="muted">Each learner has a run of its own, with its own report, in the '
    note += "sub-folder of its name.</p>"
    return section("How it was made", definitions(rows), note)
