"""A bundle: what meta-training leaves behind, as a folder of safetensors and JSON.

bundle.json           format, name, input, space, numbers of the proposal model, provenance
weights.safetensors   weights shared by all networks, float16
proposal.safetensors  the proposal model
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from metawright.errors import InputError
from metawright.generators.guided import ProposalGenerator
from metawright.generators.header import FORMAT, HEADER, read_header
from metawright.generators.proposal import ProposalModel
from metawright.models.build import Blueprint
from metawright.params import Params, map_params
from metawright.spaces import Design, Record, Space, check, space_from_json, space_to_json
from metawright.store.files import write_bytes, write_json

__all__ = ["FORMAT", "Bundle", "load_bundle", "save_bundle", "shipped"]

_FILES = ("weights.safetensors", "proposal.safetensors")


@dataclass(frozen=True)
class Bundle:
    """Shared weights, a proposal model, and where both come from.

    Arguments:
        name: of the bundle.
        channels, size: of the images that the networks see.
        frame: whether ink is centred and scaled first.
        shared: weights of all networks, float32, with "log_scale".
        proposal: the fitted proposal model; its space is the bundle's.
        elites: designs that did best over all tasks of the experience, best first.
        provenance: recipe, seed, commit, sources and their licences.
        digest: hash of the weights and the proposal model.
    """

    name: str
    channels: int
    size: int
    frame: bool
    shared: Params
    proposal: ProposalModel
    elites: tuple[Design, ...]
    provenance: Mapping[str, Any]
    digest: str = ""

    @property
    def prepare(self) -> Blueprint:
        """Blueprint of the preparation of images."""
        return {
            "layer": "Prepare",
            "channels": self.channels,
            "size": self.size,
            "frame": self.frame,
        }

    @property
    def generator(self) -> ProposalGenerator:
        """Proposes designs for new tasks."""
        return ProposalGenerator(self.proposal, self.elites)


def shipped(name: str = "characters") -> Path:
    """Folder of a bundle that comes with the package."""
    return Path(str(files("metawright") / "bundles" / name))


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes a bundle; `bundle.json` last, so that an unfinished one is never taken for whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, numbers = bundle.proposal.state()
    halves = map_params(lambda value: value.detach().half().contiguous(), bundle.shared)
    contents = (save(halves), save(map_params(lambda value: value.float(), tensors)))
    for name, content in zip(_FILES, contents, strict=True):
        write_bytes(folder / name, content)
    space = bundle.proposal.space
    assert isinstance(space, Record)
    write_json(
        folder / HEADER,
        {
            "format": FORMAT,
            "name": bundle.name,
            "input": {
                "channels": bundle.channels,
                "size": bundle.size,
                "frame": bundle.frame,
            },
            "space": space_to_json(space),
            "proposal": numbers,
            "elites": [design.to_json() for design in bundle.elites],
            "provenance": dict(bundle.provenance),
            "digests": dict(zip(_FILES, map(_digest, contents), strict=True)),
        },
    )


def load_bundle(folder: Path | str | None = None) -> Bundle:
    """The bundle in `folder`, or the one that comes with the package.

    Raises:
        InputError: no bundle there, or a damaged one.
        VersionError: written by an incompatible version.
    """
    path = shipped() if folder is None else Path(folder)
    data = read_header(path)
    try:
        contents = [(path / name).read_bytes() for name in _FILES]
        if [_digest(content) for content in contents] != [data["digests"][n] for n in _FILES]:
            raise ValueError(f"its files do not match {HEADER}")
        shared, tensors = (load(content) for content in contents)
        space = space_from_json(data["space"])
        return Bundle(
            name=data["name"],
            **data["input"],
            shared=map_params(lambda value: value.to(torch.float32), shared),
            proposal=ProposalModel.from_state(space, tensors, data["proposal"]),
            elites=tuple(_elite(space, design) for design in data["elites"]),
            provenance=data["provenance"],
            digest=_digest(b"".join(contents))[:16],
        )
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise InputError(f"Bundle '{path}' is damaged ({error}): meta-train it again.") from error


def _elite(space: Space, data: Mapping[str, Any]) -> Design:
    design = Design.from_json(data)
    check(space, design)
    return design


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
