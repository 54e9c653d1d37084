"""The one loop: the only place that steps an optimiser.

Whatever gives gradients (`Trainable`) is trained here: meta-learners, classifiers, networks that
share weights. The loop adds what all of them need: schedule, clipping, a stream of metrics,
checkpoints from which the same call goes on bit for bit, and a clear end when numbers explode.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from metawright.errors import InputError, MetawrightError
from metawright.params import global_norm
from metawright.training import checkpoint as checkpoints
from metawright.training.checkpoint import Checkpoint
from metawright.training.schedule import Schedule, schedule_of, with_warmup
from metawright.training.trainable import Step, Trainable

__all__ = ["History", "Optimiser", "Progress", "fit"]

Optimiser = Literal["adam", "sgd"]


class Progress(NamedTuple):
    """Where training stands after a step; `seconds` since this call began, `eta` to its end."""

    step: int
    steps: int
    metrics: dict[str, float]
    lr: float
    seconds: float
    eta: float


@dataclass(frozen=True)
class History:
    """What training left behind.

    Arguments:
        records: one dictionary every `log_every` steps: "step", "lr", "seconds" and the mean of
            each metric since the record before; those before a resume included.
        steps: how many steps were made in all.
        seconds: CPU seconds that the process spent, those before a resume included.
    """

    records: list[dict[str, Any]]
    steps: int
    seconds: float


def fit(
    trainable: Trainable,
    draw: Callable[[torch.Generator], Any],
    *,
    steps: int,
    rng: torch.Generator,
    optimiser: Optimiser = "adam",
    lr: float = 1e-3,
    momentum: float = 0.0,
    schedule: str | Schedule = "constant",
    warmup: int = 0,
    weight_decay: float = 0.0,
    clip: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 500,
    log: Path | None = None,
    log_every: int = 10,
) -> History:
    """Trains `trainable` for `steps` steps, or goes on where its checkpoint stands.

    A run that was stopped at any moment goes on by the same call and ends with the same tensors,
    bit for bit, as one that never stopped; what a model draws from torch's global generator
    (`nn.Dropout`) is the exception.

    Arguments:
        trainable: what gives gradients; its parameters are stepped in place.
        draw: gives the batch of a step from the generator.
        steps: optimiser steps in all.
        rng: draws batches and whatever the trainable draws.
        optimiser: "adam" (decoupled weight decay, Loshchilov and Hutter 2017,
            https://arxiv.org/abs/1711.05101) or "sgd".
        lr: learning rate before the schedule.
        momentum: of "sgd".
        schedule: a name of `SCHEDULES`, or a function from the step to a factor on `lr`.
        warmup: steps over which the rate rises in a line.
        weight_decay: pull of the parameters towards zero, 0 for none.
        clip: largest Euclidean norm of all gradients together; longer ones are shortened to it.
        on_step: called after every step; whatever it raises ends training.
        checkpoint: file to keep the state in, and to go on from when it exists.
        checkpoint_every: steps between two checkpoints; the last step writes one too.
        log: file that gets every record as a line of JSON.
        log_every: steps between two records.

    Returns:
        The records of the run.

    Raises:
        MetawrightError: a gradient or loss became infinite or not a number. The weights are those
            of the step before, and the checkpoint on the disk is left as it was.
        InputError: the checkpoint belongs to another model or another call.
    """
    for name, value in (("steps", steps), ("log_every", log_every), ("lr", lr)):
        if value <= 0:
            raise ValueError(f"`{name} > 0` must hold, but got {value}.")
    if checkpoint_every <= 0:
        raise ValueError(f"`checkpoint_every > 0` must hold, but got {checkpoint_every}.")
    factor = with_warmup(schedule_of(schedule, steps), warmup)
    stepper = _optimiser(trainable, optimiser, lr, momentum, weight_decay)
    settings = {
        "optimiser": optimiser,
        "lr": lr,
        "momentum": momentum,
        "schedule": schedule if isinstance(schedule, str) else "function",
        "warmup": warmup,
        "weight_decay": weight_decay,
        "clip": clip,
        "steps": steps,
        "log_every": log_every,
    }
    run = _Run(trainable, stepper, rng, settings, checkpoint, log)
    run.resume()
    began = time.monotonic()
    first = run.step
    try:
        while run.step < steps:
            rate = lr * factor(run.step)
            run.advance(draw, rate, clip)
            seconds = time.monotonic() - began
            run.record(rate, seconds, log_every)
            if run.step % checkpoint_every == 0 or run.step == steps:
                run.save()
            if on_step is not None:
                eta = seconds / (run.step - first) * (steps - run.step)
                on_step(Progress(run.step, steps, run.metrics, rate, seconds, eta))
    except KeyboardInterrupt:
        run.save_interrupted()
        raise
    return History(run.records, run.step, run.cpu_seconds())


@dataclass
class _Run:
    """The moving parts of one call of `fit`."""

    trainable: Trainable
    optimiser: torch.optim.Optimizer
    rng: torch.Generator
    settings: dict[str, Any]
    checkpoint: Path | None
    log: Path | None
    step: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    window: list[dict[str, float]] = field(default_factory=list)
    before: dict[str, Tensor] = field(default_factory=dict)
    stepping: bool = False
    spent: float = 0.0
    cpu: float = field(default_factory=time.process_time)

    def resume(self) -> None:
        """Goes back to the checkpoint, if there is one."""
        if self.checkpoint is not None and self.checkpoint.exists():
            found = checkpoints.read(self.checkpoint)
            for name, value in self.settings.items():
                if found.settings.get(name) != value:
                    raise InputError(
                        f"The checkpoint '{self.checkpoint}' was made with {name}="
                        f"{found.settings.get(name)!r}, but this run has {value!r}: use the same "
                        "settings, or delete it to start again."
                    )
            checkpoints.restore(found.tensors, self.trainable, self.optimiser, self.rng)
            self.step, self.records = found.step, found.progress["records"]
            self.window, self.spent = found.progress["window"], found.progress["seconds"]
        if self.log is not None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text("".join(json.dumps(record) + "\n" for record in self.records))

    def _gradients(self, batch: Any) -> Step:
        try:
            return self.trainable.gradients(batch, self.rng)
        except MetawrightError as error:
            if type(error) is not MetawrightError:
                raise  # of another making than numbers that broke
            raise MetawrightError(
                f"Training broke at step {self.step + 1}: {error} The weights are those of step "
                f"{self.step}."
            ) from error

    def advance(
        self, draw: Callable[[torch.Generator], Any], rate: float, clip: float | None
    ) -> None:
        """One step of the optimiser."""
        self.before = {f"buffer/{k}": v.clone() for k, v in _buffers(self.trainable).items()}
        self.before["rng"] = self.rng.get_state()
        step = self._gradients(draw(self.rng))
        parameters = dict(self.trainable.named_parameters())
        _check(step, parameters, self.step + 1)
        _assign(step, parameters, clip)
        self.stepping = True
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.metrics = step.metrics
        self.window.append(step.metrics)
        self.step += 1
        self.before = {}
        self.stepping = False

    def record(self, rate: float, seconds: float, every: int) -> None:
        """Means over the last steps, into the records and the log."""
        if self.step % every and self.step != self.settings["steps"]:
            return
        names = {name: None for metrics in self.window for name in metrics}
        means = {name: _mean([m[name] for m in self.window if name in m]) for name in names}
        record = {"step": self.step, "lr": rate, "seconds": round(seconds, 3), **means}
        self.records.append(record)
        self.window = []
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def save(self) -> None:
        """Writes the checkpoint, if one is kept."""
        if self.checkpoint is None:
            return
        tensors = checkpoints.capture(self.trainable, self.optimiser)
        tensors |= {"rng": self.rng.get_state()} | self.before
        progress = {"records": self.records, "window": self.window, "seconds": self.cpu_seconds()}
        checkpoints.write(self.checkpoint, Checkpoint(self.step, tensors, self.settings, progress))

    def cpu_seconds(self) -> float:
        """CPU time spent on this run so far."""
        return self.spent + time.process_time() - self.cpu

    def save_interrupted(self) -> None:
        """Writes the state before the broken step; nothing when the optimiser itself was cut off,
        for then some parameters have moved and some have not."""
        if not self.stepping:
            self.save()


def _buffers(trainable: Trainable) -> dict[str, Tensor]:
    return checkpoints.buffers_of(trainable)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _optimiser(
    trainable: Trainable, name: Optimiser, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    parameters = [p for _, p in trainable.named_parameters() if p.requires_grad]
    if name == "adam":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    raise ValueError(f"`optimiser` must be 'adam' or 'sgd', but got {name!r}.")


def _check(step: Step, parameters: dict[str, nn.Parameter], number: int) -> None:
    unknown = sorted(set(step.grads) - set(parameters))
    if unknown:
        raise ValueError(f"Gradients must carry names of parameters, but got {unknown}.")
    norm = float(global_norm(step.grads.values())) if step.grads else 0.0
    numbers = {"the gradient's norm": norm, **step.metrics}
    broken = [f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if broken:
        raise MetawrightError(
            f"Training broke at step {number}: {', '.join(broken)}. The weights are those of step "
            f"{number - 1}; lower the learning rate or clip the gradients."
        )


def _assign(step: Step, parameters: dict[str, nn.Parameter], clip: float | None) -> None:
    scale = 1.0
    if clip is not None and step.grads:
        scale = min(1.0, clip / (float(global_norm(step.grads.values())) + 1e-12))
    for name, parameter in parameters.items():
        grad = step.grads.get(name) if parameter.requires_grad else None
        # Contiguity as the parameter's own, so that a resumed run meets the same kernels.
        parameter.grad = (
            None if grad is None else (grad.detach() * scale if scale < 1 else grad.detach())
        )
