"""Probabilistic MAML (PLATIPUS): a learned distribution of starts, from which a task is sampled.

MAML's start becomes a normal distribution with a learned mean and learned variances. To adapt,
starts are drawn from it, after its mean made a step on the support, and each descends as in MAML.
Several draws are several hypotheses: they differ where the support leaves the answer open.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from metawright.learners.adapted import both
from metawright.learners.inner import check_adaptable, descend, gradient, repeated, stacked
from metawright.learners.learner import accuracy
from metawright.learners.particles import (
    Hypotheses,
    alike,
    forward_of_particles,
    log_likelihood,
)
from metawright.models.backbones import backbone
from metawright.params import Params, detached, map_params, params_of
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["Platipus", "build_platipus", "normal_divergence"]

_PARTS = ("mean", "prior_log_sd", "prior_rate", "posterior_log_sd", "posterior_rate")


def normal_divergence(
    mean: Tensor, log_sd: Tensor, other_mean: Tensor, other_log_sd: Tensor
) -> Tensor:
    r"""Kullback-Leibler divergence of two normals entry by entry, of the first from the other:

    $$\log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2 \sigma_p^2}
      - \frac12$$
    """
    squares = (2 * log_sd).exp() + (mean - other_mean).square()
    return other_log_sd - log_sd + 0.5 * squares * (-2 * other_log_sd).exp() - 0.5


class Platipus:
    r"""Learns a prior $N(\mu, \sigma^2)$ of starts by amortised variational inference.

    In training the start $\theta$ of a task comes from the posterior
    $q = N(\mu - \gamma_q \nabla L^{query}(\mu), v_q)$, in `adapt` from the prior
    $p = N(\mu - \gamma_p \nabla L^{support}(\mu), \sigma^2)$; from there it descends the support's
    loss as in MAML, to $\phi$. All of $\mu, \sigma, v_q, \gamma_p, \gamma_q$ are learned, entry by
    entry, by descending, with $N$ queries,

    $$-\frac1N \log p(D^{query} | \phi) + \frac{w}{N} KL(q \| p)$$

    With `divergence_weight` $w = 1$ this is the negative evidence bound an example; the paper
    uses other weights and tunes them. While the weight is small the posterior passes on what only
    the query tells, so it rises linearly over the first `warmup` steps and mu settles first, as
    in MAML. To begin from a MAML that is trained, give its model.

    What differs from the paper: the likelihood of numbers has a noise that is learned (or given),
    for with the plain squared error the weight of the divergence would have no meaning; and no
    bias transformation is put into the network, which is any module.

    Arguments:
        model: any module without running statistics; its weights, copied, are the first $\mu$.
        kind: classification or regression.
        inner_lr: step size of the descent from $\theta$, and the first $\gamma_p$ and $\gamma_q$.
        inner_steps, evaluation_steps: steps of that descent in training, and in `adapt` (None: as
            in training). Steps beyond those of training are made while they lower the loss.
        samples: how many starts `adapt` draws. In training a task draws one.
        divergence_weight: $w$.
        warmup: steps until the weight is reached.
        prior_sd, posterior_sd: first $\sigma$ and root of $v_q$ of every weight.
        noise: standard deviation of the noise on numbers, where it is known; None learns it.
        second_order: whether the meta-gradient goes through the inner gradients.
        tasks_at_once: how many tasks are run together; fewer need less memory.

    References:
        Probabilistic Model-Agnostic Meta-Learning, Finn, Xu and Levine, 2018,
        https://arxiv.org/abs/1806.02817
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        kind: Kind,
        inner_lr: float = 0.01,
        inner_steps: int = 5,
        evaluation_steps: int | None = None,
        samples: int = 10,
        divergence_weight: float = 1.0,
        warmup: int = 1000,
        prior_sd: float = 0.05,
        posterior_sd: float = 0.02,
        noise: float | None = None,
        second_order: bool = True,
        tasks_at_once: int = 32,
    ) -> None:
        for name, value in (
            ("inner_lr", inner_lr),
            ("inner_steps", inner_steps),
            ("samples", samples),
            ("divergence_weight", divergence_weight),
            ("warmup", warmup),
            ("prior_sd", prior_sd),
            ("posterior_sd", posterior_sd),
            ("noise", 1.0 if noise is None else noise),
            ("tasks_at_once", tasks_at_once),
        ):
            if value <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {value}.")
        check_adaptable(model)
        self.model = model
        self.kind = kind
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.samples = samples
        self.divergence_weight = divergence_weight
        self.warmup = warmup
        self.noise = noise
        self.second_order = second_order
        self.tasks_at_once = tasks_at_once
        self.forward = forward_of_particles(model)
        first = {
            "prior_log_sd": math.log(prior_sd),
            "prior_rate": inner_lr,
            "posterior_log_sd": math.log(posterior_sd),
            "posterior_rate": inner_lr,
        }
        own = detached(params_of(model))
        self.parts: dict[str, dict[str, nn.Parameter]] = {
            part: {
                name: nn.Parameter(torch.full_like(value, first[part]) if part in first else value)
                for name, value in own.items()
            }
            for part in _PARTS
        }
        self.log_noise: nn.Parameter | None = None
        if kind is Kind.REGRESSION and noise is None:
            self.log_noise = nn.Parameter(next(iter(own.values())).new_zeros(()))
        self.count = torch.zeros((), dtype=torch.int64)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Means, log standard deviations and rates of every weight, and the log of the noise."""
        for part, weights in self.parts.items():
            for name, value in weights.items():
                yield f"{part}.{name}", value
        if self.log_noise is not None:
            yield "log_noise", self.log_noise

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """How many batches were seen, on which the weight of the divergence depends."""
        yield "count", self.count

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient of the objective, one start drawn a task.

        The metrics: "loss" is the objective at the full weight, "likelihood" its first part,
        "divergence" that of a task, and "error" (squared) or "accuracy" on the queries.
        """
        self.count += 1
        weight = self.divergence_weight * min(1.0, int(self.count) / self.warmup)
        leaves = dict(self.named_parameters())
        total = map_params(torch.zeros_like, leaves)
        metrics: dict[str, float] = {}
        for group in alike(batch):
            for first in range(0, len(group), self.tasks_at_once):
                tasks = group[first : first + self.tasks_at_once]
                value, found = self._objective(tasks, weight, rng)
                grads = gradient(value, leaves)
                total = {name: value + grads[name] for name, value in total.items()}
                for name, number in found.items():
                    metrics[name] = metrics.get(name, 0.0) + number
        means = {name: value / len(batch) for name, value in metrics.items()}
        return Step(map_params(lambda value: value / len(batch), total), means)

    def adapt(self, support: Batch, rng: torch.Generator) -> Hypotheses:
        """`samples` starts drawn from the prior, after `evaluation_steps` steps on the support."""
        if torch.is_grad_enabled():
            return self._adapted(self.parts, support, rng, self.second_order)
        # The inner steps need gradients of their own, but nothing of them is kept.
        parts = {part: detached(own, requires_grad=True) for part, own in self.parts.items()}
        with torch.enable_grad():
            found = self._adapted(parts, support, rng, False)
        noise = None if found.noise is None else found.noise.detach()
        return Hypotheses(found.forward, detached(found.params), support, noise)

    def adapt_more(self, adapted: Hypotheses, support: Batch, rng: torch.Generator) -> Hypotheses:
        """The hypotheses after as many further steps on all examples seen so far; each makes a
        step only if it lowers its loss on them."""
        del rng
        seen = both(adapted.seen, support)
        examples, steps = _single(seen), self.evaluation_steps
        if torch.is_grad_enabled():
            start = repeated(adapted.params, 1)
            end = self._descend_safely(start, examples, self.second_order, steps)
        else:
            with torch.enable_grad():
                start = repeated(detached(adapted.params, requires_grad=True), 1)
                end = detached(self._descend_safely(start, examples, False, steps))
        own = map_params(lambda value: value[0], end)
        return Hypotheses(self.forward, own, seen, adapted.noise)

    def _adapted(
        self,
        parts: Mapping[str, Mapping[str, Tensor]],
        support: Batch,
        rng: torch.Generator,
        second_order: bool,
    ) -> Hypotheses:
        examples = _single(support)
        mean = _stack(parts["mean"], 1)
        middle = self._stepped(mean, examples, parts["prior_rate"], second_order)
        start = _drawn(middle, parts["prior_log_sd"], self.samples, rng)
        trained = min(self.inner_steps, self.evaluation_steps)
        end = self._descend(start, examples, second_order, steps=trained)
        more = self.evaluation_steps - trained
        end = self._descend_safely(end, examples, second_order, more)
        own = map_params(lambda value: value[0], end)
        precision = self._log_precision()
        noise = None if precision is None else torch.exp(-0.5 * precision).expand(self.samples)
        return Hypotheses(self.forward, own, support, noise)

    def _objective(
        self, tasks: Sequence[Task], weight: float, rng: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Summed over tasks of one shape."""
        support, query = stacked(tasks)
        mean = _stack(self.parts["mean"], len(tasks))
        prior = self._stepped(mean, support, self.parts["prior_rate"], self.second_order)
        posterior = self._stepped(mean, query, self.parts["posterior_rate"], self.second_order)
        spread, prior_spread = self.parts["posterior_log_sd"], self.parts["prior_log_sd"]
        start = _drawn(posterior, spread, 1, rng)
        end = self._descend(start, support, self.second_order)
        outputs = self.forward(end, query.x)
        surprise = -log_likelihood(outputs, query.labels, self._log_precision()).mean(-1).sum()
        divergence = torch.stack(
            [
                normal_divergence(posterior[name], spread[name], prior[name], other).sum()
                for name, other in prior_spread.items()
            ]
        ).sum()
        share = divergence / query.x.shape[1]
        seen, apart = surprise.detach(), share.detach()
        metrics = {
            "loss": float(seen + self.divergence_weight * apart),
            "likelihood": -float(seen),
            "divergence": float(divergence.detach()),
        }
        if self.kind is Kind.CLASSIFICATION:
            metrics["accuracy"] = accuracy(outputs.detach()[:, 0], query.labels) * len(tasks)
        else:
            squares = (outputs.detach()[:, 0] - query.labels).square()
            metrics["error"] = float(squares.mean()) * len(tasks)
        return surprise + weight * share, metrics

    def _stepped(
        self, mean: Params, examples: Batch, rates: Mapping[str, Tensor], second_order: bool
    ) -> Params:
        """The mean after a step on the examples with a rate for every entry."""
        loss = _stack_loss(self.forward(mean, examples.x), examples.labels)
        grads = gradient(loss, mean, create_graph=second_order)
        return {name: value - rates[name] * grads[name] for name, value in mean.items()}

    def _descend(
        self, start: Params, examples: Batch, second_order: bool, *, steps: int | None = None
    ) -> Params:
        return descend(
            self.forward,
            start,
            examples,
            loss=_stack_loss,
            lr=self.inner_lr,
            steps=self.inner_steps if steps is None else steps,
            second_order=second_order,
        )

    def _descend_safely(
        self, start: Params, examples: Batch, second_order: bool, steps: int
    ) -> Params:
        """Steps that training never made: a hypothesis makes one only if its loss on the examples
        falls, and else tries half of it next. Where a few tasks are steeper than the rest, their
        hypotheses would end at infinity."""
        current = start
        losses = _stack_losses(self.forward(current, examples.x), examples.labels)
        share = torch.ones_like(losses)
        for _ in range(steps):
            ends = self._descend(current, examples, second_order, steps=1)
            moved = {n: p + _each(share, p) * (ends[n] - p) for n, p in current.items()}
            after = _stack_losses(self.forward(moved, examples.x), examples.labels)
            better = after < losses  # not so where it is no number
            losses = torch.where(better, after, losses)
            share = torch.where(better, share, 0.5 * share)
            current = {n: torch.where(_each(better, p), moved[n], p) for n, p in current.items()}
        return current

    def _log_precision(self) -> Tensor | None:
        """Of the noise on numbers, a scalar; None for classes."""
        if self.kind is Kind.CLASSIFICATION:
            return None
        if self.log_noise is not None:
            return -2 * self.log_noise
        like = next(iter(self.parts["mean"].values()))
        return like.new_tensor(-2 * math.log(self.noise or 1.0))


def build_platipus(
    spec: TaskSpec, rng: torch.Generator, *, noise: float | None = None
) -> Platipus:
    """PLATIPUS over MAML's own network: two inner steps, at MAML's rate for numbers and 0.1 for
    classes. For numbers `adapt` makes five: training with all of them costs twice the time and is
    no better for it. On waves and lines, `fit` with batches of 5 tasks, a learning rate of 3e-3,
    the "cosine" schedule and gradients clipped at 10.

    A learned noise gives calibrated intervals early; the true `noise`, where it is known, makes
    the hypotheses themselves carry what is open, which shows in pictures but needs a longer
    training before the intervals are as wide as they must be.
    """
    model = backbone(spec, rng, head="mean")
    if spec.kind is Kind.CLASSIFICATION:
        return Platipus(model, kind=spec.kind, inner_lr=0.1, inner_steps=2, divergence_weight=0.1)
    return Platipus(
        model,
        kind=spec.kind,
        inner_lr=0.01,
        inner_steps=2,
        evaluation_steps=5,
        prior_sd=0.05 if noise is None else 0.1,
        posterior_sd=0.02 if noise is None else 0.05,
        noise=noise,
    )


def _single(batch: Batch) -> Batch:
    """A batch as a stack of one task."""
    return Batch(batch.x[None], batch.labels[None])


def _stack(params: Mapping[str, Tensor], tasks: int) -> Params:
    """One copy a task, (tasks, 1, *shape): the stack of particles holds one."""
    return repeated(map_params(lambda value: value[None], params), tasks)


def _drawn(
    mean: Params, log_sd: Mapping[str, Tensor], samples: int, rng: torch.Generator
) -> Params:
    """Draws of a normal for each task, (tasks, samples, *shape)."""
    found = {}
    for name, value in mean.items():
        shape = (len(value), samples, *value.shape[2:])
        noise = torch.randn(shape, generator=rng, dtype=value.dtype, device=rng.device)
        found[name] = value + log_sd[name].exp() * noise.to(value.device)
    return found


def _each(values: Tensor, weights: Tensor) -> Tensor:
    """Values (tasks, particles) that broadcast over weights (tasks, particles, *shape)."""
    return values.reshape(*values.shape, *(1,) * (weights.dim() - 2))


def _stack_losses(outputs: Tensor, answers: Tensor) -> Tensor:
    """The mean over the examples, (tasks, particles)."""
    if answers.is_floating_point():
        return (outputs - answers[:, None]).square().mean((-2, -1))
    return -log_likelihood(outputs, answers, None).mean(-1)


def _stack_loss(outputs: Tensor, answers: Tensor) -> Tensor:
    """The mean over the examples, summed over tasks and particles."""
    return _stack_losses(outputs, answers).sum()
