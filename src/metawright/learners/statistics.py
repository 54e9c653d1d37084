"""What a learner does about the statistics of normalisation: the policy, from training to use.

Within training, layers normalise with the batch at hand, and policies that need running averages
record it. When a task is adapted to, the policy says what each pass is given.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from metawright.learners.inner import Forward
from metawright.models.normalisation import (
    MOMENTUM,
    AdaptableNorm,
    Given,
    Key,
    Moments,
    Normalised,
    Policy,
    Seen,
    check_policy,
    normalising,
    seen_by,
)
from metawright.params import Params

__all__ = ["Recording", "RunningMoments", "Statistics"]


class RunningMoments:
    """Exponential averages of statistics, as `nn.BatchNorm2d` keeps them, in several slots.

    Arguments:
        model: the network whose layers (`Normalised`) are followed.
        slots: how many averages a layer has: one for each number of inner steps, or one.
        momentum: weight of the newest statistics.
    """

    def __init__(self, model: nn.Module, *, slots: int = 1, momentum: float = MOMENTUM) -> None:
        self.momentum = momentum
        self.names: dict[Key, str] = {}
        self.means: dict[str, Tensor] = {}
        self.variances: dict[str, Tensor] = {}
        like = next(model.parameters())
        for name, module in model.named_modules():
            sizes = module.normalised if isinstance(module, Normalised) else ()
            for index, channels in enumerate(sizes):
                own = f"{name}.{index}".lstrip(".")
                self.names[module, index] = own
                mean, variance = like.new_zeros(channels), like.new_ones(channels)
                if isinstance(module, AdaptableNorm):
                    mean = module.get_buffer("running_mean").detach()
                    variance = module.get_buffer("running_var").detach()
                self.means[own] = mean.repeat(slots, 1)
                self.variances[own] = variance.repeat(slots, 1)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The averages, each (slots, channels)."""
        yield from ((f"running_mean.{name}", value) for name, value in self.means.items())
        yield from ((f"running_variance.{name}", value) for name, value in self.variances.items())

    def at(self, slot: int) -> Given:
        """Copies of the averages of a slot, to normalise with."""
        return {
            key: [Moments(self.means[name][slot].clone(), self.variances[name][slot].clone(), 0)]
            for key, name in self.names.items()
        }

    def update(self, slot: int, seen: Sequence[Seen]) -> None:
        """Moves the averages of a slot to the mean of what was seen, over tasks and calls."""
        for key, name in self.names.items():
            several = [moments for one in seen for moments in one.get(key, ())]
            if several:
                self._move(self.means[name][slot], [one.mean for one in several])
                self._move(self.variances[name][slot], [_unbiased(one) for one in several])

    def _move(self, average: Tensor, values: Sequence[Tensor]) -> None:
        mean = torch.cat([value.detach().reshape(-1, len(average)) for value in values]).mean(0)
        average.lerp_(mean.to(average), self.momentum)


def _unbiased(moments: Moments) -> Tensor:
    return moments.variance * (moments.values / max(1, moments.values - 1))


class Recording:
    """What layers see while a learner is trained: by task, number of inner steps, and side.

    A pass that is made again on the way back (checkpointed steps) takes the place of the first.
    """

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.tasks: list[dict[tuple[int, str], Seen]] = []

    def begin(self) -> None:
        """The next task, or stack of tasks."""
        self.tasks.append({})

    def passing(self, step: int, side: str) -> AbstractContextManager[None]:
        """To be entered around the pass of `side` after `step` inner steps."""
        if not self.on:
            return nullcontext()
        seen = self.tasks[-1][step, side] = {}
        return normalising(seen=seen, detached=True)

    def support(self, step: int) -> AbstractContextManager[None]:
        """Around the pass of inner step `step`: what `descend` takes as `around`."""
        return self.passing(step, "support")


class Statistics:
    """A normalisation policy at work in one learner.

    Arguments:
        policy: its name.
        model: the network, whose layers the running averages follow.
        steps: inner steps in training; `per-step` keeps averages for 0 .. steps of them.
    """

    def __init__(self, policy: Policy, model: nn.Module, *, steps: int) -> None:
        check_policy(policy)
        self.policy = policy
        slots = steps + 1 if policy == "per-step" else 1
        averaged = policy in ("per-step", "running")
        self.running = RunningMoments(model, slots=slots) if averaged else None
        self.slots = slots

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The running averages, where the policy keeps any."""
        if self.running is not None:
            yield from self.running.named_buffers()

    def recording(self) -> Recording:
        """Where the passes of one batch of tasks are to be recorded."""
        return Recording(on=self.running is not None)

    def absorb(self, recording: Recording) -> None:
        """Moves the running averages by what one batch of tasks has shown."""
        if self.running is None:
            return
        slots: dict[int, list[Seen]] = {}
        for task in recording.tasks:
            for (step, _), seen in task.items():
                slots.setdefault(self._slot(step), []).append(seen)
        for slot, several in slots.items():
            self.running.update(slot, several)

    def adapting(self, step: int) -> AbstractContextManager[None]:
        """To be entered around the pass of inner step `step` when a task is adapted to."""
        return nullcontext() if self.running is None else normalising(given=self._average(step))

    def for_query(
        self, forward: Forward, params: Params, support: Tensor, step: int
    ) -> Given | None:
        """What queries are normalised with after `step` inner steps; None for their own batch."""
        if self.policy == "support":
            return self.of_support(forward, params, support)
        return None if self.running is None else self._average(step)

    def of_support(self, forward: Forward, params: Params, support: Tensor) -> Given:
        """The statistics of the support under `params`; differentiable in them."""
        return seen_by(lambda: forward(params, support))

    def _average(self, step: int) -> Given:
        assert self.running is not None
        return self.running.at(self._slot(step))

    def _slot(self, step: int) -> int:
        return min(step, self.slots - 1)
