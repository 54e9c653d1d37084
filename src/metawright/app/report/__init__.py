"""The report of a run: one self-contained page and its pictures.

Names load on first use, so that the words of a report can be read without torch.
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes

if TYPE_CHECKING:
    from metawright.app.report.write import PICTURES, REPORT, write_report

__all__ = ["PICTURES", "REPORT", "write_report"]

_TARGETS = dict.fromkeys(__all__, "metawright.app.report.write")

__getattr__ = attributes(__name__, _TARGETS)
