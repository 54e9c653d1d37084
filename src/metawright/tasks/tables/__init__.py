"""Tables: read from files and frames, looked through, and posed as tasks.

Names load on first use: pandas is only loaded where tables are.
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes

if TYPE_CHECKING:
    from metawright.tasks.tables.column import Column, Finding
    from metawright.tasks.tables.read import Frame, read_table
    from metawright.tasks.tables.task import TableTask, pose_table

__all__ = ["Column", "Finding", "Frame", "TableTask", "pose_table", "read_table"]

__getattr__ = attributes(
    __name__,
    dict.fromkeys(("Column", "Finding"), "metawright.tasks.tables.column")
    | dict.fromkeys(("Frame", "read_table"), "metawright.tasks.tables.read")
    | dict.fromkeys(("TableTask", "pose_table"), "metawright.tasks.tables.task"),
)
