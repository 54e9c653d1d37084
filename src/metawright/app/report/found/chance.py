"""The section on chance: what else could have been done with the same budget, and its worth."""

from collections.abc import Mapping
from typing import Any

from metawright.app.measures import NAMES, shown
from metawright.app.report.drawing import Picture
from metawright.app.report.found.charts import chance_chart
from metawright.app.report.found.facts import SearchFacts, known
from metawright.app.report.found.words import upper
from metawright.app.report.html import items, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.words import percent
from metawright.recipes.search.words import gap_words
from metawright.strategies.objectives import Objective, measured

__all__ = ["chance_picture", "chance_section"]

_WITHOUT = (
    "The controls were switched off, and there is no result without them: nothing can be said "
    "about whether this search did better than chance."
)
_LATER = "The comparison with chance is made when the search is done."


def chance_picture(facts: SearchFacts, width: float) -> Picture | None:
    """The course of the search against random draws."""
    goal = facts.goals[0]
    controls = facts.controls
    course = controls.get("search") or []
    return chance_chart(course, controls.get("random"), (goal.name, goal.maximise), width=width)


def chance_section(facts: SearchFacts) -> str:
    """Curve, table of controls and confidence; says so where there is nothing to compare."""
    heading = "Is it better than chance?"
    if facts.asked.get("controls") is False:
        return section(heading, f"<p>{text(_WITHOUT)}</p>")
    if not facts.why:
        return section(heading, f"<p>{text(_LATER)}</p>")
    rows = _rows(facts)
    wide, narrow = (chance_picture(facts, width) for width in WIDTHS)
    caption = (
        "Blue is the best so far of the designs that the strategy chose, orange what the best of "
        "as many random designs is worth on average, with a 95 % band."
        if facts.controls.get("random")
        else "The best so far of the designs that the strategy chose."
    )
    measure = NAMES.get(facts.goals[0].name, facts.goals[0].name)
    heads = [("What", ""), (upper(measure), "n"), ("", "")]
    board = table(heads, rows) if len(rows) > 1 else ""
    missing = "" if len(rows) > 1 else f"<p>{text(_MISSING)}</p>"
    sure = items([_confidence(facts)] if facts.why.get("confidence") else [], "why")
    return section(heading, sure, two_sizes(wide, narrow, caption), board, missing)


_MISSING = (
    "None of the controls was made, for lack of time or because they do not apply here: "
    "nothing can be said about whether this search did better than chance."
)


def _rows(facts: SearchFacts) -> list[tuple[str, tuple[str, ...]]]:
    """The chosen design and what it is compared with, one row each."""
    goal, controls = facts.goals[0], facts.controls
    name = goal.name
    rows: list[tuple[str, tuple[str, ...]]] = []

    def add(what: str, value: Any, note: str = "", kind: str = "") -> None:
        if known(value):
            rows.append((kind, (text(what), text(shown(name, value)), text(note))))

    chosen = facts.best and measured(facts.best, name)
    add("chosen design", chosen, "one training, the same for all", "member")
    best = (controls.get("search") or [None])[-1]
    if best != chosen:
        add("best design of the strategy", best)
    draws = (controls.get("random") or {}).get("expected") or [None]
    count = len(controls.get("search") or [])
    at = draws[min(count, len(draws)) - 1] if count else draws[-1]
    made = min(count, len(draws)) or len(draws)
    many = f"expected best of {made} designs"
    many += f"; the strategy made {count}" if count != made else ""
    add("random search", at, many)
    mean = controls.get("mean_design") or {}
    spread = mean.get("sd")
    told = f"standard deviation {_spread(name, spread)}" if known(spread) else ""
    told += f", of {mean['count']} random designs" if known(mean.get("count")) else ""
    add("a random design, on average", mean.get("value"), told.removeprefix(", "))
    mutants = controls.get("mutants") or {}
    add("the best with one decision changed", mutants.get("best"), _mutants(mutants))
    transfer = controls.get("transfer") or {}
    add("what did best on earlier tasks", transfer.get("value"), "static transfer")
    _add_seeds(controls.get("seeds") or {}, goal, add)
    return rows


def _mutants(found: Mapping[str, Any]) -> str:
    if not known(found.get("count")):
        return ""
    return f"best of {found['count']}; {found.get('better') or 0} of them beat it"


def _add_seeds(seeds: Mapping[str, Any], goal: Objective, add: Any) -> None:
    """The chosen design and its rival over seeds."""
    for key, what in (("chosen", "chosen, other seeds"), ("rival", "runner-up, other seeds")):
        values = [value for value in seeds.get(key) or [] if known(value)]
        if values:
            mean = sum(values) / len(values)
            low, high = shown(goal.name, min(values)), shown(goal.name, max(values))
            note = f"mean of {len(values)}, from {low} to {high}"
            if key == "chosen" and known(seeds.get("sd")):
                note += f"; seed noise {_spread(goal.name, seeds['sd'])} (standard deviation)"
            add(what, mean, note)


def _spread(name: str, value: float) -> str:
    return gap_words(name, value).lstrip("+")


def _confidence(facts: SearchFacts) -> str:
    """How sure it is that the chosen design beats its rival."""
    found, name = facts.why["confidence"], facts.goals[0].name
    sure = percent(found.get("probability"), 0)
    words = f"The chosen design really beats its runner-up with a probability of {sure}"
    if all(known(found.get(key)) for key in ("difference", "low", "high")):
        low, high = (gap_words(name, found[key]) for key in ("low", "high"))
        side = "better" if found["difference"] >= 0 else "worse"
        gap = _spread(name, abs(found["difference"]))
        words += f": on average it is {side} by {gap} (95 %: {low} to {high}, + is better)"
    if known(found.get("pairs")):
        words += f", from {found['pairs']} pairs of trainings with the same seed"
    return words + "."
