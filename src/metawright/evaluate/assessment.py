"""What a design is worth on a labelled support set.

A design is judged by cross-validation; where classes have a single example, on distorted copies of
the examples instead, which ranks designs although it flatters them all.
"""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.evaluate.support import Support, learned_features
from metawright.learners.inner import descend
from metawright.learners.learner import task_loss
from metawright.learners.weight_sharing import headed
from metawright.models.build import Built, build, fit_head, sharpen
from metawright.models.heads import balanced_rows, prototype_layer
from metawright.models.layers import LAYERS, PixelFeatures
from metawright.models.shared import features_of, sub_params
from metawright.params import Params, detached
from metawright.spaces.design import Design
from metawright.tasks.task import Batch

__all__ = ["ADAPTATION_IMAGES", "Assessment", "assess", "finish"]

ADAPTATION_IMAGES = 64  # a step of descent sees at most so many


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
        learned = learned_features(own, network, x)
    if kind == "network":
        return learned
    share = features["pixel_share"]
    return torch.cat([learned * (1 - share) ** 0.5, pixels * share**0.5], 1)


def _copies(design: Design, support: Support) -> int:
    return min(int(design["augmentation"]["copies"]), support.room())


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
