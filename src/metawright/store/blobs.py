"""Weights on disk: one safetensors file for each content, named by its hash.

The name is the SHA-256 of the file, so that the same weights are kept once, damage shows, and any
number of processes may write at once: whoever comes second finds the file there.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from metawright.errors import InputError
from metawright.params import Params
from metawright.store.files import clear_errors, json_text, write_bytes

__all__ = ["Blobs"]


class Blobs:
    """The weights of a store, in `blobs/` of its folder.

    Arguments:
        folder: the store's folder; `blobs/ab/abcdef....safetensors` is made in it when needed.

    Example:
        >>> import tempfile, torch
        >>> from metawright.store import Blobs
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     blobs = Blobs(folder)
        ...     hash = blobs.put({"weight": torch.ones(2)})
        ...     blobs.get(hash)
        {'weight': tensor([1., 1.])}
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()

    def put(self, params: Params, metadata: Mapping[str, str] | None = None) -> str:
        """Keeps the weights and gives their hash; a file that is there is never written again.

        The same weights with the same metadata have the same hash, in whatever order they come.

        Arguments:
            params: weights by name, on any device; views of shared memory are kept one by one.
            metadata: a few words about them, kept in the file's header and part of the hash.
        """
        own = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in params.items()
        }
        # One entry of sorted JSON: safetensors writes several in a random order.
        note = {"metawright": json_text(dict(sorted(metadata.items())))} if metadata else None
        data = save(own, note)
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists():
            write_bytes(path, data)
        return digest

    def get(self, digest: str) -> Params:
        """The weights with this hash, on the CPU.

        Raises:
            InputError: they are not there, or the file is damaged.
        """
        path = self._present(digest)
        with clear_errors(path, verb="read"):
            data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(path)
        try:
            return load(data)
        except SafetensorError as error:
            raise _damaged(path) from error

    def metadata(self, digest: str) -> dict[str, str]:
        """The words that were kept with the weights; empty when there were none."""
        path = self._present(digest)
        try:
            with clear_errors(path, verb="read"), safe_open(path, framework="pt") as file:
                note = file.metadata() or {}
        except SafetensorError as error:
            raise _damaged(path) from error
        words: dict[str, str] = json.loads(note.get("metawright", "{}"))
        return words

    def has(self, digest: str) -> bool:
        """Whether there are weights with this hash."""
        return self.path(digest).exists()

    def path(self, digest: str) -> Path:
        """Where the weights with this hash are, or would be."""
        # A hash may come from a file that somebody else made: never let it name another folder.
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise InputError(
                f"A hash of weights must be 64 hexadecimal digits, but got {digest!r}."
            )
        return self.folder / "blobs" / digest[:2] / f"{digest}.safetensors"

    def _present(self, digest: str) -> Path:
        path = self.path(digest)
        if not path.exists():
            raise InputError(f"The weights {path} are missing: restore the file or train again.")
        return path


def _damaged(path: Path) -> InputError:
    return InputError(f"The weights {path} are damaged: restore the file or train again.")
