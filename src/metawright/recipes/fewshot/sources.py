"""Where the tasks of a few-shot run come from: named sources and folders, one or several mixed.

Training and judging draw from the same classes' splits but may differ in shape (more ways, other
numbers of queries), so a request opens to two sources. Whatever cannot work is refused here, with
the numbers, before the first step.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metawright.errors import InputError
from metawright.lazy import load
from metawright.recipes.fewshot.asked import Asked, is_own
from metawright.recipes.fewshot.folders import class_count, held_share
from metawright.recipes.fewshot.settings import Settings
from metawright.rng import stream
from metawright.tasks import SOURCES
from metawright.tasks.classes import ImageClasses
from metawright.tasks.contents import source_of
from metawright.tasks.episode import Episode
from metawright.tasks.mixture import Mixture
from metawright.tasks.task import Kind, Split, TaskSource, TaskSpec

__all__ = ["Opened", "open_sources", "training_source"]


@dataclass(frozen=True)
class Opened:
    """Sources ready to be drawn from, for validation and test.

    Arguments:
        judged: tasks of the shape that was asked for.
        parts: the sources that `judged` is mixed of, by name.
        form: size and channels to which mixed images are brought.
        spec: of a task; what a learner is built for.
        notes: sentences for the user about the data.
    """

    judged: TaskSource
    parts: Mapping[str, TaskSource]
    form: Mapping[str, int]
    spec: TaskSpec
    notes: tuple[str, ...] = ()


def open_sources(asked: Asked) -> Opened:
    """The sources that `asked` names.

    Raises:
        InputError: more ways than classes, fewer examples than shots and queries, sources that do
            not mix, a folder that cannot be read.
    """
    parts = {name: _open(name, asked) for name in asked.sources}
    specs = [_checked(name, source) for name, source in parts.items()]
    _check_alike([*parts], specs)
    notes = tuple(note for name, source in parts.items() for note in _notes(name, source))
    form = _form(asked, specs)
    judged = _mixed([*parts.values()], form)
    spec = judged.draw(Split.TEST, stream(0, "look")).spec
    return Opened(judged, parts, form, spec, notes)


def training_source(opened: Opened, asked: Asked, settings: Settings) -> TaskSource:
    """The same sources with tasks of the shape that training wants."""
    parts = [_for_training(name, source, asked, settings) for name, source in opened.parts.items()]
    return _mixed(parts, opened.form)


def _mixed(sources: Sequence[TaskSource], form: Mapping[str, int]) -> TaskSource:
    if len(sources) == 1:
        return sources[0]
    return Mixture(sources, size=form.get("size"), channels=form.get("channels"))


def _form(asked: Asked, specs: Sequence[TaskSpec]) -> dict[str, int]:
    """Size and channels to which images of several sources are brought: the largest of them."""
    shapes = [spec.features for spec in specs if len(spec.features) == 3]
    if not shapes:
        return {}
    size = asked.size or max(side for shape in shapes for side in shape[1:])
    return {"size": size, "channels": asked.channels or max(shape[0] for shape in shapes)}


def _open(name: str, asked: Asked) -> TaskSource:
    """A source by its name or folder; what its constructor does not know is not passed on."""
    wanted: dict[str, Any] = {
        "ways": asked.ways,
        "shots": asked.shots,
        "queries": asked.queries,
        "size": asked.size,
        "channels": asked.channels,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if is_own(name):
        return _open_folder(Path(name), wanted)
    make = load(SOURCES[name])
    if any(p.default is p.empty for p in inspect.signature(make).parameters.values()):
        raise InputError(f"'{name}' is a folder of yours: give its path as the source.")
    return _made(make, wanted)


def _open_folder(path: Path, wanted: Mapping[str, Any]) -> TaskSource:
    """Examples of the user's own; their classes are divided among the splits."""
    share = held_share(path, class_count(path), int(wanted["ways"]))
    own = {"root": path, "validation": share, "test": share}
    return _made(load(SOURCES[source_of(path)]), {**wanted, **own})


def _made(make: Any, wanted: Mapping[str, Any]) -> TaskSource:
    known = inspect.signature(make).parameters
    if "ways" in known:
        wanted = {"shots": 1, **wanted}  # whatever the source's own default is
    source: TaskSource = make(**{key: value for key, value in wanted.items() if key in known})
    return source


def _checked(name: str, source: TaskSource) -> TaskSpec:
    """The spec of the source's tasks; a look at every split, for a source refuses by itself what
    one of them could not give."""
    specs = []
    for split in Split:
        task = source.draw(split, stream(0, "look"))
        if task.spec.kind not in (Kind.CLASSIFICATION, Kind.REGRESSION):
            raise InputError(
                f"The tasks of '{name}' are {task.spec.kind}, but few-shot runs are about classes "
                "or numbers: choose another source."
            )
        if not bool(task.support.x.isfinite().all()):
            raise InputError(f"The tasks of '{name}' hold numbers that are not finite: mend them.")
        specs.append(task.spec)
    return specs[-1]


def _check_alike(names: Sequence[str], specs: Sequence[TaskSpec]) -> None:
    first = specs[0]
    for name, spec in zip(names, specs, strict=True):
        images = len(spec.features) == len(first.features) == 3
        if spec.kind is not first.kind or not (images or spec.features == first.features):
            raise InputError(
                f"Sources that are mixed must give alike tasks, but '{names[0]}' gives "
                f"{_shape(first)} and '{name}' gives {_shape(spec)}: choose others."
            )


def _shape(spec: TaskSpec) -> str:
    return f"{spec.kind} of {' x '.join(str(side) for side in spec.features)}"


def _for_training(name: str, judged: TaskSource, asked: Asked, settings: Settings) -> TaskSource:
    """The source with tasks of the shape that training wants."""
    queries = min(settings.queries, asked.queries)
    episode = getattr(judged, "episode", None)
    if not isinstance(episode, Episode):
        changed = replace(asked, queries=queries, ways=settings.ways or asked.ways)
        return _open(name, changed)
    ways = asked.ways
    table = getattr(judged, "table", None)
    if settings.ways is not None and isinstance(table, ImageClasses):
        ways = max(asked.ways, min(settings.ways, table.size(Split.TRAIN)))
    # A shallow copy: the images, which may be many, are held once.
    training = copy.copy(judged)
    vars(training)["episode"] = replace(episode, ways=ways, queries=queries)
    return training


def _notes(name: str, source: TaskSource) -> list[str]:
    table = getattr(source, "table", None)
    if not isinstance(table, ImageClasses):
        return []
    train, test = table.splits[Split.TRAIN], table.splits[Split.TEST]
    if bool(torch.isin(test, train).any()):
        return [
            f"The classes of '{name}' are the same in training and test, so its figures tell "
            "nothing of new classes."
        ]
    return []
