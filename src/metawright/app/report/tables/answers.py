"""What a model looks at, how sure it is, and where it errs: sections of the page."""

from collections.abc import Mapping
from typing import Any

from metawright.app.report.confusion import confusion
from metawright.app.report.drawing import Picture
from metawright.app.report.html import figure, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.tables.charts import reliability_chart, residual_chart, worth_chart
from metawright.app.report.tables.dependence import dependence_chart
from metawright.app.report.tables.facts import TableFacts
from metawright.app.report.words import number

__all__ = ["answer_pictures", "columns_section", "errors_section", "sureness_section"]

_TOP = 15
_MEASURES = {
    "log_loss": "rise of the log loss when the column is shuffled",
    "r2": "loss of R² when the column is shuffled",
}


def columns_section(facts: TableFacts) -> str:
    """Worth of the columns and how answers hang on the most important ones."""
    told = facts.explained
    if not told.get("columns") and not told.get("dependence"):
        words = (
            "No time was left to measure what columns are worth: the same command with a larger "
            "--budget does."
        )
        return section("What it looks at", f"<p>{words}</p>")
    parts = []
    columns = told.get("columns") or []
    if columns:
        caption = (
            f"Shuffled in {told['rows']:,} rows that had not been learned from, with 95 % "
            "intervals over rows; pale bars may be chance. Columns that say the same share their "
            "worth: each can do without the other."
        )
        wide, narrow = (_worth(told, width) for width in WIDTHS)
        parts.append(two_sizes(wide, narrow, caption))
        if columns[_TOP:]:
            rest = f"<details><summary>All {len(columns)} columns</summary>{_all(told)}</details>"
            parts.append(rest)
    wide, narrow = (_dependence(facts, width) for width in WIDTHS)
    parts.append(two_sizes(wide, narrow, _dependence_words(facts), heading="How answers hang on "
                           "the most important columns"))  # fmt: skip
    return section("What it looks at", *parts)


def _worth(told: Mapping[str, Any], width: float) -> Picture | None:
    return worth_chart(told["columns"][:_TOP], _MEASURES[told["measure"]], width=width)


def _all(told: Mapping[str, Any]) -> str:
    rows = [
        ("", (text(row["column"]), text(number(row["rise"])),
              text(f"{number(row['low'])} to {number(row['high'])}")))
        for row in told["columns"]
    ]  # fmt: skip
    return table([("Column", ""), ("Worth", "n"), ("95 % interval", "n")], rows)


def _dependence(facts: TableFacts, width: float) -> Picture | None:
    columns = facts.explained.get("dependence") or []
    target = facts.told["check"]["target"]
    return dependence_chart(columns, facts.classes, target, width=width)


def _dependence_words(facts: TableFacts) -> str:
    classes = facts.classes
    what = f"The mean {facts.told['check']['target']} that it predicts"
    if classes:
        what = f"The mean probability of {classes[1]}" if len(classes) == 2 else (
            "The mean probabilities of the classes that move most" if len(classes) > 4
            else "The mean probabilities of the classes")  # fmt: skip
    band = "; shaded: the middle half of the rows" if len(classes) < 3 else ""
    return (
        f"{what} if the column had this value in every row (partial dependence){band}. Values "
        "that do not occur together are combined too, so a column that goes with others misleads."
    )


def sureness_section(facts: TableFacts) -> str:
    """Whether probabilities are as frequent as they say."""
    wide, narrow = (_reliability(facts, width) for width in (480.0, WIDTHS[1]))
    caption = (
        "Held-out rows in groups of about the same probability, with 95 % intervals: on the "
        "dashed line what is said with 80 % comes true in 80 of 100."
    )
    return section("Is it as sure as it is right", two_sizes(wide, narrow, caption))


def _reliability(facts: TableFacts, width: float) -> Picture | None:
    steps = (facts.told.get("held_out") or {}).get("reliability") or []
    classes = facts.classes
    said = "probability of the predicted class"
    if len(classes) == 2:
        said = f"probability of {classes[1]}"
    return reliability_chart(steps, said, width=width)


def errors_section(facts: TableFacts) -> str:
    """Which classes are taken for which, or where numbers err."""
    if facts.told.get("confusion"):
        picture = confusion(facts.told["confusion"], facts.classes)
        return section("Where it errs", figure(picture, "Rows are true classes, cross-validated."))
    wide, narrow = (_residuals(facts, width) for width in WIDTHS)
    caption = (
        "Cross-validated: above the line the truth is larger than the prediction. Darker where "
        "more rows are; errors beyond the ends are drawn at them."
    )
    return section("Where it errs", two_sizes(wide, narrow, caption))


def _residuals(facts: TableFacts, width: float) -> Picture | None:
    held_out = facts.told.get("held_out") or {}
    if "residuals" not in held_out:
        return None
    return residual_chart(held_out["residuals"], held_out["spread"], width=width)


def answer_pictures(facts: TableFacts) -> list[Picture]:
    """Those of these sections, in their size for paper."""
    told = facts.explained
    found = [
        _worth(told, WIDTHS[0]) if told.get("columns") else None,
        _dependence(facts, WIDTHS[0]),
        _reliability(facts, 480.0),
        _residuals(facts, WIDTHS[0]),
        confusion(facts.told["confusion"], facts.classes) if facts.told.get("confusion") else None,
    ]
    return [picture for picture in found if picture is not None]
