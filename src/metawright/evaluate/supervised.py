"""Trains a design on a task's support and judges it on its query: the evaluator of real training.

Networks of the named spaces, of a user's own and of a changed existing one are trained by the one
loop; classical pipelines are fitted by scikit-learn. Same seed, same scores, on one thread.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.errors import InputError, MetawrightError
from metawright.evaluate.classical import judge_pipeline
from metawright.evaluate.costs import costs
from metawright.evaluate.epochs import Batches, Epochs, OutOfTimeError
from metawright.evaluate.evaluating import predictions
from metawright.evaluate.evaluator import Evaluation, check_fidelity
from metawright.evaluate.scores import scores_of
from metawright.evaluate.training_plan import TrainingPlan, training_plan
from metawright.models.architectures import build_network, network_blueprint
from metawright.models.task_inputs import form, set_scales
from metawright.params import Params
from metawright.rng import global_draws, stream
from metawright.spaces import SPACES, TRAINABLE
from metawright.spaces.design import Design
from metawright.spaces.draw import sample
from metawright.spaces.pipelines import pipelines
from metawright.spaces.points import check
from metawright.spaces.space import Record, Space
from metawright.tasks.augment import augmented
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.fit import fit
from metawright.training.trainable import Step

__all__ = ["Builder", "Supervised", "fits", "usual_epochs"]

Builder = Callable[[Design, TaskSpec], nn.Module]
"""From a design of a space of one's own to a module that gives logits or targets."""

_EXAMPLES = 20_000  # that training sees by default, besides two rounds of all


def usual_epochs(examples: int) -> int:
    """Epochs by default: at least 2, more where there are few examples, at most 60."""
    return min(60, 2 + _EXAMPLES // max(1, examples))


def fits(space: str, spec: TaskSpec) -> str | None:
    """Why the designs of a space cannot learn such a task, in a sentence; None where they can."""
    if space not in TRAINABLE:
        return (
            f"The spaces {', '.join(TRAINABLE)} can be trained on data, but '{space}' cannot: "
            "choose one of these."
        )
    try:
        form(spec)
        if space != "pipelines":
            network_blueprint(space, sample(SPACES[space](), stream(0, "fits")), spec)
    except InputError as error:
        return str(error)
    return None


@final
class Supervised:
    """The worth of designs on one task, by training each of them.

    Scores are of the query: `accuracy` and `log_loss` for classes, `r2` and `rmse` for numbers.
    Cost: see `metawright.evaluate.costs`, and `seconds` of the whole trial. Evidence: `fidelity`,
    `epochs` done, `curve` (mean loss of each epoch), and `stopped` where time ran out.

    Arguments:
        task: what to learn (support) and to be judged on (query).
        space: name of a trainable space, or a record of one's own with `build`.
        build: from a design and the task's spec to a module; at the top of a file, where designs
            are tried in several processes.
        epochs: over the support at full fidelity (default: `usual_epochs`).
        max_seconds: training ends after so long, wherever it stands.
        clip: longest gradient; longer ones are shortened.
        measure_latency, measure_energy: whether to measure these too.

    Raises:
        InputError: the space does not fit the task, or the task has nothing to be judged on.

    Example:
        >>> from torch import nn
        >>> from metawright.evaluate.supervised import Supervised
        >>> from metawright.rng import stream
        >>> from metawright.spaces import Design, Integer, Real, Record
        >>> from metawright.tasks.digits import Digits
        >>> from metawright.tasks.task import Split
        >>> space = Record({
        ...     "width": Integer(8, 64, log=True),
        ...     "training": Record({"lr": Real(1e-3, 0.1, log=True)}),
        ... })
        >>> def build(design, spec):
        ...     layers = nn.Linear(64, design["width"]), nn.ReLU()
        ...     return nn.Sequential(nn.Flatten(), *layers, nn.Linear(design["width"], 10))
        >>> task = Digits(shots=20).draw(Split.TRAIN, stream(0))
        >>> judge = Supervised(task, space, build=build, epochs=3)
        >>> found = judge(Design({"width": 32, "training": {"lr": 0.01}}))
        >>> found.scores["accuracy"] > 0.6, found.cost["parameters"]
        (True, 2410.0)
    """

    def __init__(
        self,
        task: Task,
        space: str | Record,
        *,
        build: Builder | None = None,
        epochs: int | None = None,
        max_seconds: float | None = None,
        clip: float | None = 5.0,
        measure_latency: bool = False,
        measure_energy: bool = False,
    ) -> None:
        self.task = task
        self.name = space if isinstance(space, str) else None
        self.space: Space = _space(space, task.spec, build)
        self.build = build
        self.epochs = usual_epochs(len(task.support.x)) if epochs is None else epochs
        self.max_seconds, self.clip = max_seconds, clip
        self.measure_latency, self.measure_energy = measure_latency, measure_energy
        if self.epochs < 1:
            raise InputError(f"`epochs >= 1` must hold, but got (epochs={epochs}).")
        if max_seconds is not None and max_seconds <= 0:
            raise InputError(f"`max_seconds > 0` must hold, but got {max_seconds}.")
        for part, batch in (("support", task.support), ("query", task.query)):
            if not len(batch.x) or batch.y is None:
                raise InputError(
                    f"The task's {part} must have examples with answers to try designs on, but "
                    f"has {len(batch.x)} examples."
                )

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """Trains `design` afresh and judges it; see `Evaluator`.

        Raises:
            MetawrightError: training diverged.
            InputError: the design is not in the space, or `fidelity` no share.
        """
        check_fidelity(fidelity)
        check(self.space, design)
        began = time.perf_counter()
        if self.name == "pipelines":
            found = judge_pipeline(self.task, design, fidelity=fidelity, seed=seed)
        else:
            found = self._judge_network(design, fidelity, seed)
        seconds = {"seconds": time.perf_counter() - began}
        return found._replace(cost={**found.cost, **seconds})

    def module(self, design: Design, seed: int = 0) -> nn.Module:
        """The network of a design before training; load `Evaluation.params` into it for after."""
        rng = stream(seed, "weights")
        if self.name is not None:
            return build_network(self.name, design, self.task.spec, rng)
        assert self.build is not None
        with global_draws(rng):
            return self.build(design, self.task.spec)

    def _judge_network(self, design: Design, fidelity: float, seed: int) -> Evaluation:
        support, query, spec = self.task
        module = _laid_out(self.module(design, seed).to(support.x.device))
        set_scales(module, support)
        trained = self._train(module, training_plan(design), fidelity, seed)
        scores = scores_of(predictions(module, _channels_last(query.x)), query.labels, spec)
        price = costs(
            module,
            spec,
            measure_latency=self.measure_latency,
            measure_energy=self.measure_energy,
        )
        params = {name: v.detach().clone() for name, v in module.state_dict().items()}
        return Evaluation(scores, price, {"fidelity": fidelity, **trained}, params)

    def _train(
        self, module: nn.Module, plan: TrainingPlan, fidelity: float, seed: int
    ) -> dict[str, Any]:
        """Trains in place; the evidence of it."""
        support, _, spec = self.task
        batches = Batches(support, min(plan.batch_size, len(support.x)))
        steps = max(1, round(self.epochs * fidelity * batches.count))
        epochs = Epochs(batches.count, self.max_seconds)
        module.train()
        try:
            fit(
                _Supervision(module, spec, plan, _unit(support, spec)),
                batches,
                steps=steps,
                rng=stream(seed, "training"),
                optimiser=plan.optimiser,
                lr=plan.lr,
                momentum=plan.momentum,
                schedule=plan.schedule,
                warmup=min(steps // 20, 100),
                weight_decay=plan.weight_decay,
                clip=self.clip,
                on_step=epochs,
            )
        except OutOfTimeError:
            share = f"{epochs.steps} of {steps} steps"
            return epochs.told() | {"stopped": f"After {self.max_seconds:g} s: {share}."}
        return epochs.told()


def _space(space: str | Record, spec: TaskSpec, build: Builder | None) -> Record:
    if not isinstance(space, str):
        if build is None:
            raise InputError(
                "A space of one's own needs `build`, a function from (design, spec) to a module."
            )
        return space
    if build is not None:
        raise InputError(f"The space '{space}' builds its own networks: leave `build` out.")
    reason = fits(space, spec)
    if reason is not None:
        raise InputError(reason)
    if space == "pipelines":
        return pipelines(regression=spec.kind is Kind.REGRESSION)
    return SPACES[space]()


class _Supervision(NamedTuple):
    """A network with its loss, as the loop wants it."""

    network: nn.Module
    spec: TaskSpec
    plan: TrainingPlan
    unit: Tensor | None

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The network's own."""
        return self.network.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The network's running statistics, if it has any."""
        return self.network.named_buffers()

    def gradients(self, batch: Batch, rng: torch.Generator) -> Step:
        """Of the mean loss; parameters that the answer does not hang on are left out."""
        x = augmented(batch.x, self.spec, self.plan.augmentation, rng)
        with global_draws(rng):  # dropout
            answers = self.network(_channels_last(x))
        loss = self._loss(answers, batch.labels)
        params = {name: p for name, p in self.named_parameters() if p.requires_grad}
        if not loss.requires_grad:
            raise MetawrightError("The network's answer does not hang on any of its parameters.")
        grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
        found: Params = {
            name: grad for name, grad in zip(params, grads, strict=True) if grad is not None
        }
        return Step(found, {"loss": float(loss.detach())})

    def _loss(self, answers: Tensor, labels: Tensor) -> Tensor:
        if self.unit is None:
            return F.cross_entropy(answers, labels, label_smoothing=self.plan.label_smoothing)
        targets = labels.reshape(answers.shape).to(answers.dtype)
        return F.mse_loss(answers / self.unit, targets / self.unit)


def _unit(support: Batch, spec: TaskSpec) -> Tensor | None:
    """The deviation of each target, so that learning rates mean the same for any data."""
    if spec.kind is Kind.CLASSIFICATION:
        return None
    deviation = support.labels.flatten(1).float().std(0, correction=0)
    return torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def _laid_out(module: nn.Module) -> nn.Module:
    """The module with kernels laid out by channels last, which is faster on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
