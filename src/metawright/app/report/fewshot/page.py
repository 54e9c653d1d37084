"""The report of a few-shot run or comparison: one page that needs no other file.

In the order in which a reader asks: how good is it, against what, how does it adapt, does it know
what it does not know, what do its tasks look like, how was it trained, how is it used.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metawright import __version__
from metawright.app.report.charts import intervals
from metawright.app.report.fewshot.charts import (
    Series,
    adaptation_chart,
    course_chart,
    reliability_chart,
)
from metawright.app.report.fewshot.comparison import comparison_body
from metawright.app.report.fewshot.samples import SAMPLE_STYLE, samples_section
from metawright.app.report.fewshot.words import (
    asked_words,
    interval,
    interval_words,
    shape,
    value_words,
)
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
from metawright.app.report.words import percent, seconds
from metawright.errors import InputError
from metawright.store.files import read_json, write_text

__all__ = ["write_fewshot_report"]

REPORT = "report.html"


def write_fewshot_report(run: Path) -> Path:
    """Writes `report.html` into the folder of a few-shot run or comparison that is done.

    Raises:
        InputError: another kind of run, or one that has no figures yet.
    """
    run = Path(run)
    told = read_json(run / "run.json")
    kind = told.get("kind") if isinstance(told, dict) else None
    if kind == "fewshot comparison" and told.get("rows"):
        runs = {name: read_json(run / name / "run.json") for name in _learners(told)}
        title, body = f"Comparison on {told['data']['name']}", comparison_body(told, runs)
    elif kind == "fewshot" and told.get("test"):
        title, body = f"{told['asked']['learner']} on {told['data']['name']}", _body(run, told)
    else:
        raise InputError(
            f"'{run}' holds no finished few-shot run: run the same `metawright fewshot` to go on."
        )
    body += f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>"
    style = style_sheet() + SAMPLE_STYLE
    path = run / REPORT
    write_text(path, page(f"{title} – metawright report", style, body, images=True))
    return path


def _learners(told: Mapping[str, Any]) -> list[str]:
    return [row["name"] for row in told["rows"] if row["learner"]]


def _body(run: Path, told: Mapping[str, Any]) -> str:
    samples = run / "samples.json"
    return "".join(
        (
            _header(told),
            _against(told),
            _adapting(told),
            _calibrated(told),
            samples_section(read_json(samples) if samples.exists() else []),
            _training(run, told),
            _made(told),
            _use(run, told),
        )
    )


def _header(told: Mapping[str, Any]) -> str:
    test, asked = told["test"], told["asked"]
    percents = test["measure"] == "accuracy"
    own = test["inductive"]
    new = "" if told["data"]["notes"] else " of classes it never saw"
    words = (
        f"Accuracy on {test['tasks']} test tasks{new}, each query predicted alone: "
        f"{interval_words(own, percents)}."
        if percents
        else f"Mean squared error on {test['tasks']} new tasks, each query predicted alone: "
        f"{interval_words(own, percents)}; median {value_words(own['median'], percents)}."
    )
    note = (
        "This learner looks at one query at a time: together they get the same figure."
        if test["independent"]
        else "Queries predicted together (transductive, as many papers do): "
        f"{interval_words(test['transductive'], percents)}."
    )
    tiles = [
        (shape(asked, percents), "tasks"),
        (str(told["trained"]["steps"]), "meta-steps"),
        (seconds(told.get("training_seconds")), "of meta-training"),
        (str(_best_step(told)), "step of the best weights"),
    ]
    if (found := test["calibration"]) is not None:
        tiles.append((percent(found["ece"]), "calibration error"))
    rows = "".join(f"<li><b>{text(v)}</b><span>{text(n)}</span></li>" for v, n in tiles)
    return (
        '<header><p class="brow">metawright few-shot report</p>'
        f"<h1>{text(asked['learner'])} on {text(told['data']['name'])}</h1>"
        f'<div class="score"><b>{text(value_words(own["mean"], percents))}</b>'
        f'<div><p>{text(words)}</p><p class="muted">{text(note)}</p></div></div>'
        f'<ul class="tiles">{rows}</ul>{items(told["data"]["notes"], "why")}</header>'
    )


def _best_step(told: Mapping[str, Any]) -> Any:
    sign = 1 if told["test"]["measure"] == "accuracy" else -1
    rows = [row for row in told["history"] if row["mean"] is not None]
    return max(rows, key=lambda row: sign * row["mean"])["step"] if rows else "–"


def _against(told: Mapping[str, Any]) -> str:
    test, name = told["test"], told["asked"]["learner"]
    percents = test["measure"] == "accuracy"
    rows = [interval(name, test["inductive"], percents, own=True)]
    if not test["independent"]:
        rows.append(interval(f"{name}, queries together", test["transductive"], percents))
    known = [row for row in told["baselines"] if row["mean"] is not None]
    rows += [interval(row["name"], row, percents) for row in known]
    wide, narrow = (
        intervals(rows, name="against", width=width, percents=percents) for width in WIDTHS
    )
    fewer = {row["tasks"] for row in told["baselines"] if row["tasks"]}
    caption = (
        "Mean over tasks with its 95 % interval; queries alone where nothing else is said. "
        f"Baselines on the first {max(fewer, default=0)} of the same tasks. “Before "
        "meta-training” is the same learner with its first weights, adapted in the same way."
    )
    sources = ""
    if len(test["sources"]) > 1:
        cells = [
            ("", (text(source), text(interval_words(found, percents)), str(found["tasks"])))
            for source, found in test["sources"].items()
        ]
        heads = [("Source", ""), ("Each query alone", "n"), ("Tasks", "n")]
        sources = f"<h3>By source</h3>{table(heads, cells)}"
    return section("What meta-training adds", two_sizes(wide, narrow, caption), sources)


def _adapting(told: Mapping[str, Any]) -> str:
    rows = told.get("adaptation") or []
    percents = told["test"]["measure"] == "accuracy"
    series = {told["asked"]["learner"]: rows}
    wide, narrow = (adaptation_chart(series, percents=percents, width=width) for width in WIDTHS)
    tasks = rows[0]["tasks"] if rows else 0
    caption = f"The same {tasks} test tasks after each number of steps, queries together."
    return section("Step by step", two_sizes(wide, narrow, caption))


def _calibrated(told: Mapping[str, Any]) -> str:
    found = told["test"]["calibration"]
    if found is None:
        return ""
    sure = sum(row["count"] * row["confidence"] for row in found["bins"]) / found["queries"]
    right = sum(row["count"] * row["accuracy"] for row in found["bins"]) / found["queries"]
    word = "more" if sure > right else "less"
    sentences = [
        f"On average {percent(sure)} sure and {percent(right)} right: {word} sure than right by "
        f"{100 * abs(sure - right):.1f} points.",
        f"Expected calibration error {percent(found['ece'])}, over {len(found['bins'])} bins.",
        f"Log loss {found['nll']:.3f} a query (0 is perfect).",
    ]
    picture = figure(reliability_chart(found), "Darker bars hold more predictions.")
    words = f'<div class="text">{items(sentences, "why")}</div>'
    return section("Does it know what it knows", f'<div class="two">{picture}{words}</div>')


def _training(run: Path, told: Mapping[str, Any]) -> str:
    percents = told["test"]["measure"] == "accuracy"
    path = run / "curves.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    validation = Series(
        "validation", tuple((row["step"], row["mean"], row["ci95"]) for row in told["history"])
    )
    losses = _metric(records, "loss", "training loss")
    scores = _metric(records, "accuracy", "training") if percents else losses
    measure = "accuracy" if percents else "mean squared error"
    course, narrow_course = (
        course_chart(
            [validation, scores], name="course", x_name="steps", y_name=measure,
            percents=percents, width=width,
        )
        for width in WIDTHS
    )  # fmt: skip
    loss, narrow_loss = (
        course_chart(
            [losses] if percents else [], name="loss", x_name="steps", y_name="loss",
            percents=False, width=width, height=220,
        )
        for width in WIDTHS
    )  # fmt: skip
    caption = (
        "Validation tasks are none of the training or test tasks, and the same every time. The "
        "weights that were best on them are the ones judged above."
    )
    return section(
        "Training", two_sizes(course, narrow_course, caption), two_sizes(loss, narrow_loss)
    )


def _metric(records: Sequence[Mapping[str, Any]], key: str, name: str) -> Series:
    return Series(name, tuple((row["step"], row[key], 0.0) for row in records if key in row))


def _made(told: Mapping[str, Any]) -> str:
    spec = told["spec"]
    rows = asked_words(told["asked"], spec["kind"] == "classification")
    rows |= {"inputs": " × ".join(str(side) for side in spec["features"]), "kind": spec["kind"]}
    settings = {key: v for key, v in told["settings"].items() if v is not None}
    rows |= {f"training: {key.replace('_', ' ')}": v for key, v in settings.items()}
    rows |= {"made on": told["created"], "made by": f"metawright {told['metawright']}"}
    return section("How it was made", definitions(rows))


def _use(run: Path, told: Mapping[str, Any]) -> str:
    lines = [
        "import metawright, torch",
        f"learner = metawright.load_fewshot({str(run)!r})",
        "with torch.no_grad():",
        "    predict = learner.adapt(metawright.Batch(images, labels), torch.Generator())",
        "    probabilities = predict(new_images).softmax(1)"
        if told["test"]["measure"] == "accuracy"
        else "    numbers = predict(new_x)",
    ]
    shown = "<br>".join(text(line).replace("    ", "&nbsp;" * 4) for line in lines)
    return section("Use it", f"<pre><code>{shown}</code></pre>")
