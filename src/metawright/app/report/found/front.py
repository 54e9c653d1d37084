"""The section on the front: every trial by two measures, and what was given up for what."""

from collections.abc import Sequence

from metawright.app.measures import NAMES, shown
from metawright.app.report.drawing import Picture
from metawright.app.report.found.charts import Spot, scatter
from metawright.app.report.found.facts import SearchFacts
from metawright.app.report.found.words import upper
from metawright.app.report.html import section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.recipes.search.job import role_of
from metawright.store.records import Trial
from metawright.strategies.objectives import measured

__all__ = ["front_pictures", "front_section"]

_COSTS = ("parameters", "flops", "seconds")
_SHOWN = 12


def front_pictures(facts: SearchFacts, width: float) -> list[Picture]:
    """One picture for each further objective against the first, and for each other measure that is
    constrained; where there is neither, for the price."""
    first, *others = (goal.name for goal in facts.goals)
    limited = [limit.name for limit in facts.limits if limit.name not in (first, *others)]
    names = [*others, *limited] or _cost(facts)
    found = [
        scatter(
            _spots(facts, name),
            name,
            (first, facts.goals[0].maximise),
            name="front" if index == 1 else f"front-{index}",
            limits={limit.name: limit.most for limit in facts.limits},
            joined=[name] == others,
            width=width,
        )
        for index, name in enumerate(names, 1)
    ]
    return [picture for picture in found if picture is not None]


def front_section(facts: SearchFacts) -> str:
    """Pictures and, with several objectives, the points of the front as a table."""
    wide, narrow = (front_pictures(facts, width) for width in WIDTHS)
    alone = len(facts.goals) == 1
    figures = "".join(
        two_sizes(large, small, _CAPTION if alone or index else _FRONT)
        for index, (large, small) in enumerate(zip(wide, narrow, strict=True))
    )
    board = "" if alone else _board(facts)
    return section("Cost against score" if alone else "The front", figures, board)


_CAPTION = "Each dot is a design trained in full, once; hollow dots lie outside the picture."
_FRONT = (
    "Each dot is a design trained in full, once; large ones are the front: no design is better "
    "than they are in every objective. Hollow dots lie outside the picture."
)


def _cost(facts: SearchFacts) -> list[str]:
    """What the score is shown against where it is the only objective: its own name left out."""
    own = facts.goals[0].name
    there = [name for name in _COSTS if any(measured(t, name) is not None for t in facts.scored)]
    return [name for name in there if name != own][:1]


def _spots(facts: SearchFacts, name: str) -> list[Spot]:
    first, numbers = facts.goals[0].name, facts.numbers
    front = {trial.id for trial in facts.front} if len(facts.goals) > 1 else set[str]()
    chosen = facts.best.id if facts.best else ""
    spots = []
    for trial in facts.scored:
        x, y = measured(trial, name), measured(trial, first)
        in_part = trial.evidence.get("fidelity", 1) < 1 and trial.id not in (*front, chosen)
        if x is not None and y is not None and not in_part:
            note = f"design {numbers[trial.id]}: {shown(first, y)}, {NAMES.get(name, name)} "
            note += shown(name, x)
            spots.append(Spot(x, y, role_of(trial), note, trial.id in front, trial.id == chosen))
    return spots


def _board(facts: SearchFacts) -> str:
    names = [goal.name for goal in facts.goals]
    heads = [("Design", ""), *((upper(NAMES.get(name, name)), "n") for name in names)]
    rows = [_row(facts, trial, names) for trial in facts.front]
    if not rows:
        return ""
    if len(rows) <= _SHOWN:
        return table(heads, rows)
    rest = table(heads, rows[_SHOWN:])
    more = f"<details><summary>{len(rows) - _SHOWN} more</summary>{rest}</details>"
    return table(heads, rows[:_SHOWN]) + more


def _row(facts: SearchFacts, trial: Trial, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    own = facts.best is not None and trial.id == facts.best.id
    tag = ' <span class="tag">chosen</span>' if own else ""
    values = (measured(trial, name) for name in names)
    cells = (
        "–" if value is None else text(shown(name, value))
        for name, value in zip(names, values, strict=True)
    )
    return "member" if own else "", (f"{facts.numbers[trial.id]}{tag}", *cells)
