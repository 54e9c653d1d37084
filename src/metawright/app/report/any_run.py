"""The report of a run of any kind, by what its `run.json` says it is."""

from pathlib import Path

from metawright.app.report.fewshot.page import write_fewshot_report
from metawright.app.report.found.page import write_search_report
from metawright.app.report.tables.page import write_table_report
from metawright.app.report.write import write_report
from metawright.recipes.inputs import read_run

__all__ = ["write_run_report"]


def write_run_report(run: Path | str, *, pictures: bool = True) -> Path:
    """Writes `report.html` into the folder of a run, and gives its path.

    Arguments:
        run: folder that `generate`, `fewshot` or `search` wrote.
        pictures: whether to write the pictures as PNG files too, where a page has such.

    Raises:
        InputError: no run, or one that has nothing to report yet.
    """
    run = Path(run)
    kind = read_run(run, model=False).get("kind")
    if kind is None:
        read_run(run)
        return write_report(run, pictures=pictures)
    if kind == "table":
        return write_table_report(run, pictures=pictures)
    if kind == "search":
        return write_search_report(run, pictures=pictures)
    return write_fewshot_report(run)
