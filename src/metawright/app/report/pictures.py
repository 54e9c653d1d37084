"""The pictures of a run: which there are, from what, and in which sizes."""

from collections.abc import Mapping
from typing import Any

from metawright.app.report.architecture import architecture, side_by_side
from metawright.app.report.charts import Interval, curves, intervals, progress
from metawright.app.report.confusion import confusion
from metawright.app.report.drawing import Picture
from metawright.app.report.facts import Facts
from metawright.app.report.flow import Flow, flow_of, member_blueprints
from metawright.app.report.words import percent

__all__ = ["NARROW", "WIDTHS", "all_pictures", "architectures", "confusions", "curve_chart",
           "flows", "progress_chart", "test_chart"]  # fmt: skip

NARROW = 352.0
"""Width in pixels of a picture for a telephone."""

_WIDE = 920.0

WIDTHS = (_WIDE, NARROW)
"""Widths of a chart that is drawn twice: for a page, and for a telephone."""


def flows(facts: Facts) -> list[Flow]:
    """The layers of each member of the model."""
    spec = facts.model.spec
    return [flow_of(blueprint, spec) for blueprint, _ in member_blueprints(facts.model.blueprint)]


def architectures(facts: Facts, *, stacked: bool = False) -> list[tuple[str, Picture]]:
    """A caption and a picture for each member of the model; see `architecture` for `stacked`."""
    members = member_blueprints(facts.model.blueprint)
    found = []
    for index, (flow, (_, share)) in enumerate(zip(flows(facts), members, strict=True)):
        alone = len(members) == 1
        caption = "" if alone else f"Member {index + 1}, weight {percent(share, 0)}"
        title = f"Architecture: {', '.join(layer.title for layer in (*flow.before, *flow.after))}"
        found.append((caption, architecture(flow, title=title, stacked=stacked)))
    return found


def progress_chart(facts: Facts, width: float = _WIDE) -> Picture | None:
    """Estimates and the best so far over time."""
    origins = {trial.id: str(trial.evidence.get("origin", "trial")) for trial in facts.trials}
    return progress(facts.told.get("history") or [], origins, width=width)


def curve_chart(facts: Facts, width: float = _WIDE) -> Picture | None:
    """Loss during adaptation, of the best designs that were adapted."""
    ranks = {trial.id: rank for rank, trial in enumerate(facts.trials, 1)}
    adapted = [t for t in facts.trials if len(t.evidence.get("curve") or []) > 1]
    most = 6 if width > 500 else 4
    losses = {f"rank {ranks[t.id]}": t.evidence["curve"] for t in adapted[:most]}
    return curves(losses, width=width)


def confusions(facts: Facts) -> list[tuple[str, Picture]]:
    """A heading and a picture for the support's counts and, where known, the test's."""
    found = []
    if counts := facts.told.get("confusion"):
        heading = "Cross-validated on the given examples"
        found.append((heading, confusion(counts, facts.classes)))
    test = facts.told.get("test") or {}
    if counts := test.get("confusion"):
        heading = f"On {test.get('examples', '?')} examples that it never saw"
        found.append((heading, confusion(counts, facts.classes, name="confusion-test")))
    return found


def test_chart(facts: Facts, width: float = _WIDE) -> Picture | None:
    """The model beside the baselines, where a test is known."""
    test = facts.told.get("test")
    if not test:
        return None
    own = _interval(test | {"name": "generated model"}, own=True)
    others = sorted(test.get("baselines") or [], key=lambda row: -float(row["accuracy"]))
    return intervals([own, *(_interval(row) for row in others)], width=width)


def all_pictures(facts: Facts) -> list[Picture]:
    """Every picture in its size for paper, each with a name of its own."""
    members = architectures(facts)
    whole = members[0][1]
    if len(members) > 1:
        title = f"An ensemble of {len(members)} members"
        whole = side_by_side(
            [picture for _, picture in members], [caption for caption, _ in members], title=title
        )
    charts = [progress_chart(facts), curve_chart(facts), test_chart(facts)]
    matrices = [picture for _, picture in confusions(facts)]
    return [whole, *(chart for chart in charts if chart is not None), *matrices]


def _interval(row: Mapping[str, Any], *, own: bool = False) -> Interval:
    return Interval(str(row["name"]), row["accuracy"], row.get("low"), row.get("high"), own)
