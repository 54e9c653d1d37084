"""What is remembered between runs: records, the database, weights, and files that are never half.

Names are handed on when first used (PEP 562): only `Blobs` needs torch, only `Store` SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metawright.store.blobs import Blobs
    from metawright.store.database import Store
    from metawright.store.files import read_json, write_bytes, write_json, write_text
    from metawright.store.records import RunRecord, Status, Trial

__all__ = [
    "Blobs",
    "RunRecord",
    "Status",
    "Store",
    "Trial",
    "read_json",
    "write_bytes",
    "write_json",
    "write_text",
]

_HOMES = {
    "Blobs": "blobs",
    "RunRecord": "records",
    "Status": "records",
    "Store": "database",
    "Trial": "records",
    "read_json": "files",
    "write_bytes": "files",
    "write_json": "files",
    "write_text": "files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
