"""The sections on what a model was made from: data, cost, bundle."""

import json
from collections.abc import Mapping
from typing import Any

from metawright.app.report.facts import Facts, estimate
from metawright.app.report.html import definitions, items, section, table, text
from metawright.app.report.words import number, percent, seconds
from metawright.store.records import Trial

__all__ = ["cost_section", "data_section", "origin_section"]

_SHOWN_CLASSES = 60


def data_section(facts: Facts) -> str:
    """Classes, examples, and what was noticed when they were read."""
    data, support, spec = facts.told.get("data") or {}, facts.support, facts.model.spec
    chips = [f"<li>{text(name)}<span>{count}</span></li>" for name, count in list(support.items())]
    shown = f'<ul class="chips">{"".join(chips[:_SHOWN_CLASSES])}</ul>' if chips else ""
    if rest := chips[_SHOWN_CLASSES:]:
        more = f'<ul class="chips">{"".join(rest)}</ul>'
        shown += f"<details><summary>{len(rest)} more classes</summary>{more}</details>"
    facts_of_data: dict[str, object] = {"Name": facts.name}
    if support:
        least, most = min(support.values()), max(support.values())
        each = f"{least} each" if least == most else f"{least} to {most} each"
        facts_of_data["Examples"] = f"{sum(support.values())} in {len(support)} classes, {each}"
    facts_of_data["Read as"] = " × ".join(str(side) for side in spec.features)
    if spec.native_size:
        facts_of_data["Size as given"] = f"{spec.native_size} pixels (median of the longer sides)"
    if data.get("fingerprint"):
        facts_of_data["Fingerprint"] = data["fingerprint"]
    notes = items(data.get("notes") or [], "why")
    return section(
        "The data", definitions(facts_of_data), shown, f"<h3>Notes</h3>{notes}" if notes else ""
    )


def cost_section(facts: Facts) -> str:
    """The budget, and where the seconds went."""
    kinds: dict[str, list[Trial]] = {}
    for trial in facts.trials:
        kinds.setdefault(str(trial.evidence.get("origin", "–")), []).append(trial)
    heads = [("Origin", ""), ("Designs", "n"), ("Seconds", "n"), ("Seconds each", "n"),
             ("Best estimate", "n")]  # fmt: skip
    rows = []
    for kind, trials in kinds.items():
        spent = sum(trial.cost.get("seconds", 0.0) for trial in trials)
        best = max(estimate(trial) for trial in trials)
        cells = (text(kind), str(len(trials)), number(spent), number(spent / len(trials), 2))
        rows.append(("", (*cells, percent(best))))
    budget = facts.told.get("budget") or {}
    limits = [seconds(budget.get("seconds"))] if budget.get("seconds") is not None else []
    limits += [f"{budget['trials']} designs"] if budget.get("trials") is not None else []
    asked = f"<p>Asked for: {text(' and '.join(limits))}.</p>" if limits else ""
    return section("What it cost", asked, table(heads, rows) if rows else "")


def origin_section(facts: Facts) -> str:
    """The bundle with its provenance, and the run itself."""
    bundle = facts.told.get("bundle") or {}
    rows: dict[str, object] = {
        name.capitalize(): bundle[name] for name in ("name", "digest") if bundle.get(name)
    }
    if rows:
        rows = {"Bundle" if name == "Name" else name: value for name, value in rows.items()}
    rows |= {str(k).capitalize(): _flat(v) for k, v in (bundle.get("provenance") or {}).items()}
    run: dict[str, object] = {"Made by": f"metawright {facts.told.get('metawright', '?')}"}
    if facts.told.get("created"):
        run["Made on"] = facts.told["created"]
    words = (
        "<p>The shared weights and the first guesses come from a bundle that was meta-trained on "
        "other tasks.</p>"
        if rows
        else ""
    )
    return section("Where it comes from", words, definitions(rows | run))


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(part) for part in value)
    return value if isinstance(value, str) else json.dumps(value)
