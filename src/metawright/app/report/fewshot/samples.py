"""Sample tasks on the page: what was shown to a learner, and what it said of the queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from metawright.app.report.drawing import svg
from metawright.app.report.fewshot.charts import curve_task
from metawright.app.report.html import section, text
from metawright.app.report.words import percent

__all__ = ["SAMPLE_STYLE", "samples_section"]

SAMPLE_STYLE = """
.task{border:1px solid var(--grid);border-radius:12px;padding:.8rem 1rem;margin:1rem 0;
 overflow-x:auto}
.task table{width:auto}
.task td,.task th{border:0;padding:.25rem 1.2rem .25rem 0;vertical-align:middle}
.task th:first-child,.task td:first-child{padding-left:0}
.task td.name{max-width:11rem;overflow-wrap:anywhere;font-size:.86rem}
.cards{display:flex;gap:.45rem;flex-wrap:nowrap}
.card{text-align:center;font-size:.7rem;line-height:1.25;color:var(--muted);width:3.4rem}
.card img{display:block;width:3.4rem;height:3.4rem;object-fit:contain;border-radius:7px;
 border:2.5px solid var(--line);image-rendering:pixelated;background:#000}
.card.right img{border-color:var(--third)}
.card.wrong img{border-color:var(--bad)}
.card.wrong{color:var(--bad)}
.card span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.key{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;margin:0 .35rem 0 .9rem;
 vertical-align:-.05rem}
.k-accent{background:var(--accent)}.k-second{background:var(--second)}
.k-third{background:var(--third)}
.lines{display:flex;flex-wrap:wrap;gap:1rem}
"""


def samples_section(samples: Sequence[Mapping[str, Any]]) -> str:
    """Every sample task; nothing where there is none."""
    shown = [_images(number, task) for number, task in enumerate(samples, 1)
             if task["kind"] == "images"]  # fmt: skip
    curves = [task for task in samples if task["kind"] == "curve"]
    if curves:
        shown.append(_curves(curves))
    if not shown:
        return ""
    legend = (
        '<p class="muted">Each row is a class of a test task. Left what '
        "the learner was shown, right what it was asked, one by one: a green frame is right, a "
        "red one wrong (with the class it took it for), and the number its confidence.</p>"
        if not curves
        else ""
    )
    return section("Sample tasks", legend, *shown)


def _images(number: int, task: Mapping[str, Any]) -> str:
    names = task["classes"]
    rows = []
    for label in sorted({row["label"] for row in task["support"]}):
        shown = "".join(_card(row, "") for row in task["support"] if row["label"] == label)
        asked = "".join(_judged(row, names) for row in task["query"] if row["label"] == label)
        rows.append(
            f'<tr><td class="name">{text(names[label])}</td>'
            f'<td><div class="cards">{shown}</div></td>'
            f'<td><div class="cards">{asked}</div></td></tr>'
        )
    right = sum(row["predicted"] == row["label"] for row in task["query"])
    head = (
        f"<tr><th>Class</th><th>Support</th><th>Queries ({right} of {len(task['query'])} right)"
        "</th></tr>"
    )
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<h3>Task {number}</h3><div class="task">{table}</div>'


def _judged(row: Mapping[str, Any], names: Sequence[str]) -> str:
    right = row["predicted"] == row["label"]
    words = percent(row["confidence"], 0)
    taken = "" if right else f"<span>{text(names[row['predicted']])}</span>"
    return _card(row, "right" if right else "wrong", f"<span>{words}</span>{taken}")


def _card(row: Mapping[str, Any], kind: str, below: str = "") -> str:
    # The image is base64 that this program wrote, and is checked to be nothing else.
    data = "".join(c for c in row["image"] if c.isalnum() or c in "+/=")
    image = f'<img src="data:image/png;base64,{data}" alt="">'
    return f'<div class="card {kind}">{image}{below}</div>'


def _curves(tasks: Sequence[Mapping[str, Any]]) -> str:
    colours = ("third", "second", "accent")
    keys = "".join(
        f'<span class="key k-{colour}"></span>{text(line["name"])}'
        for line, colour in zip(tasks[0]["lines"], colours, strict=False)
    )
    pictures = "".join(f"<figure>{svg(curve_task(task))}</figure>" for task in tasks)
    return (
        f'<p class="muted">Black dots are the support, grey dots the truth at the queries. {keys}'
        f'</p><div class="lines">{pictures}</div>'
    )
