"""Names of a package that are loaded when they are first asked for.

Loading torch takes seconds; a package that hands its names on through `attributes` can be imported
by the command line without it.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["attributes", "load"]


def load(target: str) -> Any:
    """The object that `"package.module:name"` names."""
    module, name = target.split(":")
    return getattr(import_module(module), name)


def attributes(package: str, targets: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` (PEP 562) that serves `targets` (name -> module path)."""

    def get(name: str) -> Any:
        if name not in targets:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return load(f"{targets[name]}:{name}")

    return get
