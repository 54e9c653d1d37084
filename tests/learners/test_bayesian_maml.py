"""Bayesian MAML against a slow version of its own, and against what its objectives must do."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.testing import assert_close

from metawright.learners.adapted import both
from metawright.learners.bayesian_maml import BayesianMAML, Objective, build_bayesian_maml
from metawright.learners.particles import svgd_direction
from metawright.models.backbones import MLP, ConvNet
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Batch, Kind, Split, Task
from metawright.training import fit

MakeTask = Callable[..., Task]


def _learner(objective: Objective = "chaser", **options: object) -> BayesianMAML:
    models = [MLP(1, 1, rng=stream(i), hidden=(6,)).double() for i in range(3)]
    settings: dict[str, object] = {"inner_lr": 0.2, "inner_steps": 2, **options}
    return BayesianMAML(models, kind=Kind.REGRESSION, objective=objective, **settings)  # type: ignore[arg-type]


def _log_density(mean: Tensor, log_precision: Tensor, value: Tensor) -> Tensor:
    spread = torch.exp(-log_precision / 2)
    density: Tensor = Normal(mean, spread).log_prob(value)  # type: ignore[no-untyped-call]
    return density


def _slow_steps(
    rows: list[list[Tensor]], batch: Batch, lr: float, steps: int = 1
) -> list[list[Tensor]]:
    """Steps of all weights by as much more as the noise has variance at the start."""
    variance = torch.exp(-torch.stack([row[-1].detach() for row in rows]).mean())
    for _ in range(steps):
        rows = _slow_step(rows, batch, lr, variance)
    return rows


def _slow_step(
    rows: list[list[Tensor]], batch: Batch, lr: float, variance: Tensor
) -> list[list[Tensor]]:
    """One step for the particles of one task, written out: weights w0, b0, w1, b1 and log
    precision, joined into vectors."""
    scores, joined = [], []
    for w0, b0, w1, b1, log_precision in rows:
        outputs = torch.relu(batch.x @ w0.T + b0) @ w1.T + b1
        prior = 2.0 * log_precision - 0.2 * log_precision.exp()
        value = _log_density(outputs, log_precision, batch.labels).sum() + prior
        grads = torch.autograd.grad(value, [w0, b0, w1, b1, log_precision], create_graph=True)
        scores.append(torch.cat([g.flatten() for g in grads]))
        joined.append(torch.cat([v.flatten() for v in (w0, b0, w1, b1, log_precision)]))
    before = torch.stack(joined)
    rates = torch.cat([variance.expand(before.shape[1] - 1), torch.ones(1, dtype=before.dtype)])
    moved = before + lr / len(batch.x) * rates * svgd_direction(before, torch.stack(scores))
    sizes = [v.numel() for v in rows[0]]
    return [
        [p.reshape(v.shape) for p, v in zip(torch.split(line, sizes), rows[0], strict=True)]
        for line in moved
    ]


@pytest.mark.parametrize("objective", ["chaser", "likelihood"])
def test_gradients_are_those_of_a_slow_version(objective: Objective, make_wave: MakeTask) -> None:
    learner = _learner(objective)
    tasks = [make_wave(seed, dtype=torch.float64) for seed in range(2)]
    names = ["weight0", "bias0", "weight1", "bias1", "log_precision"]
    leaves = [[learner.particles[n][i].detach().requires_grad_() for n in names] for i in range(3)]
    total = torch.zeros((), dtype=torch.float64)
    for task in tasks:
        rows = _slow_steps(leaves, task.support, 0.2, 2)
        if objective == "chaser":
            ahead = [[v.detach().requires_grad_() for v in row] for row in rows]
            whole = both(task.support, task.query)
            ahead = _slow_steps(ahead, whole, 0.2)
            for row, far in zip(rows, ahead, strict=True):
                total = total + sum(
                    (v - w.detach()).square().sum() for v, w in zip(row, far, strict=True)
                )
        else:
            fits = []
            for w0, b0, w1, b1, log_precision in rows:
                outputs = torch.relu(task.query.x @ w0.T + b0) @ w1.T + b1
                fits.append(_log_density(outputs, log_precision, task.query.labels))
            mixture = torch.stack(fits).logsumexp(0) - math.log(3)
            total = total - mixture.mean()
    flat = [v for row in leaves for v in row]
    grads = torch.autograd.grad(total / 2, flat)
    step = learner.gradients(tasks, stream(0))
    assert step.metrics["loss"] == pytest.approx(float(total.detach()) / 2)
    for place, name in enumerate(names):
        expected = torch.stack([grads[5 * i + place] for i in range(3)])
        assert_close(step.grads[name], expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("objective", ["chaser", "likelihood"])
@pytest.mark.parametrize("shared", [(), ("weight0", "bias0")])
def test_one_module_at_a_time_gives_the_same(
    objective: Objective, shared: tuple[str, ...], make_wave: MakeTask
) -> None:
    class Plain(nn.Module):
        """A perceptron that knows nothing of stacks."""

        def __init__(self, seed: int) -> None:
            super().__init__()
            inner = MLP(1, 1, rng=stream(seed), hidden=(6,)).double()
            for name, value in inner.named_parameters():
                self.register_parameter(name, nn.Parameter(value.detach()))

        def forward(self, x: Tensor) -> Tensor:
            """(examples, 1) to (examples, 1)."""
            first, bias, last, end = self.parameters()
            return torch.relu(x @ first.T + bias) @ last.T + end

    tasks = [make_wave(seed, dtype=torch.float64) for seed in range(2)]
    slow = BayesianMAML(
        [Plain(i) for i in range(3)],
        kind=Kind.REGRESSION,
        inner_lr=0.2,
        inner_steps=2,
        objective=objective,
        shared=shared,
    )
    fast = _learner(objective, tasks_at_once=1, shared=shared)
    expected = fast.gradients(tasks, stream(0)).grads
    assert_close(slow.gradients(tasks, stream(0)).grads, expected, rtol=1e-9, atol=1e-10)
    together = _learner(objective, shared=shared)
    assert_close(together.gradients(tasks, stream(0)).grads, expected)


def test_weights_adapt_as_far_whatever_the_noise_is(make_wave: MakeTask) -> None:
    """Particles that coincide follow their score, which is as large as the precision: a step of
    the same length in all cases would not move at all, or diverge."""
    support = make_wave(dtype=torch.float64).support
    models = [MLP(1, 1, rng=stream(0), hidden=(6,)).double()] * 3
    found = [
        BayesianMAML(models, kind=Kind.REGRESSION, inner_lr=0.01, precision=precision)
        .adapt(support, stream(0))
        .params["weight1"]
        .detach()
        for precision in (0.01, 1.0, 100.0)
    ]
    assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)
    assert_close(found[2], found[1], rtol=1e-9, atol=1e-12)
    assert float((found[1] - models[0].get_parameter("weight1").detach()).abs().max()) > 1e-3


def test_the_gradient_points_from_the_leader(make_wave: MakeTask) -> None:
    """First order, the gradient is twice the way from the leader to the chaser: it would be
    another if the leader were no constant."""
    task = make_wave(dtype=torch.float64)
    learner = _learner(inner_steps=1, second_order=False)
    step = learner.gradients([task], stream(0))
    with torch.no_grad():
        chaser = learner.adapt(task.support, stream(0))
        leader = learner.adapt_more(chaser, task.query, stream(0))
    for name, value in chaser.params.items():
        assert_close(step.grads[name], 2 * (value - leader.params[name]), rtol=1e-9, atol=1e-12)


def test_shared_weights_have_one_copy_and_are_adapted(make_task: MakeTask) -> None:
    models = [
        ConvNet(1, (8, 8), 3, rng=stream(i), filters=4, blocks=2, head="mean") for i in range(4)
    ]
    shared = ("conv", "scale", "shift")
    learner = BayesianMAML(models, kind=Kind.CLASSIFICATION, inner_lr=1.0, shared=shared)
    sizes = {name: len(value) for name, value in learner.named_parameters()}
    assert {n: s for n, s in sizes.items() if s == 4}.keys() == {"weight", "bias"}
    assert set(sizes.values()) == {1, 4}
    task = make_task()
    step = learner.gradients([task, make_task(1)], stream(0))
    assert all(bool(grad.abs().sum() > 0) for grad in step.grads.values())
    with torch.no_grad():
        adapted = learner.adapt(task.support, stream(0))
    assert not torch.equal(adapted.params["conv0"], learner.particles["conv0"])
    assert adapted.samples(task.query.x).shape == (4, 6, 3)
    assert_close(adapted(task.query.x).exp().sum(1), torch.ones(6))


def test_shared_weights_descend_the_particles_mean_loss(make_task: MakeTask) -> None:
    task = make_task(dtype=torch.float64)
    models = [MLP(64, 3, rng=stream(i), hidden=(5,)).double() for i in range(4)]
    learner = BayesianMAML(models, kind=Kind.CLASSIFICATION, inner_lr=0.6, shared=["weight0"])
    adapted = learner.adapt(task.support, stream(0))
    leaf = learner.particles["weight0"]
    logits = learner.forward(
        {n: p[None] for n, p in learner.particles.items()}, task.support.x[None]
    )[0]
    loss = torch.stack(
        [nn.functional.cross_entropy(one, task.support.labels) for one in logits]
    ).mean()
    (grad,) = torch.autograd.grad(loss, leaf)
    assert_close(adapted.params["weight0"].detach(), leaf.detach() - 0.6 * grad)


def test_particles_stay_apart_and_know_less_far_from_the_support(make_wave: MakeTask) -> None:
    source = Sinusoid(shots=5, queries=5)
    models = [MLP(1, 1, rng=stream(i), hidden=(16,)) for i in range(4)]
    learner = BayesianMAML(models, kind=Kind.REGRESSION, inner_lr=0.1, objective="likelihood")
    fit(
        learner,
        lambda rng: [source.draw(Split.TRAIN, rng) for _ in range(4)],
        steps=30,
        rng=stream(0),
        lr=1e-2,
    )
    x = torch.linspace(-0.5, 0.5, 5)[:, None]
    with torch.no_grad():
        adapted = learner.adapt(Batch(x, torch.sin(x)), stream(0))
        near, far = (adapted.samples(p).std(0).mean() for p in (x, torch.full((1, 1), 5.0)))
    assert 0 < float(near) < float(far)


def test_more_examples_move_the_particles_on(make_wave: MakeTask) -> None:
    task = make_wave(dtype=torch.float64)
    learner = _learner()
    with torch.no_grad():
        first = learner.adapt(task.support, stream(0))
        more = learner.adapt_more(first, task.query, stream(0))
    assert len(more.seen.x) == 15 and len(first.seen.x) == 5
    assert not torch.equal(more.params["weight0"], first.params["weight0"])
    assert more.noise is not None and more.noise.shape == (3,)


def test_builds_as_the_table_says(make_task: MakeTask, make_wave: MakeTask) -> None:
    numbers = dict(build_bayesian_maml(make_wave().spec, stream(0)).named_parameters())
    assert {name for name, value in numbers.items() if len(value) == 10} == {
        "weight2", "bias2", "log_precision"
    }  # fmt: skip
    classes = dict(build_bayesian_maml(make_task().spec, stream(0)).named_parameters())
    assert {name for name, value in classes.items() if len(value) == 5} == {"weight", "bias"}
    assert {len(value) for value in classes.values()} == {1, 5}
    assert not torch.equal(classes["weight"][0], classes["weight"][1])
    whole = build_bayesian_maml(make_task().spec, stream(0), whole=True)
    assert {len(value) for _, value in whole.named_parameters()} == {5}


def test_arguments_are_checked() -> None:
    models = [MLP(1, 1, rng=stream(i)) for i in range(2)]
    with pytest.raises(ValueError, match="`models` must hold two or more, but got 1"):
        BayesianMAML(models[:1], kind=Kind.REGRESSION)
    with pytest.raises(ValueError, match="must be alike but for their weights"):
        BayesianMAML([models[0], MLP(1, 2, rng=stream(0))], kind=Kind.REGRESSION)
    with pytest.raises(ValueError, match=r"`inner_lr > 0` must hold, but got 0"):
        BayesianMAML(models, kind=Kind.REGRESSION, inner_lr=0)
    with pytest.raises(ValueError, match="`objective` must be 'chaser' or 'likelihood'"):
        BayesianMAML(models, kind=Kind.REGRESSION, objective="loss")  # type: ignore[arg-type]
    for shared in (["wrong"], ["weight", "bias"]):
        with pytest.raises(ValueError, match="`shared` must hold beginnings"):
            BayesianMAML(models, kind=Kind.REGRESSION, shared=shared)
