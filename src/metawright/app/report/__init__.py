"""The report of a run: one self-contained page and its pictures."""

from metawright.app.report.write import PICTURES, REPORT, write_report

__all__ = ["PICTURES", "REPORT", "write_report"]
