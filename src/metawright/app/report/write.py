"""Writing the report of a run into its folder."""

from pathlib import Path

from metawright.app.report.facts import read_facts
from metawright.app.report.page import report_page
from metawright.app.report.pictures import all_pictures
from metawright.lazy import load
from metawright.store.files import write_bytes, write_text

__all__ = ["PICTURES", "REPORT", "write_report"]

REPORT = "report.html"
PICTURES = "pictures"


def write_report(run: Path, *, pictures: bool = True) -> Path:
    """Writes `report.html` and, beside it, `pictures/*.png`; gives the path of the page.

    The page needs no other file, no network and no script.

    Arguments:
        run: folder of a run that has a model; it may still be going on.
        pictures: whether to write the PNG files too.

    Raises:
        InputError: not a run, a run without a model yet, or a folder that cannot be written.
    """
    run = Path(run)
    facts = read_facts(run)
    path = run / REPORT
    write_text(path, report_page(facts))
    if pictures:
        png = load("metawright.app.report.png:png")  # matplotlib, which takes long to load
        for picture in all_pictures(facts):
            write_bytes(run / PICTURES / f"{picture.name}.png", png(picture))
    return path
