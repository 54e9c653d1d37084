"""Prototypical networks against closed forms."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metawright.learners import PrototypicalNetwork, prototypes
from metawright.models.backbones import ConvNet
from metawright.rng import stream
from metawright.tasks.task import Batch, Task

MakeTask = Callable[..., Task]


def test_prototypes_are_means_whatever_the_order_and_the_counts() -> None:
    features = torch.tensor([[0.0, 2.0], [10.0, 0.0], [4.0, 2.0]])
    found = prototypes(features, torch.tensor([1, 0, 1]))
    assert_close(found, torch.tensor([[10.0, 0.0], [2.0, 2.0]]))


def test_logits_are_negative_squared_distances_up_to_a_constant_an_example() -> None:
    learner = PrototypicalNetwork(nn.Identity(), temperature=2.0)
    support, x = torch.randn(3, 4), torch.randn(5, 4)
    outputs = learner.adapt(Batch(support, torch.arange(3)), stream(0))(x)
    expected = -torch.cdist(x, support).square() / 2
    assert_close(outputs.softmax(1), expected.softmax(1))


def test_a_query_is_judged_alone(make_task: MakeTask) -> None:
    task = make_task()
    net = ConvNet(1, (8, 8), 0, rng=stream(0), filters=4, blocks=2, statistics="running")
    predict = PrototypicalNetwork(net).adapt(task.support, stream(0))
    assert_close(predict(task.query.x)[:1], predict(task.query.x[:1]))


def test_training_moves_the_running_statistics_and_keeps_the_mode(make_task: MakeTask) -> None:
    net = ConvNet(1, (8, 8), 0, rng=stream(0), filters=4, blocks=1, statistics="running").eval()
    learner = PrototypicalNetwork(net)
    learner.gradients([make_task()], stream(0))
    assert float(net.get_buffer("mean0").abs().sum()) > 0
    assert not net.training
    assert [name for name, _ in learner.named_buffers()] == ["mean0", "variance0"]


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"\[1\] have none"):
        prototypes(torch.zeros(2, 3), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="needs classes, but the answers are numbers"):
        prototypes(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ValueError, match="`temperature > 0` must hold, but got 0"):
        PrototypicalNetwork(nn.Identity(), temperature=0)
