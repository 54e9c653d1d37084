"""From sources of tasks to a bundle: shared weights, experience, and a first proposal model.

Three stages, each of which goes on where it stood when the same call is made again:
weights (one loop over many tasks), trials (designs tried on tasks of unseen classes), proposal
model (fitted to the trials).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metawright.errors import InputError
from metawright.learners.weight_sharing import WeightSharing
from metawright.models.layers import Prepare
from metawright.models.shared import largest_network, shared_params
from metawright.rng import stream
from metawright.spaces.convolutional import network_space
from metawright.spaces.draw import sample
from metawright.tasks.distort import HANDWRITING, Distortion
from metawright.tasks.glyphs import Glyphs
from metawright.tasks.images import ImageFolder
from metawright.tasks.mixture import Mixture
from metawright.tasks.omniglot import Omniglot
from metawright.tasks.task import Split, Task, TaskSource
from metawright.training.fit import Progress, fit

__all__ = ["WeightRecipe", "meta_train_weights", "task_source"]

# Real drawings already differ by hand: they are bent less than printed ones.
_DRAWN = replace(HANDWRITING, elastic=0.025, thickness=1.5)
_PHOTOGRAPHED = Distortion(rotation=8, shear=0.1, stretch=0.15, elastic=0.0)


@dataclass(frozen=True)
class WeightRecipe:
    """How shared weights are meta-trained.

    Arguments:
        steps: meta-steps; each trains two networks of the space on one task.
        ways, shots, queries: of a task; ranges are drawn from.
        method, inner_steps, inner_lr: see `WeightSharing`.
        lr: Adam's rate, after a warm-up along half a cosine to zero.
        largest: how often the second network of a step is the largest one.
        seed: of first weights, tasks and networks.
    """

    steps: int = 5000
    ways: int | tuple[int, int] = 24
    shots: int | tuple[int, int] = (1, 5)
    queries: int = 4
    method: str = "maml"
    inner_steps: tuple[int, int] = (0, 1)
    inner_lr: float = 0.1
    lr: float = 2e-3
    largest: float = 1 / 3
    seed: int = 0


def task_source(
    name: str,
    *,
    ways: int | tuple[int, int],
    shots: int | tuple[int, int],
    queries: int,
    channels: int = 1,
    size: int = 28,
) -> TaskSource:
    """A source for meta-training by name, or by the path of a folder with one sub-folder a class.

    Raises:
        InputError: neither a source that can be meta-trained on nor a folder.
    """
    episode: dict[str, Any] = {"ways": ways, "shots": shots, "queries": queries}
    if name == "glyphs":
        return Glyphs(**episode, distortion=replace(HANDWRITING, size=size))
    if name == "omniglot":
        return Omniglot(**episode, distort=replace(_DRAWN, size=size))
    if Path(name).is_dir():
        distort = replace(_PHOTOGRAPHED, size=size)
        return ImageFolder(name, **episode, size=size, channels=channels, distort=distort)
    raise InputError(
        f"There is no source '{name}' to meta-train on: use glyphs, omniglot, or the path of a "
        "folder with one sub-folder of images a class."
    )


def meta_train_weights(
    sources: Sequence[str],
    recipe: WeightRecipe,
    *,
    checkpoint: Path,
    channels: int = 1,
    size: int = 28,
    on_step: Callable[[Progress], None] | None = None,
) -> WeightSharing:
    """The first stage: weights shared by all networks, learned over many tasks."""
    mixture = Mixture(
        [
            task_source(
                name,
                ways=recipe.ways,
                shots=recipe.shots,
                queries=recipe.queries,
                channels=channels,
                size=size,
            )
            for name in sources
        ]
    )
    learner = WeightSharing(
        shared_params(channels, stream(recipe.seed, "weights")),
        lambda rng: _networks(rng, recipe.largest),
        prepare=Prepare(channels, size, frame=channels == 1),
        method=recipe.method,
        inner_steps=recipe.inner_steps,
        inner_lr=recipe.inner_lr,
    )

    def draw(rng: torch.Generator) -> list[Task]:
        return [mixture.draw(Split.TRAIN, rng)]

    fit(
        learner,
        draw,
        steps=recipe.steps,
        rng=stream(recipe.seed, "meta-training"),
        lr=recipe.lr,
        schedule="cosine",
        warmup=100,
        clip=5.0,
        on_step=on_step,
        checkpoint=checkpoint,
        checkpoint_every=100,
        log=checkpoint.with_suffix(".jsonl"),
        log_every=20,
    )
    return learner


def _networks(rng: torch.Generator, largest: float) -> list[Mapping[str, Any]]:
    """One network at random, and another one or the largest (which holds all weights)."""
    first, second = (sample(network_space(), rng) for _ in range(2))
    if float(torch.rand((), generator=rng)) < largest:
        return [first, largest_network(second["normalisation"], second["pool"])]
    return [first, second]
