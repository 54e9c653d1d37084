"""The text of all layers in one piece, as an exported model carries it along."""

from pathlib import Path
from types import ModuleType

from metawright.models import adversarial, blocks, layers, prepare, sequences, tokens

__all__ = ["layer_source", "without_own_imports"]

_FILES = (blocks, tokens, sequences, adversarial, prepare, layers)
"""Each after those that it imports."""


def layer_source() -> str:
    """A program that needs torch alone and defines `assemble`."""
    return "\n\n".join(map(without_own_imports, _FILES))


def without_own_imports(module: ModuleType) -> str:
    """The text of a module without its imports from here, each of which is one line."""
    lines = Path(str(module.__file__)).read_text("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("from metawright."))
