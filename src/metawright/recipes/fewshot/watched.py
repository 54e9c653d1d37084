"""A learner that notes on which task its numbers exploded."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from metawright.errors import MetawrightError
from metawright.learners import Learner
from metawright.params import global_norm
from metawright.tasks.task import Task
from metawright.training.checkpoint import buffers_of
from metawright.training.trainable import Step

__all__ = ["Watched"]


class Watched:
    """For the loop it is the learner itself.

    Arguments:
        learner: what is trained.

    After a step with a number that is not finite, `broken` says on which task and which number;
    the learner's buffers are those from before that step.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.broken: str | None = None

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The learner's."""
        return self.learner.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The learner's, if it has any."""
        yield from buffers_of(self.learner).items()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """The learner's; a broken step leaves its buffers as they were."""
        before = {name: value.clone() for name, value in self.named_buffers()}
        state = rng.get_state()
        try:
            step = self.learner.gradients(batch, rng)
        except MetawrightError as error:  # a learner may find out by itself, and tell more
            self._restore(before)
            self.broken = f": {str(error).partition('. ')[0]}"
            raise
        if numbers := _broken_numbers(step):
            self._restore(before)
            blamed = self._blame(batch, rng, state, before)
            self.broken = f" on {blamed}: {', '.join(numbers)}"
        return step

    def _blame(
        self,
        batch: Sequence[Task],
        rng: torch.Generator,
        state: Tensor,
        before: Mapping[str, Tensor],
    ) -> str:
        for number, task in enumerate(batch, 1):
            rng.set_state(state)
            broken = self._breaks(task, rng)
            self._restore(before)
            if broken:
                spec = task.spec
                classes = f": {', '.join(spec.classes[:5])}" if spec.classes else ""
                return f"task {number} of {len(batch)} ('{spec.source}'{classes})"
        return f"a batch of {len(batch)} tasks, each of which is sound alone"

    def _breaks(self, task: Task, rng: torch.Generator) -> bool:
        try:
            return bool(_broken_numbers(self.learner.gradients([task], rng)))
        except MetawrightError:
            return True

    def _restore(self, before: Mapping[str, Tensor]) -> None:
        for name, value in self.named_buffers():
            value.copy_(before[name])


def _broken_numbers(step: Step) -> list[str]:
    """Names and values of what is no finite number."""
    norm = float(global_norm(step.grads.values())) if step.grads else 0.0
    numbers = {**step.metrics, "the gradient's norm": norm}
    return [f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value)]
