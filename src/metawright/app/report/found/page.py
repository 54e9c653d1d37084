"""The report of a search: one page that needs no other file, and its pictures.

In the order in which a reader asks: what was found and how good is it, is it better than chance,
what did it cost, what is it, why this one, what does it withstand, what else was tried, how was it
made, how is it used.
"""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metawright import __version__
from metawright.app.measures import NAMES, shown
from metawright.app.report.charts import Interval, intervals
from metawright.app.report.drawing import Picture
from metawright.app.report.found.chance import chance_picture, chance_section
from metawright.app.report.found.chosen import cell_pictures, design_section, network_picture
from metawright.app.report.found.facts import SearchFacts, known, read_search
from metawright.app.report.found.front import front_pictures, front_section
from metawright.app.report.found.reasons import (
    importance_picture,
    reasons_section,
    robust_picture,
    robust_section,
)
from metawright.app.report.found.scale import Scale
from metawright.app.report.found.tried import curve_picture, training_section, tried_section
from metawright.app.report.found.words import upper
from metawright.app.report.html import definitions, items, page, section, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.png import png
from metawright.app.report.style import style_sheet
from metawright.app.report.words import seconds
from metawright.app.space_tree import whole
from metawright.models.saved import MODEL_FILE
from metawright.recipes.search.asked import OWN
from metawright.store.files import write_bytes, write_text
from metawright.strategies.objectives import OBJECTIVES, Objective, measured

__all__ = ["search_pictures", "write_search_report"]

REPORT, PICTURES = "report.html", "pictures"


def write_search_report(run: Path, *, pictures: bool = True) -> Path:
    """Writes `report.html` and `pictures/*.png` into the folder of a search, done or not.

    Returns:
        The path of the page, which needs no other file, no network and no script.

    Raises:
        InputError: not a search, or a folder that cannot be written.
    """
    facts = read_search(run)
    path = facts.run / REPORT
    title = f"Search on {facts.name} – metawright report"
    write_text(path, page(title, style_sheet() + _STYLE, _body(facts)))
    if pictures:
        for picture in search_pictures(facts):
            write_bytes(facts.run / PICTURES / f"{picture.name}.png", png(picture))
    return path


# Long decisions beside numbers need room, and cells of text break anywhere.
_STYLE = """
td.design{overflow-wrap:anywhere}
h3+dl{margin-top:.3rem}
figure>p.muted{font-size:.86rem}
"""


def _body(facts: SearchFacts) -> str:
    return "".join(
        (
            _header(facts),
            section("In short", items(facts.why.get("sentences") or [], "why")),
            _test(facts),
            chance_section(facts),
            front_section(facts),
            design_section(facts),
            reasons_section(facts),
            robust_section(facts),
            training_section(facts),
            tried_section(facts),
            _made(facts),
            _use(facts),
            f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>",
        )
    )


def search_pictures(facts: SearchFacts) -> Iterator[Picture]:
    """Every picture in its size for paper, each with a name of its own."""
    wide = WIDTHS[0]
    makers = (_test_picture, chance_picture, importance_picture, robust_picture, curve_picture)
    drawn = [make(facts, wide) for make in makers]
    drawn += [network_picture(facts), *front_pictures(facts, wide)]
    drawn += [picture for _, _, picture in cell_pictures(facts)]
    yield from (picture for picture in drawn if picture is not None)


_STATES = {
    "running": "still running: this is the best so far",
    "interrupted": "interrupted: this is the best so far",
    "failed": "stopped by an error: this is the best so far",
}


def _header(facts: SearchFacts) -> str:
    state = _STATES.get(str(facts.told.get("status")), "")
    pill = f'<span class="state">{text(state)}</span>' if state else ""
    asked = facts.asked
    goals = " and ".join(NAMES.get(goal.name, goal.name) for goal in facts.goals)
    words = (
        f"{asked.get('strategy', '?')} over the space “{asked.get('space', '?')}”, after {goals}"
    )
    limits = " and ".join(
        f"{NAMES.get(limit.name, limit.name)} of at most {shown(limit.name, limit.most)}"
        for limit in facts.limits
    )
    words += f", with {limits}" if limits else ""
    return (
        f'<header><p class="brow">metawright search report {pill}</p>'
        f'<h1>{text(facts.name)}</h1><p class="muted">{text(words)}.</p>'
        f"{_score(facts)}{_tiles(facts)}</header>"
    )


def _score(facts: SearchFacts) -> str:
    """The figure that counts: of the test where there is one, else of the search itself."""
    own = next((row for row in _test_rows(facts) if row.get("own")), None)
    if own is not None:
        goal = _tested(facts)
        measure = NAMES.get(goal.name, goal.name.replace("_", " "))
        examples = (facts.why.get("test") or {}).get("examples", "?")
        words = f"{measure} on {examples} examples that nothing was chosen by"
        low, high = own.get("low"), own.get("high")
        if known(low) and known(high):
            ends = f"{shown(goal.name, low)} and {shown(goal.name, high)}"
            words += f"; with 95 % confidence between {ends}"
        return _box(shown(goal.name, own["value"]), words, "")
    if facts.best is None:
        words = "No design with a score that the constraints allow yet."
        return _box("–", words.rstrip("."), "")
    goal = facts.goals[0]
    measure = NAMES.get(goal.name, goal.name.replace("_", " "))
    value = measured(facts.kept or facts.best, goal.name)
    if value is None:
        return ""
    note = "It is the best of many by this very figure, and so flatters: a test would say less."
    return _box(shown(goal.name, value), f"{measure} of the chosen design in the search", note)


def _box(value: str, words: str, note: str) -> str:
    below = f'<p class="muted">{text(note)}</p>' if note else ""
    return (
        f'<div class="score"><b>{text(value)}</b><div><p>{text(upper(words))}.</p>{below}</div>'
        "</div>"
    )


def _tiles(facts: SearchFacts) -> str:
    told, kept = facts.told, facts.kept
    tiles = [(str(len(facts.trials)), "trainings" if len(facts.trials) != 1 else "training")]
    if facts.failed:
        tiles.append((str(len(facts.failed)), "of them failed"))
    tiles.append((seconds(told.get("seconds")), "spent in all"))
    if known(designs := told.get("designs")):
        tiles.append((whole(designs), "designs in the space"))
    shown_here = facts.goals[0].name
    asked = [goal.name for goal in facts.goals] + [limit.name for limit in facts.limits]
    for name in dict.fromkeys(["parameters", "flops", "latency", *asked]):
        value = measured(kept, name) if kept is not None else None
        if value is not None and name != shown_here:
            tiles.append((shown(name, value), NAMES.get(name, name)))
    rows = "".join(
        f"<li><b>{text(v)}</b><span>{text(n)}</span></li>" for v, n in tiles if v != "–"
    )
    return f'<ul class="tiles">{rows}</ul>'


def _tested(facts: SearchFacts) -> Objective:
    """The measure of the test: the first objective, unless that is a price."""
    name = str((facts.why.get("test") or {}).get("measure") or facts.goals[0].name)
    return Objective(name, OBJECTIVES.get(name, facts.goals[0].maximise))


def _test_rows(facts: SearchFacts) -> list[Mapping[str, Any]]:
    rows = (facts.why.get("test") or {}).get("rows") or []
    return [row for row in rows if known(row.get("value"))]


def _test_picture(facts: SearchFacts, width: float) -> Picture | None:
    """The chosen design beside others on examples that the search never saw."""
    scale = Scale(_tested(facts).name)
    factor = scale.at(1.0)

    def at(value: Any) -> float | None:
        return factor * float(value) if known(value) else None

    rows = [
        Interval(str(row.get("name")), factor * float(row["value"]), at(row.get("low")),
                 at(row.get("high")), bool(row.get("own")))
        for row in _test_rows(facts)
    ]  # fmt: skip
    return intervals(rows, width=width, percents=scale.percents) if rows else None


def _test(facts: SearchFacts) -> str:
    goal = _tested(facts)
    wide, narrow = (_test_picture(facts, width) for width in WIDTHS)
    less = "" if goal.maximise else " Less is better."
    caption = (
        f"{upper(Scale(goal.name).title)} on the examples kept aside, with its 95 % interval "
        f"where one is known.{less}"
    )
    return section("On examples it never saw", two_sizes(wide, narrow, caption))


def _made(facts: SearchFacts) -> str:
    asked = {
        name.replace("_", " "): _flat(value)
        for name, value in facts.asked.items()
        if value not in (None, [], "")
    }
    told, rows = facts.told, dict[str, object](asked)
    budget = told.get("budget") or {}
    limits = [seconds(budget["seconds"])] if known(budget.get("seconds")) else []
    limits += [f"{budget['trials']} designs"] if known(budget.get("trials")) else []
    if limits:
        rows["budget"] = " and ".join(limits)
    if known(told.get("epochs")):
        rows["epochs of a training"] = told["epochs"]
    rows["status"] = told.get("status", "?")
    if (data := told.get("data") or {}).get("fingerprint"):
        rows["fingerprint of the data"] = data["fingerprint"]
    rows |= {
        "made on": told.get("created", "?"),
        "made by": f"metawright {told.get('metawright')}",
    }
    return section("How it was made", definitions(rows), items(data.get("notes") or [], "why"))


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(
            _flat(part) if not isinstance(part, list) else _pair(part) for part in value
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _pair(pair: list[Any]) -> str:
    name, most = pair
    return f"{NAMES.get(name, name)} at most {shown(str(name), float(most))}"


def _use(facts: SearchFacts) -> str:
    run = shlex.quote(str(facts.run))
    lines = []
    if (facts.run / MODEL_FILE).is_file():
        lines = [
            f"metawright predict {run} FILES",
            f"metawright export {run}          # plain PyTorch, without metawright",
        ]
    lines.append(f"metawright report {run}          # this page anew")
    if not facts.done:
        goes_on = "The search is not done: the same `metawright search` goes on in its folder."
    else:
        goes_on = ""
    note = f"<p>{text(goes_on)}</p>" if goes_on else ""
    python = _load(facts)
    return section("Use it", note, _code(lines), _code(python) if python else "")


def _load(facts: SearchFacts) -> list[str]:
    """How the network is loaded in Python; nothing where what was found is no network."""
    own = facts.kept is not None and facts.kept.weights is not None
    if not own and not (facts.run / MODEL_FILE).is_file():
        return []
    given = repr(str(facts.run))
    if facts.asked.get("space") == OWN:
        given += ", build=build"  # a function that the run's folder cannot hold
    return [
        "import metawright",
        f"module = metawright.load_found({given})",
        "module(examples)          # the chosen network, a plain nn.Module with its weights",
    ]


def _code(lines: list[str]) -> str:
    return f"<pre><code>{'<br>'.join(text(line) for line in lines)}</code></pre>"
