"""The sections on the trials: how the kept training went, the best of them, and what failed."""

from collections.abc import Mapping, Sequence
from typing import Any

from metawright.app.measures import NAMES, shown
from metawright.app.report.drawing import Picture
from metawright.app.report.fewshot.charts import Series, course_chart
from metawright.app.report.found.facts import SearchFacts, known
from metawright.app.report.found.words import design_parts, in_order, upper
from metawright.app.report.html import items, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.recipes.search.job import role_of
from metawright.spaces.design import Design
from metawright.spaces.space import Record
from metawright.store.records import Trial
from metawright.strategies.objectives import measured, violation

__all__ = ["curve_picture", "training_section", "tried_section"]

_BEST, _FAILED, _LETTERS = 15, 30, 4000
_ROLES = {
    "search": "strategy",
    "control": "random",
    "full": "in full",
    "mutant": "neighbour",
    "repeat": "other seed",
    "final": "trained longer",
}


def curve_picture(facts: SearchFacts, width: float) -> Picture | None:
    """Mean loss of each epoch of the training whose weights are kept."""
    kept = facts.kept
    curve = (kept.evidence.get("curve") if kept else None) or []
    points = tuple((float(e), float(v), 0.0) for e, v in enumerate(curve, 1) if known(v))
    return course_chart(
        [Series("training loss", points)], name="curve", x_name="epochs", y_name="loss",
        percents=False, width=width, height=260,
    )  # fmt: skip


def training_section(facts: SearchFacts) -> str:
    """The learning curve of the kept training."""
    wide, narrow = (curve_picture(facts, width) for width in WIDTHS)
    longer = facts.kept is not None and facts.kept.evidence.get("stretch")
    words = (
        f"<p>The chosen design was trained once more, {float(longer):.3g} times as long as in the "
        "search; these weights are kept.</p>"
        if longer
        else ""
    )
    drawn = two_sizes(wide, narrow, "Mean loss of each epoch on the examples learned from.")
    return section("How it learned", words if drawn else "", drawn)


def tried_section(facts: SearchFacts) -> str:
    """Counts, the best trials, those left out and those that failed."""
    if not facts.trials:
        return section("What was tried", "<p>Nothing yet.</p>")
    rows = [_row(facts, rank, trial) for rank, trial in enumerate(facts.ranked[:_BEST], 1)]
    names = _columns(facts)
    heads = [("Rank", "n"), ("Decisions", "design"), *((_short(n), "n") for n in names),
             ("By", "")]  # fmt: skip
    note = _note(facts)
    return section(
        "What was tried",
        f"<p>{text(_counts(facts))}</p>",
        table(heads, rows) if rows else "",
        f'<p class="muted">{text(note)}</p>' if note and rows else "",
        _left_out(facts),
        _failed(facts),
    )


def _counts(facts: SearchFacts) -> str:
    """How many trials of each role."""
    counts: dict[str, int] = {}
    for trial in facts.trials:
        word = _ROLES.get(role_of(trial), role_of(trial))
        counts[word] = counts.get(word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    noun = "training" if len(facts.trials) == 1 else "trainings"
    return f"{len(facts.trials)} {noun}: {told}."


def _columns(facts: SearchFacts) -> list[str]:
    names = [goal.name for goal in facts.goals]
    names += [limit.name for limit in facts.limits]
    names += ["parameters"] if any("parameters" in t.cost for t in facts.trials) else []
    return list(dict.fromkeys([*names, "seconds"]))


def _short(name: str) -> str:
    return upper(NAMES.get(name, name.replace("_", " ")).partition(" of ")[0])


def _row(facts: SearchFacts, rank: int, trial: Trial) -> tuple[str, tuple[str, ...]]:
    own = facts.best is not None and trial.id == facts.best.id
    tag = ' <span class="tag">chosen</span>' if own else ""
    values = {name: measured(trial, name) for name in _columns(facts)}
    cells = ("–" if v is None else text(shown(name, v)) for name, v in values.items())
    by = _ROLES.get(role_of(trial), role_of(trial))
    if violation(trial, facts.limits):
        by += ", not allowed"
    if (part := trial.evidence.get("fidelity", 1)) < 1:
        by += f", {100 * part:.0f} % trained"
    words = f"{_words(facts, trial.design)}{tag}"
    return "member" if own else "", (str(rank), words, *cells, text(by))


def _words(facts: SearchFacts, design: Design) -> str:
    """The decisions as a phrase, those of the training smaller."""
    space = facts.space
    fields: Mapping[str, Any] = space.fields if isinstance(space, Record) else {}
    parts = [
        _phrase(design_parts(half, fields.get(name)))
        for name, half in in_order(design, space)
        if isinstance(half, Design) and name in ("architecture", "training")
    ]
    if len(parts) < len(design):
        return text(_phrase(design_parts(design, space)))
    return "<br>".join([text(parts[0]), *(f"<small>{text(part)}</small>" for part in parts[1:])])


def _phrase(parts: Mapping[str, str]) -> str:
    told = (f"{name}{':' * (', ' in value)} {value}" for name, value in parts.items())
    return " · ".join(told)


def _note(facts: SearchFacts) -> str:
    told = "The best by the first objective." if len(facts.goals) > 1 else ""
    if len(facts.ranked) > _BEST:
        told += f" {len(facts.ranked) - _BEST} more are in the store of the run."
    return told.strip()


def _left_out(facts: SearchFacts) -> str:
    if not facts.skipped:
        return ""
    noun = "design was" if len(facts.skipped) == 1 else "designs were"
    summary = f"{len(facts.skipped)} {noun} left out untrained, because of a constraint"
    told = [trial.evidence["skipped"] for trial in facts.skipped[:_FAILED]]
    return f"<details><summary>{summary}</summary>{items(told, 'why')}</details>"


def _failed(facts: SearchFacts) -> str:
    """The failed trials with their errors, and where these came from."""
    failed: Sequence[Trial] = facts.failed
    if not failed:
        return ""
    rows = []
    for trial in failed[:_FAILED]:
        error = str(trial.evidence.get("error") or "no score")
        trace = str(trial.evidence.get("traceback") or "")[-_LETTERS:]
        lines = "<br>".join(
            text(line).replace("  ", "&nbsp;&nbsp;") for line in trace.splitlines()
        )
        more = (
            f"<details><summary>traceback</summary><pre><code>{lines}</code></pre></details>"
            if trace
            else ""
        )
        cells = (str(facts.numbers[trial.id]), _words(facts, trial.design), text(error) + more)
        rows.append(("", cells))
    rest = f", the first {_FAILED} of which stand here" if len(failed) > _FAILED else ""
    heads = [("Design", "n"), ("Decisions", "design"), ("Error", "design")]
    noun = "trial" if len(failed) == 1 else "trials"
    return f"<h3>{len(failed)} {noun} failed{rest}</h3>{table(heads, rows)}"
