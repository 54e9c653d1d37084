"""A labelled support set, with everything that designs judged on it can share.

Everything that is known of a new task is its support: folds to judge designs by, distorted copies
to learn from, and features under the shared weights are made once and kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metawright.models.build import Blueprint
from metawright.models.layers import assemble
from metawright.models.shared import features_of, sub_params
from metawright.params import Params
from metawright.rng import fork, stream
from metawright.tasks.distort import HANDWRITING, Distortion, scaled
from metawright.tasks.task import TaskSpec

__all__ = ["ANCHORS", "COPIES", "JUDGED_COPIES", "Fold", "Support", "learned_features"]

COPIES = 8  # of every drawing at most
ANCHORS = 1200  # examples that a kernel head may hold; more copies than fit are not made
JUDGED_COPIES = 6  # of every drawing, where there is nothing else to judge on
_CHUNK = 256


class Fold(NamedTuple):
    """Numbers of the examples to learn from and to judge on."""

    train: Tensor
    judged: Tensor


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
            new = learned_features(own, network, x[len(made) :].flatten(0, 1))
            made.extend(new.reshape(-1, len(self.x), new.shape[1]))
        return torch.stack(made[:total])


def learned_features(own: Params, network: Mapping[str, Any], x: Tensor) -> Tensor:
    """Features (images, features) of images `x`, a few hundred at a time."""
    return torch.cat([features_of(own, network, part) for part in torch.split(x, _CHUNK)])


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
