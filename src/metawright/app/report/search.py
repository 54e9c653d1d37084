"""The sections on the search: what was tried, how it went, where the best model errs."""

from collections.abc import Sequence

from metawright.app.report.confusion import MOST_CLASSES, worst_pairs
from metawright.app.report.facts import Facts, estimate
from metawright.app.report.html import figure, items, section, table, text, two_sizes
from metawright.app.report.pictures import NARROW, confusions, curve_chart, progress_chart
from metawright.app.report.words import amount, design_words, number, percent
from metawright.store.records import Trial

__all__ = ["errors_section", "tried_section"]

_SHOWN_TRIALS = 12
_MOST_TRIALS = 500


def tried_section(facts: Facts) -> str:
    """Progress, leaderboard, failures and learning curves."""
    caption = (
        "Each dot is a design, at the time when its score was known; hollow dots lie below the "
        "picture. Estimates join what was known before with the cross-validation."
    )
    course = two_sizes(progress_chart(facts), progress_chart(facts, NARROW), caption)
    heads = [("Rank", "n"), ("Design", "design"), ("Accuracy", "n"), ("Estimate", "n"),
             ("Log loss", "n"), ("Parameters", "n"), ("Seconds", "n"), ("Origin", "")]  # fmt: skip
    rows = [_trial_row(facts, rank, trial) for rank, trial in enumerate(facts.trials, 1)]
    board = table(heads, rows[:_SHOWN_TRIALS]) if rows else ""
    if rest := rows[_SHOWN_TRIALS:_MOST_TRIALS]:
        left = f" (of {len(rows)})" if len(rows) > _MOST_TRIALS else ""
        board += (
            f"<details><summary>{len(rest)} more{left}</summary>{table(heads, rest)}</details>"
        )
    note = (
        '<p class="muted">Accuracy and log loss are cross-validated on the given examples; the '
        "rank is by the estimate.</p>"
        if rows
        else ""
    )
    lines = curve_chart(facts)
    curve_caption = (
        "Ranks as in the table. Designs that use the shared weights as they are have no curve."
    )
    learning = two_sizes(lines, curve_chart(facts, NARROW), curve_caption)
    return section(
        "What was tried",
        course,
        f"<h3>Leaderboard</h3>{board}{note}" if board else "",
        _failed(facts.failed),
        f"<h3>Learning curves of the adaptation</h3>{learning}" if learning else "",
    )


def _trial_row(facts: Facts, rank: int, trial: Trial) -> tuple[str, Sequence[str]]:
    share = facts.shares.get(trial.id)
    alone = len(facts.shares) == 1
    mark = "the model" if alone else f"{percent(share, 0)} of the model"
    tag = f' <span class="tag">{mark}</span>' if share is not None else ""
    cells = (
        str(rank),
        f"{text(design_words(trial.design))}{tag}",
        percent(trial.scores.get("accuracy")),
        percent(estimate(trial)),
        number(trial.scores.get("log_loss")),
        amount(trial.cost.get("parameters")),
        number(trial.cost.get("seconds"), 2),
        text(trial.evidence.get("origin", "–")),
    )
    return ("member" if share is not None else "", cells)


def _failed(failed: Sequence[Trial]) -> str:
    if not failed:
        return ""
    rows = [
        f"{design_words(trial.design)}: {trial.evidence.get('error', 'no score')}"
        for trial in failed[:50]
    ]
    noun = "design" if len(failed) == 1 else "designs"
    summary = f"{len(failed)} {noun} failed"
    return f"<details><summary>{summary}</summary>{items(rows, 'why')}</details>"


def errors_section(facts: Facts) -> str:
    """Confusion matrices and the most frequent mistakes."""
    shown = confusions(facts)
    if not shown:
        return ""
    figures = "".join(figure(picture, heading=heading) for heading, picture in shown)
    test = facts.told.get("test") or {}
    counts = test.get("confusion") or facts.told.get("confusion") or []
    pairs = worst_pairs(counts, facts.classes, 5)
    sentences = [
        f"{pair.examples:g} of {pair.total:g} examples of “{pair.truth}” taken for “{pair.taken}”."
        for pair in pairs
    ]
    many = len(facts.classes) > MOST_CLASSES  # then the picture says it
    legend = (
        "" if many else '<p class="muted">Rows are the true classes. Blue is right, red wrong.</p>'
    )
    words = items(sentences, "why") if sentences and not many else ""
    return section("Where it errs", legend, f'<div class="two">{figures}</div>', words)
