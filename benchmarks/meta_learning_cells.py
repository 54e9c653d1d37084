"""What each cell of benchmarks/meta_learning.py trains and how it is judged."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cells import Tell
from harness import data_folder
from metawright.evaluate import evaluate
from metawright.evaluate.online import evaluate_online
from metawright.evaluate.regression import evaluate_regression, measured, with_steps
from metawright.learners import LEARNERS, MAML, Learner, PrototypicalNetwork, Reptile
from metawright.learners.policy_gradient import PolicyGradient, returns
from metawright.models.backbones import ConvNet
from metawright.models.rollout import Rollout, policy_network
from metawright.recipes.fewshot.asked import Asked
from metawright.recipes.fewshot.settings import settings_for
from metawright.rng import stream
from metawright.store.files import read_json, write_json
from metawright.tasks import (
    CIFAR10,
    MNIST,
    Clinc150,
    Glyphs,
    Omniglot,
    Sinusoid,
    SpokenDigits,
    TrafficSigns,
)
from metawright.tasks.ambiguous import SinusoidOrLine
from metawright.tasks.mixture import Mixture
from metawright.tasks.navigation import Navigation, move, reward
from metawright.tasks.task import Split, Task, TaskSource, TaskSpec
from metawright.training import Progress, fit

__all__ = ["REGRESSION_STEPS", "work"]

Draw = Callable[[torch.Generator], Sequence[Task]]
REGRESSION_STEPS = (0, 1, 5, 10)
SIZE = (28, 28)


def work(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    """One cell: meta-trains within its minutes, and judges on tasks never seen."""
    kinds = {
        "sinusoid": _regression,
        "sinusoid-or-line": _regression,
        "omniglot": _omniglot,
        "mixed": _mixed,
        "inputs": _inputs,
        "navigation": _navigation,
    }
    return kinds[settings["kind"]](settings, checkpoint, tell)


def _regression(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    make = Sinusoid if settings["kind"] == "sinusoid" else SinusoidOrLine
    shots = settings["shots"]
    source, judged = make(shots=shots, queries=10), make(shots=shots, queries=100)
    own = settings_for(Asked(settings["learner"], (source.name,), steps=1), "regression")
    learner: Any = _row(settings, source)
    if own.inner_lr is not None:
        learner.inner_lr = own.inner_lr
    seconds = _train(learner, _tasks(source, own.tasks), settings, checkpoint, tell, lr=own.lr)
    found = evaluate_regression(
        learner,
        judged,
        Split.TEST,
        tasks=settings["tasks"],
        rng=stream(settings["seed"], "test"),
        steps=REGRESSION_STEPS,
    )
    figures: dict[str, Any] = {"cpu_seconds": seconds}
    figures["error"] = {
        str(steps): {"mean": one.mean, "ci95": one.ci95, "median": one.median}
        for steps, one in found.error.items()
    }
    figures["calibration"] = {
        str(steps): {"log_loss": one.log_loss.mean, "coverage": one.coverage.mean}
        for steps, one in found.calibration.items()
    }
    if settings["kind"] == "sinusoid" and hasattr(learner, "adapt_more"):
        figures["online"] = _online(learner, judged, settings)
    return figures


def _online(learner: Any, source: TaskSource, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    scores = evaluate_online(
        learner,
        source,
        Split.TEST,
        tasks=min(settings["tasks"], 200),
        rng=stream(settings["seed"], "online"),
    )
    return [
        {"examples": s.examples, "online": s.online.mean, "ci95": s.online.ci95,
         "anew": s.anew.mean}
        for s in scores
    ]  # fmt: skip


def _omniglot(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    ways, shots = settings["ways"], settings["shots"]
    make = partial(Omniglot, data_folder("omniglot"), protocol=settings["protocol"], ways=ways)
    reptile = settings["learner"] == "reptile"
    queries = 15 - shots if reptile else 3 if ways == 5 else 2
    source = make(shots=shots, queries=queries)
    learner = _of_omniglot(settings)
    tasks, lr = (5, 1.0) if reptile else (4 if ways == 5 else 1, 2e-3)
    seconds = _train(learner, _tasks(source, tasks), settings, checkpoint, tell, lr=lr)
    figures: dict[str, Any] = {"cpu_seconds": seconds}
    for name, together in (("transductive", True), ("inductive", False)):
        asked = 5 if together or ways == 5 else 1
        found = evaluate(
            learner,
            make(shots=shots, queries=asked),
            Split.TEST,
            # One by one, every query takes a pass with the whole support.
            tasks=settings["tasks"] if together or ways == 5 else min(settings["tasks"], 100),
            rng=stream(settings["seed"], ways, shots, "test"),
            transductive=together,
        )
        figures[name] = {"accuracy": 100 * found.mean, "ci95": 100 * found.ci95}
    return figures


def _of_omniglot(settings: Mapping[str, Any]) -> Learner:
    """The learner, with 32 filters and pooling: see benchmarks/omniglot.py for why."""
    name = settings["learner"]
    rng = stream(settings["seed"], name, settings["ways"], settings["shots"], "weights")
    net = ConvNet(1, SIZE, settings["ways"], rng=rng, filters=32, reduction="pool")
    if name == "reptile":
        return Reptile(net, inner_lr=8e-3)
    return MAML(net, inner_lr=0.1, inner_steps=5, second_order=name == "maml")


def _mixed(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    """Meta-trained on three sources, judged on each of them and on two that it never saw."""
    shape: dict[str, Any] = {"ways": 5, "shots": 1, "queries": 5}
    seen: dict[str, TaskSource] = {
        "omniglot": Omniglot(data_folder("omniglot"), **shape),
        "glyphs": Glyphs(**shape),
        "gtsrb": TrafficSigns(data_folder("gtsrb"), **shape),
    }
    unseen: dict[str, TaskSource] = {
        "mnist": MNIST(data_folder("mnist"), splits="test", **shape),
        "cifar10": CIFAR10(data_folder("cifar10"), splits="test", **shape),
    }
    mixture = Mixture([*seen.values()], size=28, channels=1)
    rng = stream(settings["seed"], settings["learner"], "weights")
    learner: Learner
    if settings["learner"] == "prototypical-network":
        learner = PrototypicalNetwork(
            ConvNet(1, SIZE, 0, rng=rng, reduction="pool", statistics="running")
        )
    elif settings["learner"] == "first-order-maml":
        net = ConvNet(1, SIZE, 5, rng=rng, filters=32, reduction="pool")
        learner = MAML(net, inner_lr=0.1, inner_steps=5, second_order=False)
    else:
        learner = PrototypicalNetwork(nn.Flatten())
    seconds = 0.0
    if settings["learner"] != "pixels, nearest":
        seconds = _train(learner, _tasks(mixture, 4), settings, checkpoint, tell, lr=2e-3)
    figures: dict[str, Any] = {"cpu_seconds": seconds}
    for name, source in (seen | unseen).items():
        found = evaluate(
            learner,
            Mixture([source], size=28, channels=1),
            Split.TEST,
            tasks=settings["tasks"],
            rng=stream(settings["seed"], name, "test"),
            transductive=isinstance(learner, PrototypicalNetwork),
        )
        figures[name] = {"accuracy": 100 * found.mean, "ci95": 100 * found.ci95}
    return figures


def _inputs(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    """Texts and spoken digits through the same learners."""
    shots = settings["shots"]
    source: TaskSource
    if settings["source"] == "clinc150":
        source = Clinc150(data_folder("text"), ways=5, shots=shots, queries=5)
    else:
        source = SpokenDigits(data_folder("fsdd"), ways=3, shots=shots, queries=5)
    learner = _row(settings, source)
    seconds = _train(learner, _tasks(source, 4), settings, checkpoint, tell, lr=2e-3)
    figures: dict[str, Any] = {"cpu_seconds": seconds}
    baseline = PrototypicalNetwork(_Counts(source.draw(Split.TEST, stream(0)).spec))
    for name, one in (("accuracy", learner), ("nearest mean of the raw input", baseline)):
        found = evaluate(
            one,
            source,
            Split.TEST,
            tasks=settings["tasks"],
            rng=stream(settings["seed"], "test"),
            transductive=isinstance(one, PrototypicalNetwork),
        )
        figures[name] = {"accuracy": 100 * found.mean, "ci95": 100 * found.ci95}
    return figures


def _navigation(settings: Mapping[str, Any], checkpoint: Path, tell: Tell) -> Mapping[str, Any]:
    """Mean return of a point robot after 0 to 3 policy gradient steps towards a new goal."""
    source = Navigation()
    net = Rollout(
        policy_network(2, 2, rng=stream(settings["seed"], "weights")),
        move=move,
        start=(0.0, 0.0),
        actions=2,
    )
    loss = PolicyGradient(reward, normalise=True)
    learner = MAML(net, inner_lr=0.1, inner_steps=3, loss=loss)
    seconds = 0.0
    if settings["learner"] == "maml":
        seconds = _train(learner, _tasks(source, 10), settings, checkpoint, tell, lr=1e-3)
    figures: dict[str, Any] = {"cpu_seconds": seconds}
    for steps in range(4):
        found = []
        adapting = with_steps(learner, steps)
        with torch.no_grad():
            for number in range(min(settings["tasks"], 40)):
                task = source.draw(Split.TEST, stream(settings["seed"], "goal", number))
                outputs = adapting.adapt(task.support, stream(0))(task.query.x)
                found.append(float(returns(outputs, task.query.labels, reward).mean()))
        one = measured(found)
        figures[str(steps)] = {"mean": one.mean, "ci95": one.ci95}
    return figures


class _Counts(nn.Module):
    """The raw input as a unit vector: counts of its tokens, or its numbers."""

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.vocabulary = spec.vocabulary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.vocabulary:
            counts = torch.zeros(len(x), self.vocabulary)
            x = counts.scatter_add_(1, x.flatten(1), torch.ones(x.flatten(1).shape))[:, 1:]
        return nn.functional.normalize(x.flatten(1), dim=1)


def _row(settings: Mapping[str, Any], source: TaskSource) -> Learner:
    spec = source.draw(Split.TRAIN, stream(0, "look")).spec
    return LEARNERS[settings["learner"]](spec, stream(settings["seed"], settings["learner"]))


def _tasks(source: TaskSource, count: int) -> Draw:
    return lambda rng: [source.draw(Split.TRAIN, rng) for _ in range(count)]


def _train(
    learner: Learner,
    draw: Draw,
    settings: Mapping[str, Any],
    checkpoint: Path,
    tell: Tell,
    *,
    lr: float,
) -> float:
    """Meta-trains for about the cell's CPU-minutes; gives the CPU seconds spent."""

    def on_step(progress: Progress) -> None:
        tell(0.95 * progress.step / progress.steps)

    plain = lr == 1.0
    history = fit(
        learner,
        draw,
        steps=_steps(learner, draw, settings, checkpoint),
        rng=stream(settings["seed"], "training"),
        optimiser="sgd" if plain else "adam",
        lr=lr,
        schedule="linear" if plain else "cosine",
        clip=None if plain else 10.0,
        on_step=on_step,
        checkpoint=checkpoint,
        checkpoint_every=200,
        log_every=200,
    )
    return history.seconds


def _steps(learner: Learner, draw: Draw, settings: Mapping[str, Any], checkpoint: Path) -> int:
    """Steps that fit into the cell's minutes, from the pace of the first few; kept, because a
    training that goes on must have the same schedule."""
    kept = checkpoint.with_suffix(".steps.json")
    if kept.exists():
        return int(read_json(kept)["steps"])
    if settings["minutes"] < 0.01:
        return 2
    rng = stream(0, "pace")
    learner = copy.deepcopy(learner)  # gradients may move moments and counters
    learner.gradients(draw(rng), rng)
    began, rounds = time.process_time(), 0
    while rounds < 3 or time.process_time() - began < 1:
        learner.gradients(draw(rng), rng)
        rounds += 1
    pace = (time.process_time() - began) / rounds
    steps = max(2, int(60 * float(settings["minutes"]) / pace))
    write_json(kept, {"steps": steps})
    return steps
