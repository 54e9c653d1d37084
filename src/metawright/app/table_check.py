"""The data check of a table as a person reads it: what is done with each column, and findings."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metawright.app.plain import plain

__all__ = ["check_lines", "show_check"]

_WIDE = 100_000
_CLASSES = 8
_ROWS = 60


def show_check(name: str, told: Mapping[str, Any], console: Console) -> None:
    """Writes the check `told` (`TableTask.to_json`) of a table to a console."""
    if not console.is_terminal:
        console.width = _WIDE
    console.print(Text(_head(name, told)))
    console.print()
    console.print(_columns(told["columns"]))
    if told["columns"][_ROWS:]:
        console.print(Text(f"... and {len(told['columns']) - _ROWS} more (--format json for all)"))
    console.print()
    console.print(Text("\n".join(check_lines(told))), soft_wrap=not console.is_terminal)


def check_lines(told: Mapping[str, Any]) -> list[str]:
    """The findings, a line each; those that may spoil the result first, with a mark.

    Example:
        >>> odd = {"column": "k", "code": "constant", "sentence": "Column 'k' is 3.", "severe": 0}
        >>> check_lines({"findings": [odd, odd | {"code": "leak", "severe": True}]})
        ["! Column 'k' is 3.", "- Column 'k' is 3."]
    """
    findings = sorted(told["findings"], key=lambda found: not found["severe"])
    lines = [f"{'!' if found['severe'] else '-'} {plain(found['sentence'])}" for found in findings]
    return lines or ["Nothing odd was found."]


def _head(name: str, told: Mapping[str, Any]) -> str:
    used = sum(column["used"] for column in told["columns"])
    text = f"{plain(name)}: {told['rows']:,} rows with a target, {used} of "
    text += f"{len(told['columns'])} columns used. Target '{plain(told['target'])}': "
    if not told["classes"]:
        return f"{text}{told['kind']}."
    classes = [f"{plain(label)} {count:,}" for label, count in told["classes"].items()]
    more = ", ..." if classes[_CLASSES:] else ""
    return f"{text}{told['kind']}, {len(classes)} classes ({', '.join(classes[:_CLASSES])}{more})."


def _columns(columns: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Column", overflow="fold")
    table.add_column("Kind", no_wrap=True)
    table.add_column("Done with it", no_wrap=True)
    table.add_column("Missing", justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for column in columns[:_ROWS]:
        done = "used" if column["used"] else "left out"
        missing = f"{column['missing']:,}" if column["missing"] else ""
        cells = (column["name"], column["kind"], done, missing, column["why"])
        style = "" if column["used"] else "dim"
        table.add_row(*(Text(plain(cell)) for cell in cells), style=style)
    return table
