"""Any row of `LEARNERS`, set up as asked, through the `Learner` protocol and a few optional names.

What a learner may offer beyond the protocol, each under its own name and none of them required:

- `normalisation: str`: a keyword argument of its row.
- `inner_lr: float`, `inner_steps: int`, `evaluation_steps: int`: keyword arguments of its row, or
  attributes that may be set before training. `evaluation_steps` is how many steps `adapt` makes; a
  learner that has it is also judged after 0, 1, 2, ... steps.
- `named_buffers()`: tensors that belong to its state although no optimiser steps them.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metawright.errors import InputError, did_you_mean
from metawright.learners import LEARNERS, Learner
from metawright.recipes.fewshot.settings import Settings
from metawright.rng import stream
from metawright.store.files import write_bytes
from metawright.tasks.task import TaskSpec
from metawright.training.checkpoint import buffers_of

__all__ = [
    "adaptation_steps",
    "build_learner",
    "check_device",
    "check_learner",
    "copy_tensors",
    "on_device",
    "read_weights",
    "stepping",
    "tensors_of",
    "write_weights",
]

_OPTIONS = ("inner_lr", "inner_steps", "evaluation_steps", "normalisation")
_FORMAT = "metawright.fewshot.1"


def check_learner(name: str) -> None:
    """Refuses a name that is no row of `LEARNERS`, with the nearest that is.

    Raises:
        InputError: no such learner.
    """
    if name not in LEARNERS:
        raise InputError(f"There is no learner '{name}': {did_you_mean(name, [*LEARNERS])}")


def build_learner(
    name: str, spec: TaskSpec, settings: Settings, *, seed: int, required: tuple[str, ...] = ()
) -> Learner:
    """A row's learner for tasks of `spec`, with first weights of `seed`.

    Arguments:
        required: options of `settings` that the user asked for; the others are dropped where a
            learner does not have them.

    Raises:
        InputError: no such learner, tasks that it cannot take, or an option that it does not have.
    """
    check_learner(name)
    row = LEARNERS[name]
    wanted = {
        key: getattr(settings, key) for key in _OPTIONS if getattr(settings, key) is not None
    }
    known = _keywords(row)
    try:
        learner = row(
            spec,
            stream(seed, name, "weights"),
            **{key: value for key, value in wanted.items() if key in known},
        )
    except ValueError as error:
        raise InputError(
            f"The learner '{name}' cannot take these tasks ({str(error).rstrip('.')}): choose "
            "another learner or source."
        ) from error
    for key, value in wanted.items():
        if key in known:
            continue
        if _settable(learner, key):
            setattr(learner, key, value)
        elif key in required:
            flag = key.replace("_", "-")
            raise InputError(f"The learner '{name}' has no --{flag} to set: leave the flag out.")
    return learner


def check_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        InputError: torch cannot use it.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # what a build without CUDA raises
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"The device '{device}' cannot be used ({reason}): use cpu.") from error


def on_device(learner: Learner, device: str) -> Learner:
    """The learner with its tensors on `device`."""
    if device != "cpu":
        parameters = (value for _, value in learner.named_parameters())
        for value in (*parameters, *buffers_of(learner).values()):
            value.data = value.data.to(device)
    return learner


def _keywords(row: Callable[..., Learner]) -> set[str]:
    """Options that a row takes as keyword arguments."""
    parameters = inspect.signature(row).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return {*_OPTIONS}
    return {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _settable(learner: Learner, key: str) -> bool:
    return key in getattr(learner, "__dict__", {}) and isinstance(
        getattr(learner, key), int | float
    )


def adaptation_steps(learner: Learner, most: int = 10) -> list[int]:
    """After how many steps of adaptation to judge; empty for a learner that has no such number.

    Example:
        >>> from types import SimpleNamespace
        >>> adaptation_steps(SimpleNamespace(evaluation_steps=50))
        [0, 1, 2, 3, 5, 10, 20, 50]
    """
    if not _settable(learner, "evaluation_steps"):
        return []
    own = int(vars(learner)["evaluation_steps"])
    ladder = [0, 1, 2, 3, 5, 10, 20, 50, 100, 200]
    return sorted({*(step for step in ladder if step <= max(own, most)), own})


@contextmanager
def stepping(learner: Learner, steps: int) -> Iterator[Learner]:
    """The learner with so many steps in `adapt`, and back as it was."""
    before = vars(learner)["evaluation_steps"]
    vars(learner)["evaluation_steps"] = steps
    try:
        yield learner
    finally:
        vars(learner)["evaluation_steps"] = before


def tensors_of(learner: Learner) -> dict[str, Tensor]:
    """Everything that makes a learner: parameters and buffers by name (not copied)."""
    found = {f"parameter/{name}": value.data for name, value in learner.named_parameters()}
    return found | {f"buffer/{name}": value for name, value in buffers_of(learner).items()}


def copy_tensors(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Puts tensors where `tensors_of` found them; further ones are left aside."""
    for name, value in tensors_of(learner).items():
        value.copy_(tensors[name])


def write_weights(path: Path, learner: Learner, about: dict[str, Any]) -> None:
    """The learner's tensors as a safetensors file, wholly or not at all."""
    tensors = {name: value.clone().contiguous() for name, value in tensors_of(learner).items()}
    metadata = {"metawright": json.dumps({"format": _FORMAT, **about})}
    write_bytes(path, save(tensors, metadata))


def read_weights(path: Path, learner: Learner) -> None:
    """Loads what `write_weights` wrote into a learner of the same row and spec.

    Raises:
        InputError: the file is missing, damaged, or belongs to another learner.
    """
    if not path.is_file():
        raise InputError(f"There are no weights '{path}': run the same command to go on.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, torch.Tensor] = {n: file.get_tensor(n) for n in file.keys()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"'{path}' is damaged ({error}): restore it or train again.") from error
    own = {name: tuple(value.shape) for name, value in tensors_of(learner).items()}
    if own != {name: tuple(value.shape) for name, value in tensors.items()}:
        raise InputError(f"'{path}' belongs to another learner or another version of this one.")
    copy_tensors(learner, tensors)
