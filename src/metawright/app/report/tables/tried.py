"""What was tried: by kind of model, every pipeline, and what a better score costs."""

from collections.abc import Sequence

from metawright.app.measures import shown
from metawright.app.report.drawing import Picture, Role
from metawright.app.report.found.charts import Spot, scatter
from metawright.app.report.html import items, section, table, text, two_sizes
from metawright.app.report.pictures import WIDTHS
from metawright.app.report.tables.facts import TableFacts, score_name, size_shown
from metawright.app.report.words import number, percent, seconds
from metawright.recipes.tables.naming import pipeline_words
from metawright.store.records import Trial

__all__ = ["front_pictures", "front_section", "tried_section"]

_BEST = 30
_ROLES: dict[str, tuple[str, Role]] = {
    "member": ("in the model", "second"),
    "other": ("tried", "accent"),
    "model": ("this model", "third"),
}


def tried_section(facts: TableFacts) -> str:
    """Kinds of models by their best score, then the best pipelines one by one."""
    kinds = list(dict.fromkeys(str(trial.design["model"]["kind"]) for trial in facts.trials))
    rows = [_kind(facts, kind, [t for t in facts.trials if t.design["model"]["kind"] == kind])
            for kind in kinds]  # fmt: skip
    heads = [("Model", ""), ("Tried", "n"), (f"Best {score_name(facts.loss)}", "n"),
             ("Share of the model", "n"), ("Time to try", "n"), ("A row", "n"),
             ("Size", "n")]  # fmt: skip
    words = f"<p>{text(_words(facts))}</p>"
    failed = [f"{pipeline_words(t.design)}: {t.evidence.get('error', '')}" for t in facts.failed]
    errors = f"<details><summary>{len(failed)} failed</summary>{items(failed, 'why')}</details>"
    return section(
        "What was tried", words, table(heads, rows), _each(facts), errors if failed else ""
    )


def _words(facts: TableFacts) -> str:
    loss = score_name(facts.loss)
    return (
        f"The best of each kind of model, by its cross-validated {loss} (less is better). Time is "
        "that of the whole cross-validation on one thread; a row is predicted among many."
    )


def _kind(facts: TableFacts, kind: str, trials: Sequence[Trial]) -> tuple[str, tuple[str, ...]]:
    best = trials[0]
    share = sum(facts.shares.get(trial.id, 0.0) for trial in trials)
    cells = (text(kind.replace("_", " ")), str(len(trials)), *_measures(facts, best, share))
    return "member" if share else "", cells


def _measures(facts: TableFacts, trial: Trial, share: float) -> tuple[str, ...]:
    latency, size = trial.cost.get("latency"), trial.cost.get("bytes")
    return (
        text(number(trial.scores[facts.loss], 4)),
        text(percent(share, 0) if share else ""),
        text(seconds(trial.cost.get("seconds"))),
        text("–" if latency is None else shown("latency_row", latency)),
        text("–" if size is None else size_shown(size)),
    )


def _each(facts: TableFacts) -> str:
    rows = []
    for rank, trial in enumerate(facts.trials[:_BEST], start=1):
        share = facts.shares.get(trial.id, 0.0)
        cells = (str(rank), text(pipeline_words(trial.design)), *_measures(facts, trial, share))
        rows.append(("member" if share else "", cells))
    heads = [("Rank", "n"), ("Pipeline", "design"), (score_name(facts.loss), "n"), ("Share", "n"),
             ("Time to try", "n"), ("A row", "n"), ("Size", "n")]  # fmt: skip
    more = f"The best {_BEST} of {len(facts.trials)}" if facts.trials[_BEST:] else "Every pipeline"
    return f"<details><summary>{more}</summary>{table(heads, rows)}</details>"


def front_section(facts: TableFacts) -> str:
    """What a better score costs: seconds of fitting, and the time to predict a row."""
    if len(facts.trials) < 2:
        return ""
    wide, narrow = (front_pictures(facts, width) for width in WIDTHS)
    caption = (
        "Each dot is a pipeline; the line is the front: no pipeline is both better and cheaper. "
        "Hollow dots lie outside the picture."
    )
    figures = [two_sizes(a, b, caption) for a, b in zip(wide, narrow, strict=True)]
    return section("Cost against score", *figures)


def front_pictures(facts: TableFacts, width: float = WIDTHS[0]) -> list[Picture]:
    """One for the seconds of fitting, one for the latency of a row."""
    found = []
    for cost, called in (("seconds", "seconds"), ("latency", "latency_row")):
        picture = scatter(
            _spots(facts, cost, called), called, (facts.loss, False),
            name=f"front-{cost}", joined=True, roles=_ROLES, width=width,
        )  # fmt: skip
        if picture is not None:
            found.append(picture)
    return found


def _spots(facts: TableFacts, cost: str, called: str) -> list[Spot]:
    least: float | None = None
    spots = []
    known = [t for t in facts.trials if t.cost.get(cost)]
    for trial in sorted(known, key=lambda t: (t.cost[cost], t.scores[facts.loss])):
        value = trial.scores[facts.loss]
        ahead = least is None or value < least
        least = value if ahead else least
        told = f"{pipeline_words(trial.design)}: {number(value, 4)}, "
        note = told + shown(called, trial.cost[cost])
        role = "member" if trial.id in facts.shares else "other"
        spots.append(Spot(trial.cost[cost], value, role, note, front=ahead))
    members = [t.cost[cost] for t in known if t.id in facts.shares]
    if len(facts.shares) > 1 and len(members) == len(facts.shares):
        value = facts.told["scores"][facts.loss]
        note = f"this model: {number(value, 4)}, {shown(called, sum(members))}"
        spots.append(Spot(sum(members), value, "model", note, chosen=True))
    return spots
