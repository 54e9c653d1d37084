"""From sources of tasks to a bundle: shared weights, experience, and a first proposal model.

Three stages, each of which goes on where it stood when the same call is made again:
weights (one loop over many tasks), trials (designs tried on tasks of unseen classes), proposal
model (fitted to the trials).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metawright import __version__
from metawright.engine.lock import FolderLock
from metawright.errors import InputError
from metawright.generators.bundle import Bundle, load_bundle, save_bundle
from metawright.generators.header import check_place
from metawright.generators.proposal import fit_proposal_model
from metawright.learners.weight_sharing import WeightSharing
from metawright.models.prepare import Prepare
from metawright.models.shared import largest_network, shared_params
from metawright.recipes.experience import ExperienceRecipe, elites, gather, read_experience
from metawright.rng import stream
from metawright.spaces import SPACES
from metawright.spaces.convolutional import network_space
from metawright.spaces.draw import sample
from metawright.store.database import Store
from metawright.store.files import read_json, write_json
from metawright.tasks.distort import HANDWRITING, Distortion
from metawright.tasks.glyphs import Glyphs
from metawright.tasks.images import ImageFolder
from metawright.tasks.mixture import Mixture
from metawright.tasks.omniglot import Omniglot
from metawright.tasks.task import Split, Task, TaskSource
from metawright.training.fit import Progress, fit

__all__ = ["WeightRecipe", "meta_train", "meta_train_weights", "task_source"]

LICENCES = {
    "glyphs": "fonts shipped by matplotlib: DejaVu (Bitstream Vera licence), STIX (OFL 1.1), "
    "Computer Modern (Knuth licence)",
    "omniglot": "Omniglot, Lake et al. (MIT)",
}
"""Licences of the sources, for a bundle's provenance."""

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


def meta_train(
    sources: Sequence[str],
    out: Path,
    *,
    name: str = "",
    weights: WeightRecipe | None = None,
    experience: ExperienceRecipe | None = None,
    channels: int = 1,
    size: int = 28,
    commit: str = "",
    on_step: Callable[[Progress], None] | None = None,
    on_trial: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Meta-trains a bundle on tasks of `sources` and writes it to `out`.

    Weights, then experience, then the proposal model. What is done is kept in `out/work`, from
    which the same call goes on after it was stopped at any moment.

    Arguments:
        sources: glyphs, omniglot, or paths of folders with one sub-folder of images a class.
        out: folder of the bundle.
        name: of the bundle (default: the folder's).
        weights, experience: recipes of the first two stages.
        channels, size: of the images that the networks see; ink is centred on grey images.
        commit: version of the code, for the provenance.
        on_step, on_trial: called as the stages go on.

    Returns:
        The bundle, as read back from `out`.

    Raises:
        InputError: no such source; `out` holds the work of another recipe; too little experience.
    """
    weights, experience = weights or WeightRecipe(), experience or ExperienceRecipe()
    recipe = {
        "sources": list(sources),
        "weights": asdict(weights),
        "experience": asdict(experience),
        "channels": channels,
        "size": size,
    }
    work = out / "work"
    for source in sources:
        _check_source(source)
    check_place(out)
    with FolderLock(work):
        _same_recipe(work / "recipe.json", recipe)
        learner = meta_train_weights(
            sources,
            weights,
            checkpoint=work / "weights.ckpt",
            channels=channels,
            size=size,
            on_step=on_step,
        )
        # Experience is gathered with the weights as they will be read: rounded to half precision.
        shared = {n: p.detach().half().float() for n, p in learner.named_parameters()}
        prepare = {"layer": "Prepare", "channels": channels, "size": size, "frame": channels == 1}
        with Store(work / "store") as store:
            gather(
                lambda shots: _judged_source(sources, shots, experience, channels, size),
                shared,
                prepare,
                experience,
                store,
                on_trial=on_trial,
            )
            tried = read_experience(store)
        model = fit_proposal_model(SPACES["convolutional"](), tried)
        save_bundle(
            out,
            Bundle(
                name=name or out.resolve().name,
                channels=channels,
                size=size,
                frame=channels == 1,
                shared=shared,
                proposal=model,
                elites=elites(model, tried, count=16, seed=experience.seed),
                provenance=recipe
                | {
                    "licences": {source: LICENCES.get(source, "yours") for source in sources},
                    "commit": commit,
                    "metawright": __version__,
                    "torch": torch.__version__,
                },
            ),
        )
    return load_bundle(out)


def _same_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """Notes the recipe of the work in a folder, or checks that it is the same."""
    plain = json.loads(json.dumps(recipe))
    if not path.exists():
        write_json(path, plain)
    elif read_json(path) != plain:
        raise InputError(
            f"'{path.parent.parent}' holds the work of another recipe: choose another --out, or "
            f"delete '{path.parent}' to start again."
        )


def _judged_source(
    sources: Sequence[str], shots: int, recipe: ExperienceRecipe, channels: int, size: int
) -> TaskSource:
    return Mixture(
        [
            task_source(
                name,
                ways=recipe.ways,
                shots=shots,
                queries=recipe.queries,
                channels=channels,
                size=size,
            )
            for name in sources
        ]
    )


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
    _check_source(name)
    distort = replace(_PHOTOGRAPHED, size=size)
    # A user's folder may have fewer classes than a recipe's tasks: as many as there are, then.
    high = ways if isinstance(ways, int) else ways[1]
    episode["ways"] = (2, high)
    return ImageFolder(name, **episode, size=size, channels=channels, distort=distort)


def _check_source(name: str) -> None:
    if name not in LICENCES and not Path(name).is_dir():
        raise InputError(
            f"There is no source '{name}' to meta-train on: use glyphs, omniglot, or the path of "
            "a folder with one sub-folder of images a class."
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
