"""Stein variational gradient descent against a slow double loop and a posterior in closed form."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.func import functional_call, jacrev
from torch.testing import assert_close

from metawright.learners.inner import forward_of
from metawright.learners.particles import (
    Hypotheses,
    alike,
    bandwidth,
    forward_of_particles,
    log_likelihood,
    svgd_direction,
    svgd_direction_of,
)
from metawright.models.backbones import MLP, ConvNet
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Batch, Split


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def _slow_direction(particles: Tensor, scores: Tensor) -> Tensor:
    """The paper's sum, with the kernel's gradient by autograd, a pair at a time."""
    many = len(particles)
    distances = [
        float((particles[i] - particles[j]).norm()) for i in range(many) for j in range(i)
    ]
    width = sorted(distances)[(len(distances) - 1) // 2] ** 2 / math.log(many + 1)
    rows = []
    for i in range(many):
        total = torch.zeros_like(particles[i])
        for j in range(many):
            other = particles[j].clone().requires_grad_()
            kernel = torch.exp(-(other - particles[i]).square().sum() / width)
            (slope,) = torch.autograd.grad(kernel, other)
            total += kernel.detach() * scores[j] + slope
        rows.append(total / many)
    return torch.stack(rows)


@pytest.mark.parametrize("many", [2, 3, 7])
def test_direction_is_the_papers_sum(many: int) -> None:
    particles, scores = _normal(many, 5), _normal(many, 5, seed=1)
    expected = _slow_direction(particles, scores)
    assert_close(svgd_direction(particles, scores), expected, rtol=1e-12, atol=1e-12)
    far = particles + 1e4  # what matters is where particles stand to each other
    assert_close(svgd_direction(far, scores), expected, rtol=1e-8, atol=1e-8)


def test_stacks_and_weights_are_each_their_own() -> None:
    weights = {"a": _normal(2, 4, 3, 2), "b": _normal(2, 4, seed=1)}
    scores = {"a": _normal(2, 4, 3, 2, seed=2), "b": _normal(2, 4, seed=3)}
    found = svgd_direction_of(weights, scores)
    for task in range(2):
        joined, pull = (
            torch.cat([p["a"][task].flatten(1), p["b"][task][:, None]], 1)
            for p in (weights, scores)
        )
        expected = svgd_direction(joined, pull)
        assert_close(found["a"][task].flatten(1), expected[:, :6], rtol=1e-12, atol=1e-12)
        assert_close(found["b"][task], expected[:, 6], rtol=1e-12, atol=1e-12)


def test_differentiable_but_for_the_bandwidth() -> None:
    particles, scores = _normal(3, 2), _normal(3, 2, seed=1)
    width = float(bandwidth(particles))

    def fixed(moved: Tensor, pull: Tensor) -> Tensor:
        squares = (moved[:, None] - moved[None]).square().sum(-1)
        kernel = torch.exp(-squares / width)
        push = 2 / width * (kernel[..., None] * (moved[:, None] - moved[None])).sum(1)
        return (kernel @ pull + push) / 3

    for index in (0, 1):
        found, expected = (jacrev(f, index)(particles, scores) for f in (svgd_direction, fixed))
        assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_particles_that_coincide_move_together_and_one_follows_its_score() -> None:
    particles = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    scores = torch.full((4, 3), 2.0, dtype=torch.float64)
    direction = svgd_direction(particles, scores)
    assert_close(direction.detach(), scores)
    (slope,) = torch.autograd.grad(direction.sum(), particles)
    assert bool(slope.isfinite().all())
    assert_close(svgd_direction(particles[:1].detach(), scores[:1]), scores[:1])


def test_reaches_the_posterior_of_a_linear_regression() -> None:
    x, noise = _normal(6, 2), 1.5
    y = x @ torch.tensor([1.0, -2.0], dtype=torch.float64) + noise * _normal(6, seed=1)
    precision = x.T @ x / noise**2 + torch.eye(2, dtype=torch.float64)  # prior N(0, 1)
    covariance = precision.inverse()
    mean = covariance @ (x.T @ y) / noise**2
    particles = 3 + _normal(50, 2, seed=2)
    for _ in range(300):
        leaves = particles.requires_grad_()
        outputs = (leaves @ x.T)[None, :, :, None]
        fits = log_likelihood(
            outputs, y[None, :, None], torch.tensor(-2 * math.log(noise), dtype=torch.float64)
        )
        value = fits.sum() - 0.5 * leaves.square().sum()
        (scores,) = torch.autograd.grad(value, leaves)
        particles = (leaves + 0.5 * svgd_direction(leaves, scores)).detach()
    assert_close(particles.mean(0), mean, rtol=0, atol=0.01)
    # Few particles lie a little too close: the known bias of the method.
    assert_close(particles.T.cov(), covariance, rtol=0.15, atol=0.02)


def test_likelihoods_are_the_distributions() -> None:
    outputs, numbers = _normal(2, 3, 4, 2), _normal(2, 4, 2, seed=1)
    log_precision = _normal(2, 3, seed=2)
    spread = torch.exp(-0.5 * log_precision)[..., None, None]
    normal = Normal(outputs, spread)
    expected = normal.log_prob(numbers[:, None]).sum(-1)  # type: ignore[no-untyped-call]
    assert_close(log_likelihood(outputs, numbers, log_precision), expected)
    labels = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0]])
    wide = labels[:, None].expand(2, 3, 4)
    classes = Categorical(logits=outputs).log_prob(wide)  # type: ignore[no-untyped-call]
    assert_close(log_likelihood(outputs, labels, None), classes)


class _Odd(nn.Module):
    """A module that knows nothing of stacks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, 3) to (examples, 2)."""
        return torch.tanh(self.layer(x))


@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize("kind", ["perceptron", "convolution", "odd"])
def test_stacks_run_as_single_models_do(kind: str, heads: bool) -> None:
    """Also where particles differ in the head alone, and the features are computed once."""
    models: dict[str, nn.Module] = {
        "perceptron": MLP(3, 2, rng=stream(0)),
        "convolution": ConvNet(1, (8, 8), 2, rng=stream(0), filters=4, blocks=2),
        "odd": _Odd(),
    }
    model = models[kind].double()
    shape = (1, 8, 8) if kind == "convolution" else (3,)
    params: Params = {
        name: _normal(2, 3, *value.shape, seed=index)
        for index, (name, value) in enumerate(model.named_parameters())
    }
    for name in list(params)[: -2 if heads else 1]:
        params[name] = params[name][:, :1]  # one that all particles share
    x = _normal(2, 4, *shape)
    found = forward_of_particles(model)(params, x)
    for task in range(2):
        for particle in range(3):
            own = {n: p[task].expand(3, *p.shape[2:])[particle] for n, p in params.items()}
            expected = functional_call(model, own, (x[task],))
            assert_close(found[task, particle], expected, rtol=1e-9, atol=1e-9)


def test_the_mean_prediction() -> None:
    model = MLP(1, 2, rng=stream(0)).double()
    params = {n: _normal(5, *p.shape) for n, p in model.named_parameters()}
    seen, x = Batch(_normal(3, 1), _normal(3, 2)), _normal(4, 1, seed=1)
    forward = forward_of_particles(model)
    single = torch.stack(
        [forward_of(model)({n: p[i] for n, p in params.items()}, x) for i in range(5)]
    )
    numbers = Hypotheses(forward, params, seen, torch.ones(5, dtype=torch.float64))
    assert_close(numbers.samples(x), single)
    assert_close(numbers(x), single.mean(0))
    classes = Hypotheses(forward, params, seen)
    assert_close(classes(x).exp(), single.softmax(-1).mean(0))


def test_tasks_are_grouped_by_shape() -> None:
    short, long = Sinusoid(shots=2), Sinusoid(shots=3)
    tasks = [s.draw(Split.TRAIN, stream(i)) for i, s in enumerate((short, long, short))]
    groups = alike(tasks)
    assert [len(group) for group in groups] == [2, 1]
    assert groups[0][1] is tasks[2]
