"""PLATIPUS: its divergence in closed form, its gradients against a slow version, its limits."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call
from torch.testing import assert_close

from metawright.learners import MAML
from metawright.learners.adapted import both
from metawright.learners.particles import Hypotheses
from metawright.learners.platipus import Platipus, build_platipus, normal_divergence
from metawright.models.backbones import MLP
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task

MakeTask = Callable[..., Task]


def _learner(**options: object) -> Platipus:
    settings: dict[str, object] = {"inner_lr": 0.02, "inner_steps": 2, "warmup": 4, **options}
    model = MLP(1, 1, rng=stream(0), hidden=(6,)).double()
    return Platipus(model, kind=Kind.REGRESSION, **settings)  # type: ignore[arg-type]


def test_divergence_is_that_of_two_normals() -> None:
    values = torch.randn(4, 7, generator=stream(0), dtype=torch.float64)
    first, other = Normal(values[0], values[1].exp()), Normal(values[2], values[3].exp())
    assert_close(normal_divergence(*values), kl_divergence(first, other))
    assert_close(normal_divergence(*values[:2], *values[:2]), torch.zeros(7, dtype=torch.float64))


def _slow_objective(learner: Platipus, task: Task, leaves: Params, weight: float) -> Tensor:
    """The objective for one task, written out with the learner's own model."""

    def part(kind: str) -> Params:
        own = {n.removeprefix(f"{kind}."): v for n, v in leaves.items()}
        return {n: own[n] for n, _ in learner.model.named_parameters()}

    def loss(weights: Params, batch: Batch) -> Tensor:
        outputs = functional_call(learner.model, weights, (batch.x,))
        value: Tensor = (outputs - batch.labels).square().mean()
        return value

    def slope(weights: Params, batch: Batch) -> Params:
        value = loss(weights, batch)
        grads = torch.autograd.grad(value, list(weights.values()), create_graph=True)
        return dict(zip(weights, grads, strict=True))

    mean, queries = part("mean"), len(task.query.x)
    rate, own_rate = part("prior_rate"), part("posterior_rate")
    prior_slope, own_slope = slope(mean, task.support), slope(mean, task.query)
    prior = {n: v - rate[n] * prior_slope[n] for n, v in mean.items()}
    posterior = {n: v - own_rate[n] * own_slope[n] for n, v in mean.items()}
    draws, spread, wide = stream(7), part("posterior_log_sd"), part("prior_log_sd")
    weights = {
        n: v + spread[n].exp() * torch.randn(1, 1, *v.shape, generator=draws, dtype=v.dtype)[0, 0]
        for n, v in posterior.items()
    }
    apart = sum(
        kl_divergence(Normal(posterior[n], spread[n].exp()), Normal(prior[n], wide[n].exp())).sum()
        for n in mean
    )
    for _ in range(learner.inner_steps):
        steps = slope(weights, task.support)
        weights = {n: v - learner.inner_lr * steps[n] for n, v in weights.items()}
    outputs = functional_call(learner.model, weights, (task.query.x,))
    normal = Normal(outputs, leaves["log_noise"].exp())
    fit: Tensor = normal.log_prob(task.query.labels).sum()  # type: ignore[no-untyped-call]
    return -fit / queries + weight * apart / queries


def test_gradients_are_those_of_a_slow_version(make_wave: MakeTask) -> None:
    learner, task = _learner(), make_wave(dtype=torch.float64)
    leaves: Params = dict(learner.named_parameters())
    for count in (1, 2):  # the weight of the divergence rises by a quarter a batch
        value = _slow_objective(learner, task, leaves, count / 4)
        grads = torch.autograd.grad(value, list(leaves.values()))
        step = learner.gradients([task], stream(7))
        expected = dict(zip(leaves, grads, strict=True))
        assert_close(step.grads, expected, rtol=1e-8, atol=1e-10)
    full = _slow_objective(learner, task, leaves, 1.0)
    assert step.metrics["loss"] == pytest.approx(float(full.detach()))


def test_tasks_run_alone_or_together(make_wave: MakeTask) -> None:
    tasks = [make_wave(seed, dtype=torch.float64) for seed in range(3)]
    together = _learner(posterior_sd=1e-9).gradients(tasks, stream(0))
    alone = _learner(posterior_sd=1e-9, tasks_at_once=1).gradients(tasks, stream(0))
    for name in ("mean.weight0", "prior_rate.weight1", "posterior_rate.bias0", "log_noise"):
        assert_close(together.grads[name], alone.grads[name], rtol=1e-5, atol=1e-7)


def test_without_spread_it_is_maml(make_wave: MakeTask) -> None:
    """A prior of one point that makes no step of its own is MAML's start."""
    task = make_wave(dtype=torch.float64)
    learner = _learner(prior_sd=1e-12, noise=0.3)
    for rate in learner.parts["prior_rate"].values():
        rate.data.zero_()
    maml = MAML(learner.model, inner_lr=0.02, inner_steps=2)
    with torch.no_grad():
        adapted = learner.adapt(task.support, stream(0))
        expected = maml.adapt(task.support, stream(0))(task.query.x)
    assert_close(adapted(task.query.x), expected, rtol=1e-8, atol=1e-8)
    assert adapted.noise is not None
    assert_close(adapted.noise, torch.full((10,), 0.3, dtype=torch.float64))


def test_steps_beyond_those_of_training_do_not_diverge(make_wave: MakeTask) -> None:
    """On a steep task: the trained steps are made as they are, further ones only downhill."""
    support = make_wave(dtype=torch.float64).support
    steep = Batch(support.x, 20 * support.labels)

    def losses(adapted: Hypotheses) -> Tensor:
        return (adapted.samples(steep.x) - steep.labels).square().mean((1, 2))

    with torch.no_grad():
        wild = losses(_learner(inner_steps=12).adapt(steep, stream(0)))
        once = losses(_learner(inner_steps=1).adapt(steep, stream(0)))
        learner = _learner(inner_steps=1, evaluation_steps=12)
        adapted = learner.adapt(steep, stream(0))
        later = losses(learner.adapt_more(adapted, steep, stream(0)))
    assert not bool((wild <= once).all())
    assert bool((losses(adapted) <= once).all()) and bool((losses(adapted) < once).any())
    assert bool((later <= losses(adapted)).all())


def test_hypotheses_spread_as_the_prior_does(make_wave: MakeTask) -> None:
    task = make_wave(dtype=torch.float64)
    learner = _learner(prior_sd=0.2, evaluation_steps=0, samples=400)
    with torch.no_grad():
        weights = learner.adapt(task.support, stream(0)).params["weight1"]
    assert weights.shape == (400, 1, 6)
    assert_close(weights.std(0), torch.full((1, 6), 0.2, dtype=torch.float64), rtol=0.2, atol=0)


def test_more_examples_move_the_hypotheses_on(make_wave: MakeTask) -> None:
    task, learner = make_wave(dtype=torch.float64), _learner()
    with torch.no_grad():
        first = learner.adapt(task.support, stream(0))
        more = learner.adapt_more(first, task.query, stream(0))
    assert len(more.seen.x) == 15
    assert not torch.equal(more.params["weight0"], first.params["weight0"])
    joined = both(task.support, task.query)
    before, after = ((p(joined.x) - joined.labels).square().mean() for p in (first, more))
    assert float(after) < float(before)
    tied = learner.adapt_more(learner.adapt(task.support, stream(0)), task.query, stream(0))
    assert_close(tied.params["weight0"].detach(), more.params["weight0"])
    assert tied.params["weight0"].requires_grad


def test_starts_from_the_models_weights(make_wave: MakeTask, make_task: MakeTask) -> None:
    model = MLP(1, 1, rng=stream(3))
    learner = Platipus(model, kind=Kind.REGRESSION)
    assert_close(learner.parts["mean"]["weight0"].detach(), model.get_parameter("weight0"))
    names = {
        n.partition(".")[0]
        for n, _ in build_platipus(make_task().spec, stream(0)).named_parameters()
    }
    assert "log_noise" not in names and len(names) == 5
    assert "log_noise" in dict(build_platipus(make_wave().spec, stream(0)).named_parameters())


@pytest.mark.parametrize("name", ["samples", "divergence_weight", "noise", "prior_sd"])
def test_arguments_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name} > 0` must hold, but got 0"):
        _learner(**{name: 0})


def test_the_noise_is_right_where_it_is_that_of_the_residuals(make_wave: MakeTask) -> None:
    """The gradient of the noise vanishes at the residuals' own root mean square."""
    task = make_wave(dtype=torch.float64)
    learner = _learner(posterior_sd=1e-9)
    error = learner.gradients([task], stream(0)).metrics["error"]
    assert learner.log_noise is not None
    for factor, sign in ((0.9, -1), (1.0, 0), (1.1, 1)):
        learner.log_noise.data.fill_(0.5 * math.log(error) + math.log(factor))
        grad = float(learner.gradients([task], stream(0)).grads["log_noise"])
        assert grad * sign > 0.1 if sign else abs(grad) < 1e-5
