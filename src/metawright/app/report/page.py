"""The report page: from the facts of a run to sections in the order in which a reader asks.

How good is it, what do I do with it, what is it, why this one, what else was tried, where does it
err, what was it made from, what did it cost.
"""

import shlex

from metawright import __version__
from metawright.app.report.facts import Facts
from metawright.app.report.html import items, page, section, text, two_sizes
from metawright.app.report.origin import cost_section, data_section, origin_section
from metawright.app.report.pictures import NARROW, architectures, flows, test_chart
from metawright.app.report.search import errors_section, tried_section
from metawright.app.report.style import style_sheet
from metawright.app.report.words import amount, design_words, percent, seconds

__all__ = ["report_page"]


def report_page(facts: Facts) -> str:
    """The whole page as HTML."""
    body = "".join(
        (
            _header(facts),
            _use(facts),
            _test(facts),
            _design(facts),
            tried_section(facts),
            errors_section(facts),
            data_section(facts),
            cost_section(facts),
            origin_section(facts),
            f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>",
        )
    )
    return page(f"{facts.name} – metawright report", style_sheet(), body)


def _header(facts: Facts) -> str:
    states = {
        "running": "still running: this is the best so far",
        "interrupted": "interrupted: this is the best so far",
    }
    state = states.get(str(facts.told.get("status")), "")
    pill = f'<span class="state">{text(state)}</span>' if state else ""
    total = sum(facts.support.values())
    learned = f" learned from {total} examples" if total else ""
    return (
        f'<header><p class="brow">metawright report {pill}</p><h1>{text(facts.name)}</h1>'
        f'<p class="muted">A classifier of {len(facts.classes)} classes{learned}.</p>'
        f"{_score(facts)}{_tiles(facts)}</header>"
    )


def _score(facts: Facts) -> str:
    score = facts.told.get("score") or {}
    accuracy = score.get("accuracy")
    if accuracy is None:
        return ""
    words = f"Of 100 new images like the given ones, about {100 * accuracy:.0f} should be right"
    low, high = score.get("low"), score.get("high")
    if low is not None and high is not None:
        words += f"; with 95 % confidence between {100 * low:.0f} and {100 * high:.0f}"
    how = f'<p class="muted">{text(score["how"])}</p>' if score.get("how") else ""
    return (
        f'<div class="score"><b>{percent(accuracy)}</b><div><p>{text(words)}.</p>{how}</div></div>'
    )


def _tiles(facts: Facts) -> str:
    told = facts.told
    parameters = sum(flow.parameters for flow in flows(facts))
    tiles = [
        (seconds(told.get("first_model_seconds")), "to the first usable model"),
        (seconds(told.get("seconds")), "spent in all"),
        (str(len(facts.trials)), "designs tried" if len(facts.trials) != 1 else "design tried"),
        (amount(parameters), "parameters"),
    ]
    if len(facts.shares) > 1:
        tiles.append((str(len(facts.shares)), "designs in the model"))
    if (gain := _gain(facts)) is not None:
        tiles.append((f"{100 * gain:+.1f} points", "over its first answer"))
    rows = "".join(
        f"<li><b>{text(value)}</b><span>{text(name)}</span></li>"
        for value, name in tiles
        if value != "–"
    )
    return f'<ul class="tiles">{rows}</ul>'


def _gain(facts: Facts) -> float | None:
    """By how much the score is above that of the first answer."""
    first = (facts.told.get("first") or {}).get("accuracy")
    score = (facts.told.get("score") or {}).get("accuracy")
    return None if first is None or score is None else score - first


def _use(facts: Facts) -> str:
    run = shlex.quote(str(facts.run))
    lines = [
        f"metawright predict {run} IMAGE_OR_FOLDER --format csv --probabilities",
        f"metawright export {run}          # plain PyTorch, without metawright",
        f"metawright report {run}          # this page anew",
    ]
    return section(
        "Use it", f"<pre><code>{'<br>'.join(text(line) for line in lines)}</code></pre>"
    )


def _test(facts: Facts) -> str:
    test = facts.told.get("test")
    if not test:
        return ""
    words = f"{test.get('examples', '?')} examples were kept aside; the generator never saw them."
    caption = "Accuracy with its 95 % interval; all learned from the same examples."
    chart = two_sizes(test_chart(facts), test_chart(facts, NARROW), caption)
    return section("On images it never saw", f"<p>{text(words)}</p>", chart)


def _design(facts: Facts) -> str:
    members = architectures(facts)
    narrow = architectures(facts, stacked=True)
    pictures = "".join(
        two_sizes(picture, small, heading=caption)
        for (caption, picture), (_, small) in zip(members, narrow, strict=True)
    )
    alone = len(members) == 1
    words = "".join(
        f"<p>{'' if alone else text(percent(facts.shares[trial.id], 0) + ': ')}"
        f"{text(design_words(trial.design))}.</p>"
        for trial in facts.members
    )
    why = items(facts.told.get("why") or [], "why")
    reasons = f"<h3>Why this one</h3>{why}" if why else ""
    joined = (
        f"<p>Their probabilities are averaged: {len(members)} different designs err in "
        "different places.</p>"
        if not alone
        else ""
    )
    size = facts.model.spec.features
    note = (
        f"Shapes are channels × height × width for an image of {size[1]} × {size[2]}; images of "
        "any other size are accepted too."
        if len(size) == 3
        else ""
    )
    note = f'<p class="muted">{note}</p>'
    side = f'<div class="text"><h3>In words</h3>{words}{joined}{reasons}{note}</div>'
    if alone:
        return section("The model", f'<div class="two">{pictures}{side}</div>')
    return section("The model", side, f'<div class="two">{pictures}</div>')
