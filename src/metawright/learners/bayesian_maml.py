"""Bayesian MAML: several starts, whose adaptation samples the posterior of a task.

MAML learns one start and ends at one answer. Here a set of particles is moved on the support by
Stein variational gradient descent, so that they end as samples of the task's posterior and differ
where the support leaves the answer open.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from metawright.learners.adapted import both
from metawright.learners.inner import check_adaptable, gradient, repeated, stacked
from metawright.learners.learner import accuracy
from metawright.learners.particles import (
    Hypotheses,
    alike,
    forward_of_particles,
    log_likelihood,
    svgd_direction_of,
)
from metawright.learners.relatives import head_of
from metawright.models.backbones import backbone
from metawright.params import Params, detached, map_params, params_of
from metawright.rng import fork
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["BayesianMAML", "Objective", "build_bayesian_maml"]

Objective = Literal["chaser", "likelihood"]
_PRECISION = "log_precision"


class BayesianMAML:
    r"""Learns the particles $\Theta_0$ from which Stein variational gradient descent starts.

    Adaptation makes `inner_steps` steps with the score $\nabla \log p(D^{support} | \theta)$.
    The objective is one of

    - "chaser": $\sum_m \|\theta^m_n - \theta^m_{n+s}\|^2$, the distance to where the same
      particles get by $s$ (`leader_steps`) further steps on support and query together. The
      leader counts as a constant, or the objective would be met by particles that never move.
    - "likelihood": $-\log \frac1M \sum_m p(y | x, \theta^m_n)$, the mean over the queries: MAML's
      objective for the mixture of the particles. (The paper mixes whole query sets, where the one
      particle that fits a set best takes all of the gradient.)

    What differs from the paper: a step is divided by the number of examples that it sees, so that
    one `inner_lr` serves any number of shots (the posterior that the steps approach stays the
    same); the weights have a flat prior, as MAML's start is prior enough; the log precision of the
    noise is a part of the particle, as there, under a gamma prior, but the weights' own precision
    is not. The steps of the weights are divided by the precision that they begin with: a kernel
    of matrices with the same posterior, without which nothing adapts while errors are large and
    everything diverges once they are small.

    Arguments:
        models: one module a particle, alike but for their weights, without running statistics.
            Their weights are copied; the first one is what runs. Two or more.
        kind: classification, or regression with noise whose precision every particle learns.
        inner_lr: step size of Stein variational gradient descent. A particle's own score counts
            for about two over the number of particles.
        inner_steps, evaluation_steps: steps of adaptation in training, and in `adapt` (None: as in
            training).
        objective: see above.
        leader_steps: how many steps the leader is ahead.
        leader_lr: its step size (None: as `inner_lr`).
        shared: beginnings of the names of weights that all particles share, such as a feature
            extractor's. They descend the particles' mean loss and are not repelled.
        second_order: whether the meta-gradient goes through the inner gradients.
        precision: $\gamma$ of the noise at the start, one over its variance.
        precision_prior: shape and rate of the gamma prior on $\gamma$.
        tasks_at_once: how many tasks are run together; fewer need less memory.

    References:
        Bayesian Model-Agnostic Meta-Learning, Yoon, Kim, Dia, Kim, Bengio and Ahn, 2018,
        https://arxiv.org/abs/1806.03836
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        *,
        kind: Kind,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        evaluation_steps: int | None = None,
        objective: Objective = "chaser",
        leader_steps: int = 1,
        leader_lr: float | None = None,
        shared: Sequence[str] = (),
        second_order: bool = True,
        precision: float = 1.0,
        precision_prior: tuple[float, float] = (2.0, 0.2),
        tasks_at_once: int = 32,
    ) -> None:
        if len(models) < 2:
            raise ValueError(f"`models` must hold two or more, but got {len(models)}.")
        for name, value in (
            ("inner_lr", inner_lr),
            ("inner_steps", inner_steps),
            ("leader_steps", leader_steps),
            ("precision", precision),
            ("tasks_at_once", tasks_at_once),
        ):
            if value <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {value}.")
        if objective not in ("chaser", "likelihood"):
            raise ValueError(
                f"`objective` must be 'chaser' or 'likelihood', but got {objective!r}."
            )
        check_adaptable(models[0])
        self.model = models[0]
        self.kind = kind
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.objective: Objective = objective
        self.leader_steps = leader_steps
        self.leader_lr = inner_lr if leader_lr is None else leader_lr
        self.second_order = second_order
        self.precision_prior = precision_prior
        self.tasks_at_once = tasks_at_once
        self.forward = forward_of_particles(self.model)
        self.particles = _piled(models, tuple(shared))
        if kind is Kind.REGRESSION:
            start = next(iter(self.particles.values())).new_full(
                (len(models),), math.log(precision)
            )
            self.particles[_PRECISION] = nn.Parameter(start)
        self._shared = {n for n in self.particles if n.startswith(tuple(shared))}

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The particles, each weight (particles, *shape), or (1, *shape) where it is shared."""
        yield from self.particles.items()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient of the objective; the metrics hold the mean prediction's error too.

        "loss" is the objective; "error" the squared error (or "accuracy" the accuracy) on the
        queries of the mean over the particles.
        """
        del rng  # nothing is drawn: the particles are what differs
        start: Params = dict(self.particles)
        total = map_params(torch.zeros_like, start)
        metrics: dict[str, float] = {}
        for group in alike(batch):
            for first in range(0, len(group), self.tasks_at_once):
                tasks = group[first : first + self.tasks_at_once]
                grads, found = self._group_gradients(start, tasks)
                total = {name: value + grads[name] for name, value in total.items()}
                for name, value in found.items():
                    metrics[name] = metrics.get(name, 0.0) + value
        means = {name: value / len(batch) for name, value in metrics.items()}
        return Step(map_params(lambda value: value / len(batch), total), means)

    def adapt(self, support: Batch, rng: torch.Generator) -> Hypotheses:
        """The particles after `evaluation_steps` steps on the support."""
        del rng
        return self._adapted(dict(self.particles), support, self.evaluation_steps)

    def adapt_more(self, adapted: Hypotheses, support: Batch, rng: torch.Generator) -> Hypotheses:
        """The particles of `adapted`, moved on by as many steps on all examples seen so far."""
        del rng
        seen = both(adapted.seen, support)
        start = dict(adapted.params)
        if adapted.noise is not None:
            start[_PRECISION] = -2 * adapted.noise.log()
        return self._adapted(start, seen, self.evaluation_steps)

    def _adapted(self, start: Params, support: Batch, steps: int) -> Hypotheses:
        examples = Batch(support.x[None], support.labels[None])
        if torch.is_grad_enabled():
            end = self._descend(
                repeated(start, 1), examples, steps, self.inner_lr, self.second_order
            )
        else:
            # The inner steps need gradients of their own, but nothing of them is kept.
            with torch.enable_grad():
                leaves = repeated(detached(start, requires_grad=True), 1)
                end = detached(self._descend(leaves, examples, steps, self.inner_lr, False))
        own = map_params(lambda value: value[0], end)
        log_precision = own.pop(_PRECISION, None)
        noise = None if log_precision is None else torch.exp(-0.5 * log_precision)
        return Hypotheses(self.forward, own, support, noise)

    def _group_gradients(
        self, start: Params, tasks: Sequence[Task]
    ) -> tuple[Params, dict[str, float]]:
        """Sums over tasks of one shape."""
        support, query = stacked(tasks)
        copies = repeated(start, len(tasks))
        end = self._descend(copies, support, self.inner_steps, self.inner_lr, self.second_order)
        if self.objective == "chaser":
            leader = detached(end, requires_grad=True)
            whole = Batch(
                torch.cat([support.x, query.x], 1), torch.cat([support.labels, query.labels], 1)
            )
            leader = self._descend(leader, whole, self.leader_steps, self.leader_lr, False)
            loss = _squared_distance(end, leader)
            with torch.no_grad():
                outputs = self._outputs(end, query.x)
        else:
            outputs = self._outputs(end, query.x)
            each = log_likelihood(outputs, query.labels, end.get(_PRECISION))
            loss = (math.log(outputs.shape[1]) - each.logsumexp(1)).mean(-1).sum()
        metrics = {"loss": float(loss.detach())}
        if self.kind is Kind.CLASSIFICATION:
            mean = outputs.detach().softmax(-1).mean(1)
            metrics["accuracy"] = accuracy(mean, query.labels) * len(tasks)
        else:
            squares = (outputs.detach().mean(1) - query.labels).square()
            metrics["error"] = float(squares.mean()) * len(tasks)
        return gradient(loss, start), metrics

    def _descend(
        self, particles: Params, examples: Batch, steps: int, lr: float, second_order: bool
    ) -> Params:
        """Steps of Stein variational gradient descent on tasks (tasks, examples, ...)."""
        step = lr / examples.x.shape[1]
        rates: dict[str, float | Tensor] = dict.fromkeys(particles, step)
        if _PRECISION in particles:
            # The geometric mean of the particles': all of them must step by the same matrix.
            noise = torch.exp(-particles[_PRECISION].detach().mean(-1, keepdim=True))
            rates |= {name: step * noise for name in particles if name != _PRECISION}
        current = dict(particles)
        for _ in range(steps):
            value = self._log_posterior(current, examples)
            scores = gradient(value, current, create_graph=second_order)
            direction = self._direction(current, scores)
            if not second_order:
                direction = map_params(Tensor.detach, direction)
            current = {n: p + _times(direction[n], rates[n]) for n, p in current.items()}
        return current

    def _log_posterior(self, particles: Params, examples: Batch) -> Tensor:
        """Up to a constant, summed over tasks and particles, which have each its own slice."""
        log_precision = particles.get(_PRECISION)
        outputs = self._outputs(particles, examples.x)
        value = log_likelihood(outputs, examples.labels, log_precision).sum()
        if log_precision is None:
            return value
        shape, rate = self.precision_prior
        # The density of the logarithm: a gamma's, times the precision itself.
        return value + (shape * log_precision - rate * log_precision.exp()).sum()

    def _direction(self, particles: Params, scores: Params) -> Params:
        own = {n: p for n, p in particles.items() if n not in self._shared}
        direction = svgd_direction_of(own, {n: scores[n] for n in own})
        # A shared weight has the sum of the particles' scores; their mean is what it descends.
        many = next(iter(own.values())).shape[1]
        return direction | {n: scores[n] / many for n in particles if n in self._shared}

    def _outputs(self, particles: Params, x: Tensor) -> Tensor:
        return self.forward({n: p for n, p in particles.items() if n != _PRECISION}, x)


def build_bayesian_maml(
    spec: TaskSpec,
    rng: torch.Generator,
    *,
    particles: int | None = None,
    objective: Objective = "chaser",
    whole: bool = False,
    inner_lr: float | None = None,
) -> BayesianMAML:
    """Bayesian MAML over MAML's own network: ten particles for numbers and five for classes.

    The particles are heads over features that they share, as the paper has them for images: all
    of them then cost little more than one network, and get many times as far in the same time.

    Arguments:
        particles: how many.
        objective: see `BayesianMAML`.
        whole: every particle is a network of its own, as the paper has them for sine waves.
        inner_lr: step size; None for 0.4 for classes and 0.02 for numbers, or, where particles
            are whole, 0.2 and 0.02 times their number.
    """
    classes = spec.kind is Kind.CLASSIFICATION
    count = particles or (5 if classes else 10)
    models = [backbone(spec, fork(rng), head="mean") for _ in range(count)]
    head = head_of(models[0])
    shared = () if whole else [name for name in params_of(models[0]) if not head(name)]
    if inner_lr is None and whole:
        inner_lr = (0.2 if classes else 0.02) * count
    elif inner_lr is None:
        inner_lr = 0.4 if classes else 0.02
    return BayesianMAML(
        models, kind=spec.kind, inner_lr=inner_lr, objective=objective, shared=shared
    )


def _piled(models: Sequence[nn.Module], shared: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """The models' weights, each a stack; of shared ones the first model's alone."""
    each = [params_of(model) for model in models]
    shapes = [{name: value.shape for name, value in own.items()} for own in each]
    if any(own != shapes[0] for own in shapes):
        raise ValueError(
            "`models` must be alike but for their weights, but their parameters differ in names "
            "or shapes: build all of them by the same call."
        )
    common = {name for name in each[0] if name.startswith(shared)}
    unknown = [start for start in shared if not any(n.startswith(start) for n in each[0])]
    if unknown or len(common) == len(each[0]):
        raise ValueError(
            "`shared` must hold beginnings of the names of some parameters, but not of all: got "
            f"{list(shared)} for {list(each[0])}."
        )
    piles = {n: [own[n].detach() for own in (each[:1] if n in common else each)] for n in each[0]}
    return {name: nn.Parameter(torch.stack(pile)) for name, pile in piles.items()}


def _times(direction: Tensor, rate: float | Tensor) -> Tensor:
    """The direction (tasks, particles, *shape) by a rate, a number or (tasks, 1)."""
    if isinstance(rate, float):
        return rate * direction
    return rate.reshape(-1, 1, *(1,) * (direction.dim() - 2)) * direction


def _squared_distance(chaser: Mapping[str, Tensor], leader: Mapping[str, Tensor]) -> Tensor:
    parts = [(value - leader[name]).square().sum() for name, value in chaser.items()]
    return torch.stack(parts).sum()
