"""A labelled support set, and what a design is worth on it.

Everything that is known of a new task is its support. A design is judged by cross-validation on
it; where classes have a single example, on distorted copies of the examples instead, which ranks
designs although it flatters them all.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.learners.inner import descend
from metawright.learners.learner import task_loss
from metawright.learners.weight_sharing import headed
from metawright.models.build import Blueprint, Built, build, fit_head, sharpen
from metawright.models.heads import balanced_rows, prototype_layer
from metawright.models.layers import LAYERS, PixelFeatures, assemble
from metawright.models.shared import features_of, sub_params
from metawright.params import Params, detached
from metawright.rng import fork, stream
from metawright.spaces.design import Design
from metawright.tasks.distort import HANDWRITING, Distortion, scaled
from metawright.tasks.task import Batch, TaskSpec

__all__ = ["ADAPTATION_IMAGES", "JUDGED_COPIES", "Assessment", "Support", "assess", "finish"]

COPIES = 8  # of every drawing at most
ANCHORS = 1200  # examples that a kernel head may hold; more copies than fit are not made
JUDGED_COPIES = 6  # of every drawing, where there is nothing else to judge on
ADAPTATION_IMAGES = 64  # a step of descent sees at most so many
_CHUNK = 256


class Fold(NamedTuple):
    """Numbers of the examples to learn from and to judge on."""

    train: Tensor
    judged: Tensor


@dataclass(frozen=True)
class Assessment:
    """What a design is worth on a support set.

    Arguments:
        accuracy, log_loss: of the judged examples.
        folds: accuracy of each fold.
        probabilities: (judged, classes), calibrated; labels: (judged,) true classes.
        sharpness: factor on the logits that calibrates the probabilities.
        how: how it was judged, in words.
        seconds: what it took.
        curve: loss along the descent of the first fold; empty without descent.
    """

    accuracy: float
    log_loss: float
    folds: tuple[float, ...]
    probabilities: Tensor
    labels: Tensor
    sharpness: float
    how: str
    seconds: float
    curve: tuple[float, ...] = ()


@dataclass
class Support:
    """Examples of one task with everything that several designs can share.

    Arguments:
        images: (examples, channels, size, size) in 0..1, as read; labels: (examples,).
        spec: of the task.
        shared: weights of all networks.
        prepare: blueprint of the preparation.
        distortion: of the copies at strength 1.
        seed: of folds and copies.
    """

    images: Tensor
    labels: Tensor
    spec: TaskSpec
    shared: Mapping[str, Tensor]
    prepare: Blueprint
    distortion: Distortion = HANDWRITING
    seed: int = 0
    _copies: dict[float, list[Tensor]] = field(default_factory=dict, repr=False)
    _features: dict[tuple[str, float], list[Tensor]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._preparation = assemble(self.prepare)
        self.x: Tensor = self._preparation(self.images)
        self.counts = torch.bincount(self.labels, minlength=self.spec.outputs)
        self.folds = _folds(self.labels, self.counts, stream(self.seed, "folds"))

    @property
    def how(self) -> str:
        """How designs are judged on this support, in words."""
        if self.folds:
            judged = sum(len(fold.judged) for fold in self.folds)
            return f"{len(self.folds)}-fold cross-validation on {judged} examples"
        return (
            f"{JUDGED_COPIES} distorted copies of each of {len(self.labels)} examples (no class "
            "has two, so nothing could be held out)"
        )

    def copies(self, strength: float, total: int = COPIES) -> Tensor:
        """Prepared copies (total, examples, channels, size, size); the same each time."""
        made = self._copies.setdefault(strength, [])
        distort = scaled(self.distortion, strength, size=self.images.shape[-1])
        for number in range(len(made), total):
            rng = stream(self.seed, "copies", str(strength), number)
            made.append(self._preparation(distort(self.images, rng)))
        return torch.stack(made[:total]) if made[:total] else self.x[None][:0]

    def judged_copies(self) -> Tensor:
        """Prepared copies to judge on, unlike those that are learned from."""
        rng = stream(self.seed, "judged copies")
        distort = scaled(self.distortion, 1.0, size=self.images.shape[-1])
        return torch.stack(
            [self._preparation(distort(self.images, fork(rng))) for _ in range(JUDGED_COPIES)]
        )

    def room(self) -> int:
        """How many copies of every drawing a kernel head has room for."""
        return min(COPIES, max(ANCHORS // len(self.labels) - 1, 0))

    def shared_features(
        self, network: Mapping[str, Any], strength: float, total: int = 1
    ) -> Tensor:
        """Features under the shared weights of the drawings (strength 0) or of `total` copies:
        (1 or total, examples, features); kept, because many designs ask for the same."""
        made = self._features.setdefault((str(sorted(network.items())), strength), [])
        if len(made) < total:
            own = sub_params(self.shared, network)
            x = self.x[None] if strength == 0 else self.copies(strength, total)
            new = _in_chunks(own, network, x[len(made) :].flatten(0, 1))
            made.extend(new.reshape(-1, len(self.x), new.shape[1]))
        return torch.stack(made[:total])


@torch.no_grad()
def assess(design: Design, support: Support) -> Assessment:
    """What `design` is worth on `support`, judged as `support.how` says."""
    began = time.monotonic()
    logits, labels, sizes = [], [], []
    curve: list[float] = []
    if support.folds:
        for fold in support.folds:
            own, descent = _adapted(design, support, fold.train, watch=not curve)
            curve = curve or descent
            head = _head(design, support, own, fold.train)
            judged = _features(design, support, own, support.x[fold.judged], fold.judged)
            logits.append(_apply(head, judged))
            labels.append(support.labels[fold.judged])
            sizes.append(len(fold.judged))
    else:
        everything = torch.arange(len(support.labels))
        own, curve = _adapted(design, support, everything, watch=True)
        head = _head(design, support, own, everything)
        for copy in support.judged_copies():
            logits.append(_apply(head, _features(design, support, own, copy, None)))
            labels.append(support.labels)
            sizes.append(len(copy))
    outputs, truth = torch.cat(logits), torch.cat(labels)
    sharpness, log_loss = _calibrated(outputs, truth)
    right = (outputs.argmax(1) == truth).double()
    return Assessment(
        accuracy=float(right.mean()),
        log_loss=log_loss,
        folds=tuple(float(part.mean()) for part in torch.split(right, sizes)),
        probabilities=F.softmax(outputs * sharpness, 1),
        labels=truth,
        sharpness=sharpness,
        how=support.how,
        seconds=time.monotonic() - began,
        curve=tuple(curve),
    )


@torch.no_grad()
def finish(design: Design, support: Support, sharpness: float) -> Built:
    """The classifier of `design` from the whole support."""
    everything = torch.arange(len(support.labels))
    own, _ = _adapted(design, support, everything)
    head = sharpen(_head(design, support, own, everything), sharpness)
    built = build(design, support.spec, prepare=support.prepare, network=own, head=head)
    return Built(built.blueprint, {n: v.contiguous() for n, v in built.params.items()})


def _adapted(
    design: Design, support: Support, train: Tensor, *, watch: bool = False
) -> tuple[Params, list[float]]:
    """The network's own weights after adaptation to the examples `train`."""
    features = design["features"]
    if features["kind"] == "pixels":
        return {}, []
    network, adaptation = features["network"], features["adaptation"]
    own = sub_params(support.shared, network)
    if adaptation["kind"] == "none":
        return own, []
    x, labels = _examples(design, support, train)
    rows = balanced_rows(labels, max(ADAPTATION_IMAGES, support.spec.outputs))
    x, labels = x[rows], labels[rows]
    scale = support.shared["log_scale"].exp()
    head = prototype_layer(features_of(own, network, x), labels, support.spec.outputs, scale)
    forward = headed(network)
    params = own | {f"head.{name}": value for name, value in head.items()}
    curve: list[float] = []
    with torch.enable_grad():
        for _ in range(adaptation["steps"]):
            if watch:
                curve.append(float(task_loss(forward(params, x), labels).detach()))
            params = descend(
                forward,
                detached(params, requires_grad=True),
                Batch(x, labels),
                loss=task_loss,
                lr=adaptation["lr"],
                steps=1,
                second_order=False,
            )
    if watch:
        curve.append(float(task_loss(forward(params, x), labels).detach()))
    return {name: value.detach() for name, value in params.items() if name in own}, curve


def _examples(design: Design, support: Support, train: Tensor) -> tuple[Tensor, Tensor]:
    """Prepared examples `train` and their copies, originals first."""
    total = _copies(design, support)
    x, labels = support.x[train], support.labels[train]
    if total:
        copies = support.copies(design["augmentation"]["strength"], total)[:, train]
        x, labels = torch.cat([x, copies.flatten(0, 1)]), labels.repeat(1 + total)
    return x, labels


def _head(design: Design, support: Support, own: Params, train: Tensor) -> Built:
    total = _copies(design, support)
    features = _features(design, support, own, support.x[train], train)
    labels = support.labels[train].repeat(1 + total)
    if total:
        strength = design["augmentation"]["strength"]
        copies = support.copies(strength, total)[:, train]
        more = _features(
            design, support, own, copies.flatten(0, 1), train, strength=strength, total=total
        )
        features = torch.cat([features, more])
    return fit_head(design["head"], features, labels, support.spec.outputs)


def _features(
    design: Design,
    support: Support,
    own: Params,
    x: Tensor,
    rows: Tensor | None,
    *,
    strength: float = 0.0,
    total: int = 1,
) -> Tensor:
    """The design's features of images `x`; `rows` says which examples they are, for the cache."""
    features = design["features"]
    kind = features["kind"]
    pixels = PixelFeatures(features["side"])(x) if kind != "network" else x
    if kind == "pixels":
        return pixels
    network = features["network"]
    if rows is not None and features["adaptation"]["kind"] == "none":
        learned = support.shared_features(network, strength, total)[:, rows].flatten(0, 1)
    else:
        learned = _in_chunks(own, network, x)
    if kind == "network":
        return learned
    share = features["pixel_share"]
    return torch.cat([learned * (1 - share) ** 0.5, pixels * share**0.5], 1)


def _copies(design: Design, support: Support) -> int:
    return min(int(design["augmentation"]["copies"]), support.room())


def _in_chunks(own: Params, network: Mapping[str, Any], x: Tensor) -> Tensor:
    return torch.cat([features_of(own, network, part) for part in torch.split(x, _CHUNK)])


def _apply(head: Built, features: Tensor) -> Tensor:
    arguments = {name: value for name, value in head.blueprint.items() if name != "layer"}
    module: nn.Module = LAYERS[head.blueprint["layer"]](**arguments)
    outputs: Tensor = torch.func.functional_call(module, head.params, (features,))
    return outputs


def _calibrated(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """The factor on the logits with the least log loss, from a grid, and that loss."""
    factors = torch.logspace(-1.3, 1.7, 31)
    losses = torch.stack([F.cross_entropy(logits * factor, labels) for factor in factors])
    best = int(losses.argmin())
    return float(factors[best]), float(losses[best])


def _folds(labels: Tensor, counts: Tensor, rng: torch.Generator) -> list[Fold]:
    """Up to five folds in which every judged class is still learned; none where no class has two
    examples. Examples that are alone in their class are never judged."""
    if int(counts.max()) < 2:
        return []
    wanted = min(5, int(counts[counts >= 2].min()))
    place = torch.full((len(labels),), -1)
    for label in range(len(counts)):
        members = (labels == label).nonzero()[:, 0]
        if len(members) >= 2:
            order = torch.randperm(len(members), generator=rng)
            place[members[order]] = torch.arange(len(members)) % wanted
    return [
        Fold((place != fold).nonzero()[:, 0], (place == fold).nonzero()[:, 0])
        for fold in range(wanted)
    ]
