"""A model in a folder: `model.json` says what it is, a safetensors file holds its parameters.

The weights' file is named by its hash, and `model.json`, which names it, is replaced last and in
one step: whenever a writer is killed, the pair that `model.json` speaks of is whole. Weights that
are no longer named are removed afterwards.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from metawright.errors import InputError, VersionError
from metawright.models.layers import assemble
from metawright.params import Params
from metawright.store.files import clear_errors, read_json, write_bytes, write_json
from metawright.tasks.task import TaskSpec

__all__ = ["FORMAT", "MODEL_FILE", "SavedModel", "load_model", "save_model", "weights_bytes"]

FORMAT = 1
MODEL_FILE = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """A model that was read from a folder.

    Arguments:
        module: takes images (images, channels, height, width) in 0..1, gives logits
            (images, classes); in evaluation mode.
        spec: the task that it was made for.
        blueprint: its layers as plain data.
        digest: SHA-256 of the weights' file.
    """

    module: nn.Module
    spec: TaskSpec
    blueprint: dict[str, Any]
    digest: str


def weights_bytes(params: Params) -> bytes:
    """Parameters as the content of a safetensors file; the same parameters give the same bytes."""
    own = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in params.items()
    }
    return save(own)


def save_model(folder: Path, blueprint: Mapping[str, Any], params: Params, spec: TaskSpec) -> Path:
    """Makes this the model of `folder`, and gives the path of its `model.json`.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old model is untouched.
    """
    data = weights_bytes(params)
    digest = hashlib.sha256(data).hexdigest()
    weights = folder / f"model-{digest[:16]}.safetensors"
    if not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() != digest:
        write_bytes(weights, data)
    path = folder / MODEL_FILE
    named = {"weights": weights.name, "sha256": digest}
    write_json(
        path,
        {"format": FORMAT, **named, "spec": spec.to_json(), "blueprint": dict(blueprint)},
    )
    for old in folder.glob("model-*.safetensors"):
        if old != weights and re.fullmatch(r"model-[0-9a-f]{16}\.safetensors", old.name):
            old.unlink(missing_ok=True)
    return path


def load_model(folder: Path) -> SavedModel:
    """The model of a folder; it may be replaced by another process meanwhile.

    Raises:
        InputError: there is no model, or one of its files is missing or damaged.
        VersionError: another version of metawright wrote it.
    """
    path = folder / MODEL_FILE
    told = _read(path)
    data = _weights(folder, told)
    if data is None and (now := _read(path)) != told:
        # A better model took the place of this one between our two looks.
        told, data = now, _weights(folder, now)
    if data is None:
        raise InputError(
            f"The weights {folder / told['weights']} are missing: restore the file or make the "
            "model again."
        )
    return _built(path, told, data)


def _read(path: Path) -> dict[str, Any]:
    told = read_json(path)
    found = told.get("format") if isinstance(told, dict) else None
    if found is None:
        raise InputError(f"{path} does not describe a model: check the path.")
    if found != FORMAT:
        raise VersionError(
            f"The model {path} has format {found}, but this metawright reads format {FORMAT}: "
            "use the metawright that wrote it, or make the model again."
        )
    lacking = {"weights", "sha256", "spec", "blueprint"} - told.keys()
    # The name comes from a file that anybody may have written: it must not lead elsewhere.
    if lacking or Path(str(told["weights"])).name != told["weights"]:
        raise _damaged(path)
    return dict(told)


def _weights(folder: Path, told: Mapping[str, Any]) -> bytes | None:
    """The bytes of the weights that `told` names, or None when they are not there."""
    path = folder / str(told["weights"])
    try:
        with clear_errors(path, verb="read"):
            data = path.read_bytes()
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise _damaged(path)
    return data


def _built(path: Path, told: Mapping[str, Any], data: bytes) -> SavedModel:
    blueprint, digest = told["blueprint"], told["sha256"]
    try:
        spec = TaskSpec.from_json(told["spec"])
        params = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    try:
        # On the meta device nothing is drawn or filled in: the parameters come from the file.
        with torch.device("meta"):
            module = assemble(blueprint)
        module.load_state_dict(params, assign=True)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = json.dumps(str(error).partition("\n")[0])
        raise VersionError(
            f"The model {path} does not fit the layers of this metawright ({reason}): use the "
            "metawright that wrote it, or make the model again."
        ) from error
    return SavedModel(module.eval().requires_grad_(False), spec, blueprint, digest)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: restore the file or make the model again.")
