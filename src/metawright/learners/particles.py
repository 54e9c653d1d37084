"""Several sets of weights for one task: samples of a distribution, moved by pure functions.

A stack of particles is `Params` with a leading axis, each weight (particles, *shape), or
(tasks, particles, *shape) for many tasks at once. Stein variational gradient descent moves the
particles of a task together, so that they come to lie as samples of a posterior would: each is
pulled up the log posterior and pushed away from the others.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.learners.inner import Forward, forward_of
from metawright.models.backbones import LinearHead, TaskBatched
from metawright.params import Params, map_params
from metawright.tasks.task import Batch, Task

__all__ = [
    "Hypotheses",
    "alike",
    "bandwidth",
    "forward_of_particles",
    "log_likelihood",
    "svgd_direction",
    "svgd_direction_of",
]

_FLOOR = 1e-6


def bandwidth(particles: Tensor, *, floor: float = _FLOOR) -> Tensor:
    r"""The width $h$ of the kernel $\exp(-d^2 / h)$ by the median rule, (..., 1, 1).

    $h = median^2 / \log(particles + 1)$ over the distances of different particles, so that what
    the others tell a particle weighs about as much as its own score. It holds no graph (the
    derivative of a median jumps) and is at least `floor`, or particles that coincide would be
    torn apart without bound.

    The paper has $\log(particles)$, which is 0 for one particle; its authors' code adds the 1.

    Arguments:
        particles: (..., particles, entries).
    """
    many = particles.shape[-2]
    if many < 2:
        return particles.new_ones(*particles.shape[:-2], 1, 1)
    squares = _squared_distances(_centred(particles.detach()))
    above = torch.ones(many, many, dtype=torch.bool, device=particles.device).triu(1)
    median = squares[..., above].median(-1).values
    return (median / math.log(many + 1)).clamp_min(floor)[..., None, None]


def svgd_direction(particles: Tensor, scores: Tensor, *, floor: float = _FLOOR) -> Tensor:
    r"""Where Stein variational gradient descent moves the particles, (..., particles, entries):

    $$\phi_i = \frac{1}{M} \sum_j k_{ij} \, s_j + \frac{2}{h} k_{ij} (\theta_i - \theta_j),
      \quad k_{ij} = \exp(-\|\theta_i - \theta_j\|^2 / h)$$

    Differentiable in both arguments, but for the bandwidth $h$, which counts as a constant. One
    particle follows its score.

    Arguments:
        particles: (..., particles, entries), $\theta$.
        scores: gradient of the log density at each particle, of the same shape, $s$.
        floor: the least $h$.

    References:
        Stein Variational Gradient Descent: A General Purpose Bayesian Inference Algorithm,
        Liu and Wang, 2016, https://arxiv.org/abs/1608.04471

    Example:
        >>> import torch
        >>> from metawright.learners.particles import svgd_direction
        >>> svgd_direction(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1))
        tensor([[-0.3662],
                [ 0.3662]])
    """
    width = bandwidth(particles, floor=floor)
    centred = _centred(particles)
    kernel = torch.exp(-_squared_distances(centred) / width)
    pushed = (2 / width) * (kernel.sum(-1, keepdim=True) * centred - kernel @ centred)
    return (kernel @ scores + pushed) / particles.shape[-2]


def svgd_direction_of(
    particles: Mapping[str, Tensor], scores: Mapping[str, Tensor], *, floor: float = _FLOOR
) -> Params:
    """`svgd_direction` of stacks of weights (tasks, particles, *shape): one kernel for all of a
    particle's weights together."""
    joined = _joined(particles)
    sizes = [value[0, 0].numel() for value in particles.values()]
    parts = torch.split(svgd_direction(joined, _joined(scores), floor=floor), sizes, dim=2)
    return {
        name: part.reshape(value.shape)
        for (name, value), part in zip(particles.items(), parts, strict=True)
    }


def forward_of_particles(model: nn.Module) -> Forward:
    """The model as a function of weights (tasks, particles, *shape) and examples
    (tasks, examples, *features), to outputs (tasks, particles, examples, outputs).

    A stack of one particle, or of one task, serves all of them. One call where the model can run
    many sets of weights at once (`TaskBatched`), else one call a particle. Particles that differ
    in a linear head alone (`LinearHead`) see features that are computed once.
    """
    if not isinstance(model, TaskBatched):
        return _looped(forward_of(model))
    batched = model.forward_tasks
    head = model.linear_head if isinstance(model, LinearHead) else ()

    def forward(params: Params, x: Tensor) -> Tensor:
        tasks, particles = _extent(params, x)
        if head and all(p.shape[1] == 1 for name, p in params.items() if name not in head):
            return _many_headed(batched, params, head, x, (tasks, particles))
        weights = map_params(lambda p: p.expand(tasks, particles, *p.shape[2:]), params)
        examples = x[:, None].expand(tasks, particles, *x.shape[1:])
        flat = map_params(lambda p: p.flatten(0, 1), weights)
        outputs = batched(flat, examples.flatten(0, 1))
        return outputs.view(tasks, particles, *outputs.shape[1:])

    return forward


def _many_headed(
    batched: Forward, params: Params, head: Collection[str], x: Tensor, extent: tuple[int, int]
) -> Tensor:
    """All particles' heads as one wide head: (tasks, particles, examples, outputs)."""
    tasks, particles = extent
    weights = {
        name: p.expand(*extent, *p.shape[2:]).flatten(1, 2)
        if name in head
        else p[:, 0].expand(tasks, *p.shape[2:])
        for name, p in params.items()
    }
    outputs = batched(weights, x.expand(tasks, *x.shape[1:]))
    return outputs.view(*outputs.shape[:2], particles, -1).transpose(1, 2)


def _looped(single: Forward) -> Forward:
    def forward(params: Params, x: Tensor) -> Tensor:
        tasks, particles = _extent(params, x)
        weights = map_params(lambda p: p.expand(tasks, particles, *p.shape[2:]), params)
        rows = [
            [
                single({name: p[task, particle] for name, p in weights.items()}, x[task])
                for particle in range(particles)
            ]
            for task in range(tasks)
        ]
        return torch.stack([torch.stack(row) for row in rows])

    return forward


def _extent(params: Params, x: Tensor) -> tuple[int, int]:
    shapes = [value.shape for value in params.values()]
    return max(len(x), *(s[0] for s in shapes)), max(s[1] for s in shapes)


def log_likelihood(outputs: Tensor, answers: Tensor, log_precision: Tensor | None) -> Tensor:
    r"""How probable each particle finds each answer: (tasks, particles, examples).

    For numbers $\sum \frac12 (\log\gamma - \gamma (y - f)^2 - \log 2\pi)$ over the outputs, for
    classes the log of the softmax.

    Arguments:
        outputs: (tasks, particles, examples, outputs).
        answers: (tasks, examples) labels, or (tasks, examples, outputs) numbers.
        log_precision: $\log\gamma$ of the noise on the answers, one over its variance,
            (tasks, particles) or what expands to it; None for classes.
    """
    if log_precision is None:
        labels = answers[:, None, :, None].expand(*outputs.shape[:3], 1)
        return functional.log_softmax(outputs, -1).gather(-1, labels).squeeze(-1)
    squares = (outputs - answers[:, None]).square()
    wide = log_precision[..., None, None]
    return 0.5 * (wide - wide.exp() * squares - math.log(2 * math.pi)).sum(-1)


def alike(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks in groups that can be stacked: those of a group have the same shapes."""
    groups: dict[tuple[torch.Size, ...], list[Task]] = {}
    for task in tasks:
        parts = (task.support.x, task.support.labels, task.query.x, task.query.labels)
        groups.setdefault(tuple(part.shape for part in parts), []).append(task)
    return list(groups.values())


@dataclass(frozen=True)
class Hypotheses:
    """A predictor that holds several adapted sets of weights: samples for one task.

    Called as any predictor, it gives the mean prediction: of numbers the mean, of classes the log
    of the mean probabilities (examples, ways), whose softmax they are.

    Arguments:
        forward: of stacks, see `forward_of_particles`.
        params: the weights, each (particles, *shape).
        seen: the support. It stays in every batch that is predicted, for models that normalise
            with the batch at hand.
        noise: standard deviation of the noise on an answer, for each particle, (particles,); None
            for classes.
    """

    forward: Forward
    params: Params
    seen: Batch
    noise: Tensor | None = None

    def samples(self, x: Tensor) -> Tensor:
        """What each particle predicts: (particles, examples, outputs), logits for classes."""
        batch = torch.cat([self.seen.x, x])[None]
        stack = map_params(lambda value: value[None], self.params)
        return self.forward(stack, batch)[0][:, len(self.seen.x) :]

    def __call__(self, x: Tensor) -> Tensor:
        outputs = self.samples(x)
        if self.noise is not None:
            return outputs.mean(0)
        return functional.log_softmax(outputs, -1).logsumexp(0) - math.log(len(outputs))


def _centred(particles: Tensor) -> Tensor:
    """The particles around their mean. Distances stay, and so do derivatives of whatever depends
    on distances alone; rounding shrinks from the size of the weights to that of their spread."""
    return particles - particles.detach().mean(-2, keepdim=True)


def _squared_distances(centred: Tensor) -> Tensor:
    """(..., particles, particles), from products: differences would take as much memory as all
    pairs of particles."""
    products = centred @ centred.transpose(-2, -1)
    lengths = products.diagonal(dim1=-2, dim2=-1)
    return lengths[..., :, None] + lengths[..., None, :] - 2 * products


def _joined(stack: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.reshape(*value.shape[:2], -1) for value in stack.values()], 2)
