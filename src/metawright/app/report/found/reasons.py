"""The sections on why: which decisions mattered, the path to the winner, what it withstands."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from metawright.app.measures import NAMES, shown
from metawright.app.report.drawing import Picture
from metawright.app.report.found.charts import Bar, bars
from metawright.app.report.found.facts import SearchFacts, known
from metawright.app.report.found.scale import Scale
from metawright.app.report.found.words import decision_words, upper
from metawright.app.report.html import items, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.spaces.space import Space

__all__ = ["importance_picture", "reasons_section", "robust_picture", "robust_section"]

_DECISIONS = 12
_CHANGES = 5


def importance_picture(facts: SearchFacts, width: float) -> Picture | None:
    """The share of each decision in how scores differ, the largest first."""
    rows = [row for row in facts.why.get("importance") or [] if known(row.get("share"))]
    told = [
        Bar(
            decision_words(str(row.get("decision")), facts.space),
            float(row["share"]),
            float(row["sd"]) if known(row.get("sd")) else None,
        )
        for row in rows[:_DECISIONS]
    ]
    title = "Importance of decisions"
    return bars(told, name="importance", title=title, percents=True, width=width)


def reasons_section(facts: SearchFacts) -> str:
    """Importance and the path to the winner."""
    wide, narrow = (importance_picture(facts, width) for width in WIDTHS)
    left = len(facts.why.get("importance") or []) - _DECISIONS
    rest = f" {left} more decisions have smaller shares." if left > 0 else ""
    caption = (
        "Share of the differences between scores that a decision explains by itself or with "
        f"others, with its standard deviation over trees.{rest}"
    )
    drawn = two_sizes(wide, narrow, caption, heading="Which decisions mattered")
    path = _path(facts)
    measure = NAMES.get(facts.goals[0].name, facts.goals[0].name)
    heading = f"<h3>The path to the best {text(measure)}</h3>"
    return section("Why this one", drawn, f"{heading}{path}" if path else "")


def _path(facts: SearchFacts) -> str:
    goal, numbers, space = facts.goals[0], facts.numbers, facts.space
    heads = [("Design", "n"), (upper(NAMES.get(goal.name, goal.name)), "n"),
             ("What changed", "design")]  # fmt: skip
    rows = []
    steps = [step for step in facts.why.get("path") or [] if known(step.get("value"))]
    for place, step in enumerate(steps):
        number = numbers.get(str(step.get("trial")), "–")
        value = text(shown(goal.name, step["value"]))
        cells = (str(number), value, _changes(step.get("changes") or [], space, first=not place))
        rows.append(("member" if step.get("trial") == facts.told.get("best") else "", cells))
    return table(heads, rows) if rows else ""


def _change(change: str, space: Space | None) -> str:
    """A change, with its decision as a reader wants it: "lr: 0.1 → 0.2"."""
    found = re.match(r"([\w.]+)(.*)", change.replace(" -> ", " → "))
    if found is None:
        return change
    name = decision_words(found[1], space).replace(": ", " ")
    return f"{name}: {found[2].removeprefix(':').strip()}"


def _changes(changes: Sequence[object], space: Space | None, *, first: bool) -> str:
    """What differs from the best before; many changes are folded."""
    if not changes:
        return "the first" if first else "nothing but the training"
    # What a decision was about that no longer counts says nothing beside the change that did it.
    told = [_change(str(c), space) for c in changes if not str(c).startswith("no ")]
    if not told:
        return text("; ".join(str(change) for change in changes))
    shown_first = text("; ".join(told[:_CHANGES]))
    if len(told) <= _CHANGES:
        return shown_first
    rest = items(told[_CHANGES:], "why")
    left = len(told) - _CHANGES
    more = f"<summary>{left} more {'change' if left == 1 else 'changes'}</summary>"
    return f"{shown_first}<details>{more}{rest}</details>"


def robust_picture(facts: SearchFacts, width: float) -> Picture | None:
    """The score under what may happen to examples."""
    found: Mapping[str, Any] = facts.why.get("robustness") or {}
    scale = Scale(facts.goals[0].name)
    percents = scale.percents or _shares(found)
    rows = [Bar(str(name), float(value)) for name, value in found.items() if known(value)]
    title = "Score under changes of the examples"
    drawn = bars(
        rows, name="robustness", title=title, percents=percents, first="third", width=width
    )
    return drawn if len(rows) > 1 else None


def _shares(found: Mapping[str, Any]) -> bool:
    """Robustness is told as accuracy wherever there are classes, whatever the search was after."""
    return all(0 <= value <= 1 for value in found.values() if known(value))


def robust_section(facts: SearchFacts) -> str:
    """What the chosen network withstands."""
    wide, narrow = (robust_picture(facts, width) for width in WIDTHS)
    caption = "The kept network on test examples as they are (green), and as they might become."
    return section("What it withstands", two_sizes(wide, narrow, caption))
