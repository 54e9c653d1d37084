"""Several sources in one stream of tasks."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from metawright.errors import InputError
from metawright.tasks.classes import ImageClasses
from metawright.tasks.resize import check_form, resized
from metawright.tasks.task import Batch, Split, Task, TaskSource

__all__ = ["Mixture"]


class Mixture:
    """Tasks drawn from several sources, each with its own share.

    With `META_DATASET` for each source (ways from 5 to 50, shots that follow the sizes of the
    classes) and equal shares, tasks are drawn as Meta-Dataset draws them. A task's spec names the
    source that it came from. A source without classes in a split (an unseen one, `splits="test"`)
    gives no task of that split; the others share its part.

    Arguments:
        sources: where tasks come from; each task comes whole from one of them.
        weights: relative shares (default: equal).
        size, channels: sides and channels to which images are brought, so that tasks of different
            sources can be run through one network; None leaves each as its source gives it.

    References:
        Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples, Triantafillou
        et al., 2019, https://arxiv.org/abs/1903.03096

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.tasks import META_DATASET, Glyphs, Mixture, Split
        >>> mixed = Mixture([Glyphs(**META_DATASET)], size=32, channels=3)
        >>> task = mixed.draw(Split.TRAIN, stream(0))
        >>> task.spec.source, task.spec.features, 5 <= task.spec.outputs <= 50
        ('glyphs', (3, 32, 32), True)
    """

    name = "mixture"

    def __init__(
        self,
        sources: Sequence[TaskSource],
        *,
        weights: Sequence[float] | None = None,
        size: int | None = None,
        channels: int | None = None,
    ) -> None:
        if not sources:
            raise InputError("A mixture needs at least one source, but got none.")
        shares = torch.tensor(list(weights) if weights is not None else [1.0] * len(sources))
        usable = bool((shares >= 0).all()) and 0 < float(shares.sum()) < math.inf
        if len(shares) != len(sources) or not usable:
            raise InputError(
                "`weights` must hold one number >= 0 a source, not all 0, but got "
                f"{weights} for {len(sources)} sources."
            )
        check_form(1 if size is None else size, 1 if channels is None else channels)
        self.sources = tuple(sources)
        self.weights = shares / shares.sum()
        self.size, self.channels = size, channels

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of one of the sources."""
        present = torch.tensor([_has_classes(source, split) for source in self.sources])
        weights = self.weights * present
        if not bool(weights.any()):
            raise InputError(
                f"None of the mixed sources has classes in its {split} part: add one that has."
            )
        index = int(torch.multinomial(weights, 1, generator=rng))
        return self._formed(self.sources[index].draw(split, rng))

    def _formed(self, task: Task) -> Task:
        """The task with its images at the mixture's size and channels."""
        spec = task.spec
        if len(spec.features) != 3 or (self.size is None and self.channels is None):
            return task
        channels, height, width = spec.features
        size, channels = self.size or max(height, width), self.channels or channels

        def form(batch: Batch) -> Batch:
            return Batch(resized(batch.x, channels=channels, size=size), batch.y)

        spec = replace(
            spec,
            features=(channels, size, size),
            native_size=spec.native_size or max(height, width),
        )
        return Task(form(task.support), form(task.query), spec)


def _has_classes(source: TaskSource, split: Split) -> bool:
    """Whether the source can give tasks of `split`; one without a table of classes always can."""
    table = getattr(source, "table", None)
    return not isinstance(table, ImageClasses) or table.size(split) > 0
