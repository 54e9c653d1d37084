"""Networks with two kinds of parameters: shared ones, and those of a task.

Only meta-training moves the shared parameters. Those of a task start afresh with every task, at a
start that is meta-learned or fixed, and adapt to it; a task is then known by these few numbers.
Which parameters are which is said by name, so that one learner is CAVIA (a context vector), FiLM
(a scale and shift for every channel), ANIL (the head) or MAML (all of them).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from metawright.learners.adapted import Adapted
from metawright.learners.inner import Forward
from metawright.learners.maml import MAML
from metawright.learners.relatives import head_of
from metawright.models.backbones import ConvNet
from metawright.models.modulation import context_network, film_network
from metawright.models.normalisation import AdaptableNorm
from metawright.params import Params, params_of
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["TaskParameters", "Which", "build_cavia", "build_film", "task_names"]

Which = str | Sequence[str] | Callable[[str], bool]
"""Which parameters are a task's: a kind ("context", "modulation" or "head"), a pattern of names
such as "layer4.*", several of both, or a function that says so of a name."""

Start = Literal["learned", "fixed"]


class TaskParameters:
    r"""Learns shared parameters $\theta$ with which a few steps on a task's own parameters
    $\phi$ solve it, by descending

    $$\sum_i L_i^{query}(\theta, \phi_i), \quad
    \phi_i = \phi_0 - \alpha \nabla_\phi L_i^{support}(\theta, \phi_0)$$

    Arguments:
        model: any module that `MAML` takes. Where it can run a stack of tasks (`TaskBatched`),
            many are adapted to at once, each with its own task parameters.
        task: which of its parameters are $\phi$: see `Which`.
        start: $\phi_0$ is what the model has now, and is "learned" like the shared parameters or
            stays "fixed". None: fixed for "context", where all that could be learned is in the
            shared parameters already, else learned.
        inner_lr: $\alpha$. A few numbers bear a larger one than a whole network does.
        inner_steps: steps of adaptation in training.
        evaluation_steps: steps in `adapt` and `adapt_more`; None for as many as in training.
        second_order: whether the meta-gradient goes through the inner gradients.
        settings: whatever else `MAML` takes, such as `loss`, `rates`, `optimiser`, `batching`
            and `normalisation`.

    References:
        Fast Context Adaptation via Meta-Learning, Zintgraf et al., 2019,
        https://arxiv.org/abs/1810.03642 (context). Rapid Learning or Feature Reuse? Towards
        Understanding the Effectiveness of MAML, Raghu et al., 2020,
        https://arxiv.org/abs/1909.09157 (head).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from metawright.learners.task_parameters import TaskParameters
        >>> from metawright.params import count
        >>> from metawright.rng import stream
        >>> from metawright.tasks import Batch
        >>> body = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> learner = TaskParameters(body, task="head", inner_lr=0.1)
        >>> support = Batch(torch.randn(6, 2), torch.arange(6) % 3)
        >>> adapted = learner.adapt(support, stream(0))
        >>> sorted(adapted.params), count(adapted.params)
        (['2.bias', '2.weight'], 27)
        >>> later = learner.adapt_more(adapted, Batch(torch.randn(1, 2), torch.zeros(1).long()),
        ...                            stream(1))
        >>> len(later.seen.x), later(torch.randn(4, 2)).shape
        (7, torch.Size([4, 3]))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        task: Which = "context",
        start: Start | None = None,
        inner_lr: float = 1.0,
        inner_steps: int = 1,
        evaluation_steps: int | None = None,
        second_order: bool = True,
        **settings: Any,
    ) -> None:
        if start not in (None, "learned", "fixed"):
            raise ValueError(f"`start` must be 'learned', 'fixed' or None, but got {start!r}.")
        self.model = model
        self.task_names = task_names(model, task)
        fixed = start == "fixed" or (start is None and task == "context")
        if fixed and len(self.task_names) == len(params_of(model)):
            raise ValueError("With a fixed start something must be shared, but `task` names all.")
        self.fixed = frozenset(self.task_names if fixed else ())
        self.inner_lr, self.inner_steps = inner_lr, inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.second_order = second_order
        self._maml = MAML(
            model,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            second_order=second_order,
            adapts=frozenset(self.task_names).__contains__,
            **settings,
        )

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What is meta-learned: the shared parameters, the start of a task's if it is learned, and
        the inner rates if they are ("inner_lr.NAME")."""
        for name, value in self._maml.named_parameters():
            if name not in self.fixed:
                yield name, value

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The start of a task's parameters where it is fixed, and running statistics."""
        for name, value in self.model.named_parameters():
            if name in self.fixed:
                yield name, value.detach()
        yield from self._maml.named_buffers()

    def train_on_task(self, task: Task, rng: torch.Generator) -> Step:
        """One task's meta-gradient: its parameters are adapted from their start on its support,
        and the query loss there is derived by what is meta-learned.

        Nothing moves: the mean over some tasks is `gradients`, and `fit` makes the step.
        """
        return self.gradients([task], rng)

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient of the tasks' query losses, at `inner_steps` steps.

        Raises:
            MetawrightError: a loss is not finite; says at which task and inner step.
        """
        step = self._set().gradients(batch, rng)
        grads = {name: grad for name, grad in step.grads.items() if name not in self.fixed}
        return Step(grads, step.metrics)

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        """The task's parameters after `evaluation_steps` steps on the support.

        Its `params` are the task's alone: with the examples seen, all that must be kept of it.
        """
        return self._own(self._set().adapt(support, rng))

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        """The same task after more examples of it: `evaluation_steps` further steps from where
        its parameters are, on all examples seen so far.

        The shared parameters are those of the time when the task was first met, or resumed.
        """
        shared = adapted.forward
        if not isinstance(shared, _Shared):
            raise TypeError("`adapted` must come from `adapt`, `adapt_more` or `resume` of this.")
        whole = replace(
            adapted, forward=shared.forward, params={**shared.params, **adapted.params}
        )
        return self._own(self._set().adapt_more(whole, support, rng))

    def resume(
        self, params: Mapping[str, Tensor], seen: Batch, *, steps: int | None = None
    ) -> Adapted:
        """An adapted task from what was kept of it, with the shared parameters of now.

        Arguments:
            params: the task's parameters, as `adapt` gave them.
            seen: the examples seen so far.
            steps: inner steps made so far; None for `evaluation_steps`.

        Raises:
            ValueError: `params` are not this learner's task parameters.
        """
        if set(params) != set(self.task_names):
            raise ValueError(
                f"`params` must hold {sorted(self.task_names)}, but got {sorted(params)}."
            )
        made = self.evaluation_steps if steps is None else steps
        maml = self._set(evaluation_steps=0)
        start = maml.adapt(seen, torch.Generator())
        whole = {**start.params, **params}
        given = maml.statistics.for_query(start.forward, whole, seen.x, made)
        return self._own(replace(start, params=whole, given=given, steps=made))

    def _set(self, *, evaluation_steps: int | None = None) -> MAML:
        """What does the work, with the settings of now: they may be changed between two uses."""
        maml = self._maml
        maml.inner_lr, maml.inner_steps = self.inner_lr, self.inner_steps
        maml.evaluation_steps = (
            self.evaluation_steps if evaluation_steps is None else evaluation_steps
        )
        maml.second_order = self.second_order
        return maml

    def _own(self, whole: Adapted) -> Adapted:
        """The same with the task's parameters alone; the shared ones go into the function."""
        own = {name: whole.params[name] for name in self.task_names}
        shared = {name: value for name, value in whole.params.items() if name not in own}
        return replace(whole, forward=_Shared(whole.forward, shared), params=own)


@dataclass(frozen=True)
class _Shared:
    """A model as a function of a task's parameters alone."""

    forward: Forward
    params: Params

    def __call__(self, own: Params, x: Tensor) -> Tensor:
        return self.forward({**self.params, **own}, x)


def task_names(model: nn.Module, which: Which) -> tuple[str, ...]:
    """Names of the parameters that are a task's, in the model's order.

    "context": those called `context`. "modulation": the scales and shifts of `models.modulation`,
    or else those of the normalising layers. "head": the last matrix and what comes after it.

    Raises:
        ValueError: a part of `which` names no parameter of the model.
    """
    own = params_of(model)
    if callable(which):
        chosen = {name for name in own if which(name)}
        parts: Sequence[str] = [] if chosen else ["the function given"]
    else:
        parts = [which] if isinstance(which, str) else list(which)
        found = {part: _named(model, own, part) for part in parts}
        chosen = set().union(*found.values())
        parts = [part for part, names in found.items() if not names]
    if parts or not chosen:
        raise ValueError(
            f"`task` must name parameters of the model, but {', '.join(parts) or 'nothing'} "
            f"names none of {list(own)}."
        )
    return tuple(name for name in own if name in chosen)


def build_cavia(spec: TaskSpec, rng: torch.Generator, **settings: Any) -> TaskParameters:
    """CAVIA with the paper's settings: a context of 5 beside the input and one step for numbers,
    of 100 for scales and shifts and two steps for images; inner rate 1 for both.

    Arguments:
        settings: of `TaskParameters`, in place of these.
    """
    own = {"inner_steps": 2 if spec.kind is Kind.CLASSIFICATION else 1}
    return TaskParameters(context_network(spec, rng), task="context", **own | settings)


def build_film(spec: TaskSpec, rng: torch.Generator, **settings: Any) -> TaskParameters:
    """A scale and shift for every channel, on the network of the MAML paper, with the steps and
    rates of `build_cavia`; but for numbers the rate is 0.1.

    Arguments:
        settings: of `TaskParameters`, in place of these.
    """
    classes = spec.kind is Kind.CLASSIFICATION
    own = {"inner_lr": 1.0 if classes else 0.1, "inner_steps": 2 if classes else 1}
    return TaskParameters(film_network(spec, rng), task="modulation", **own | settings)


def _named(model: nn.Module, own: Params, part: str) -> set[str]:
    if part == "context":
        return {name for name in own if name.rpartition(".")[2] == "context"}
    if part == "modulation":
        return {name for name in own if "modulation." in name} or _of_normalisation(model)
    if part == "head":
        return set(filter(head_of(model), own))
    return {name for name in own if fnmatchcase(name, part)}


def _of_normalisation(model: nn.Module) -> set[str]:
    """Scales and shifts of the normalising layers, torch's and ours."""
    kinds = (
        nn.modules.batchnorm._NormBase,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.RMSNorm,
        AdaptableNorm,
    )
    names = set()
    for prefix, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(recurse=False)]
        if isinstance(module, ConvNet):
            own = [name for name in own if name.startswith(("scale", "shift"))]
        elif not isinstance(module, kinds):
            continue
        names |= {f"{prefix}.{name}".lstrip(".") for name in own}
    return names
