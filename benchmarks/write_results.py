"""Makes docs/results.md from benchmarks/results/*.json: no published figure without a record.

`python benchmarks/write_results.py` writes the page; with `--check` it only says whether the page
is up to date (exit code 1: it is not).
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import PROJECT, RESULTS

PAGE = PROJECT / "docs" / "results.md"

_HEAD = """\
# Results

Made by `make docs` from `benchmarks/results/*.json`; do not edit. `benchmarks/NAME.py` measures
again what stands under NAME. ± is half of a 95 % confidence interval, unless said otherwise.
"""


def main(arguments: Sequence[str]) -> int:
    """Writes or checks the page; gives the exit code."""
    parser = argparse.ArgumentParser(description="Make docs/results.md from the stored results.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    page = render(load(RESULTS))
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/results.md is not what the stored results say: run `make docs`.", file=sys.stderr)
    return 1


def load(folder: Path) -> list[dict[str, Any]]:
    """The stored records, by name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def render(records: Sequence[Mapping[str, Any]]) -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    if not records:
        parts.append("No benchmark has been run yet.\n")
    parts += [_section(record) for record in records]
    return "\n".join(parts)


def _section(record: Mapping[str, Any]) -> str:
    result = record["result"]
    parts = [
        f"## {record['name']}: {result['title']}" if "title" in result else f"## {record['name']}"
    ]
    if "about" in result:
        parts.append(str(result["about"]))
    parts.append(_provenance(record))
    if record["checks"]:
        parts.append(_checks(record["checks"]))
    parts += [_figures(figures) for figures in result.get("tables", [])]
    return "\n\n".join(parts) + "\n"


def _provenance(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    commit = f"commit {record['commit'][:10]}" if record["commit"] else "an unknown commit"
    changes = " with uncommitted changes" if record["dirty"] else ""
    facts = [
        str(machine["cpu"]),
        f"{machine['cores']} cores",
        f"{_cell(machine['memory_gib'])} GiB",
        f"Python {machine['python']}",
        f"torch {machine['torch']}",
    ]
    seeds = f"; seeds {_seeds(record['seeds'])}" if record["seeds"] is not None else ""
    day = record["date"][:10]
    took = f"{_cell(round(record['seconds']))} s"
    return f"*Measured {day} at {commit}{changes} in {took} on {', '.join(facts)}{seeds}.*"


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for check in checks:
        sign = "≤ " if check["lower"] else ""
        asked = [
            sign + _cell(figure) if figure is not None else ""
            for figure in (check["must"], check["aim"])
        ]
        verdict = "**missed**" if not check["ok"] else "aim reached" if _aimed(check) else "ok"
        rows.append([check["name"], *asked, check["value"], verdict])
    return _table(["check", "must", "aim", "value", ""], rows)


def _aimed(check: Mapping[str, Any]) -> bool:
    return check["aim"] is not None and bool(check["aim_reached"])


def _figures(figures: Mapping[str, Any]) -> str:
    parts = [f"### {figures['title']}", _table(figures["columns"], figures["rows"])]
    if "note" in figures:
        parts.append(str(figures["note"]))
    return "\n\n".join(parts)


def _table(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as it stands in a table: four digits that count, thousands without exponent."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _seeds(seeds: Any) -> str:
    """Seeds in short: a run of numbers as `0-99`."""
    if isinstance(seeds, list) and len(seeds) > 2 and seeds == [*range(seeds[0], seeds[-1] + 1)]:
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds)) if isinstance(seeds, list) else str(seeds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
