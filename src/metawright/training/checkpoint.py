"""One file with everything that training needs to go on as if it had never stopped.

A checkpoint is a safetensors file: the tensors are the parameters, the buffers, the optimiser's
state and the state of the generator; its metadata holds the step, the settings and the records as
JSON. It takes the place of the one before in one step, so that a kill leaves one of the two.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from metawright.errors import InputError, VersionError
from metawright.store.files import write_bytes
from metawright.training.trainable import Stateful, Trainable

__all__ = ["Checkpoint", "buffers_of", "capture", "read", "restore", "write"]

_FORMAT = "metawright.checkpoint.1"


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after `step` steps.

    Arguments:
        step: how many steps were made.
        tensors: parameters ("parameter/NAME"), buffers ("buffer/NAME"), the optimiser's state
            ("optimiser/NAME/KEY") and the generator's ("rng").
        settings: the arguments of the run, plain data; a resumed run must have the same.
        progress: what else the loop keeps between steps, plain data: records, CPU seconds.
    """

    step: int
    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    progress: dict[str, Any]


def buffers_of(trainable: Trainable) -> dict[str, Tensor]:
    """The tensors by name that training changes and no optimiser steps."""
    return dict(trainable.named_buffers()) if isinstance(trainable, Stateful) else {}


def capture(trainable: Trainable, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All tensors of a trainable and of its optimiser, by name in a checkpoint (not copied)."""
    tensors = {f"buffer/{name}": value for name, value in buffers_of(trainable).items()}
    for name, parameter in trainable.named_parameters():
        tensors[f"parameter/{name}"] = parameter.detach()
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimiser/{name}/{key}"] = value
    return tensors


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Makes `checkpoint` the content of `path`, wholly or not at all.

    Raises:
        InputError: the disk is full or the path cannot be written.
    """
    about = {
        "format": _FORMAT,
        "step": checkpoint.step,
        "settings": checkpoint.settings,
        "progress": checkpoint.progress,
    }
    metadata = {"metawright": json.dumps(about)}
    tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
    write_bytes(path, save(tensors, metadata))


def read(path: Path) -> Checkpoint:
    """The checkpoint that `write` left at `path`, on the CPU.

    Raises:
        InputError: the file is damaged or is no checkpoint.
        VersionError: it was written by an incompatible version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("metawright", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(
            f"'{path}' cannot be read as a checkpoint ({error}): delete it to start again."
        ) from error
    if about.get("format") != _FORMAT:
        raise VersionError(
            f"'{path}' is no checkpoint of this version (found {about.get('format')!r}, needed "
            f"{_FORMAT!r}): delete it to start again."
        )
    return Checkpoint(about["step"], tensors, about["settings"], about["progress"])


def restore(
    tensors: Mapping[str, Tensor],
    trainable: Trainable,
    optimiser: torch.optim.Optimizer,
    rng: torch.Generator,
) -> None:
    """Copies the tensors of a checkpoint back to where `capture` found them.

    Raises:
        InputError: the trainable's tensors differ from the stored ones in name or shape.
    """
    _copy(tensors, "buffer", buffers_of(trainable).items())
    parameters = dict(trainable.named_parameters())
    _copy(tensors, "parameter", ((name, value.data) for name, value in parameters.items()))
    for full, value in tensors.items():
        group, _, rest = full.partition("/")
        if group == "optimiser":
            name, _, key = rest.rpartition("/")
            optimiser.state[parameters[name]][key] = _like(value, parameters[name], key)
    rng.set_state(tensors["rng"])


def _like(value: Tensor, parameter: nn.Parameter, key: str) -> Tensor:
    """The optimiser's tensor where it belongs: torch keeps the count of steps on the CPU."""
    return value.clone() if key == "step" else value.to(parameter.device, copy=True)


def _copy(
    tensors: Mapping[str, Tensor], group: str, targets: Iterator[tuple[str, Tensor]] | Any
) -> None:
    targets = {f"{group}/{name}": value for name, value in targets}
    stored = {full: value for full, value in tensors.items() if full.startswith(f"{group}/")}
    shapes = {full: tuple(value.shape) for full, value in targets.items()}
    if shapes != {full: tuple(value.shape) for full, value in stored.items()}:
        names = sorted(set(shapes) ^ set(stored)) or "their shapes"
        raise InputError(
            f"The checkpoint belongs to another model (they differ in {names}): delete it to "
            "start again, or build the same model."
        )
    for full, value in targets.items():
        value.copy_(stored[full])
