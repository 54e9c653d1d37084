"""Normalisation by policy: against torch's layers, and each source of statistics by itself."""

import threading
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.learners.statistics import RunningMoments
from metawright.models.backbones import ConvNet
from metawright.models.normalisation import (
    AdaptableNorm,
    Seen,
    normalising,
    observed,
    seen_by,
    with_policy,
)
from metawright.rng import stream

DOUBLE = torch.float64


def _x(seed: int = 0, examples: int = 6) -> Tensor:
    return 2 + 3 * torch.randn(examples, 3, 4, 4, generator=stream(seed, "x"), dtype=DOUBLE)


def _norm() -> AdaptableNorm:
    norm = AdaptableNorm(3).to(DOUBLE)
    for name, value in norm.named_parameters():
        value.data += torch.randn(3, generator=stream(1, name), dtype=DOUBLE)
    return norm


@pytest.mark.parametrize(
    ("torchs", "shape"),
    [
        (nn.BatchNorm1d, (5, 3)),
        (nn.BatchNorm1d, (5, 3, 2)),
        (nn.BatchNorm2d, (5, 3, 2, 2)),
        (nn.BatchNorm3d, (5, 3, 2, 2, 2)),
    ],
)
def test_the_batch_at_hand_is_that_of_torchs_layers(
    torchs: type[nn.Module], shape: tuple[int, ...]
) -> None:
    theirs = torchs(3, eps=0.1).to(DOUBLE)
    for name, value in theirs.named_parameters():
        value.data += torch.randn(3, generator=stream(1, name), dtype=DOUBLE)
    ours = with_policy(theirs)
    x = torch.randn(shape, generator=stream(0), dtype=DOUBLE)
    assert isinstance(ours, AdaptableNorm)
    assert_close(ours(x), theirs(x))


def test_given_statistics_do_not_depend_on_the_batch() -> None:
    norm, support, query = _norm(), _x(0), _x(1)
    given = seen_by(lambda: norm(support))
    with normalising(given=given):
        together = norm(query)
        alone = torch.cat([norm(example) for example in torch.split(query, 1)])
        again = norm(support)
    assert_close(together, alone)
    assert_close(again, norm(support))
    assert not torch.allclose(together, norm(query))


def test_a_layer_that_is_called_twice_has_statistics_for_each_call() -> None:
    norm, x = AdaptableNorm(3, affine=False), _x()

    def run(x: Tensor) -> Tensor:
        second: Tensor = norm(norm(x) ** 2 + 5)
        return second

    given = seen_by(lambda: run(x))
    with normalising(given=given):
        found = run(x)
    assert_close(found, run(x))


def test_recording_leaves_the_result_and_can_be_cut_off() -> None:
    norm, x, seen = _norm(), _x().requires_grad_(), Seen()
    with normalising(seen=seen, detached=True):
        found = norm(x)
    assert_close(found, norm(x))
    ((moments,),) = seen.values()
    assert not moments.mean.requires_grad
    assert_close(moments.mean, x.detach().mean((0, 2, 3)))
    assert_close(moments.variance, x.detach().var((0, 2, 3), correction=0))
    (tied,) = next(iter(seen_by(lambda: norm(x)).values()))
    assert tied.mean.requires_grad


def test_a_pass_ends_even_when_it_fails_and_belongs_to_its_thread() -> None:
    norm, x = _norm(), _x()
    expected, found = norm(x), []
    with pytest.raises(RuntimeError, match="stop"), normalising(given=seen_by(lambda: norm(x))):
        other = threading.Thread(target=lambda: found.append(norm(_x(1))))
        other.start()
        other.join()
        raise RuntimeError("stop")
    assert not observed()
    assert_close(norm(x), expected)
    assert_close(found[0], norm(_x(1)))


def test_names_a_layer_without_statistics() -> None:
    with normalising(given={}), pytest.raises(ValueError, match="none for a AdaptableNorm"):
        _norm()(_x())


def test_compiled_networks_see_what_is_given() -> None:
    norm, x, query = _norm(), _x(), _x(1)
    compiled = torch.compile(norm, backend="eager")
    given = seen_by(lambda: norm(x))
    assert_close(compiled(query), norm(query))
    with normalising(given=given):
        assert_close(compiled(query), norm(query))
    assert_close(compiled(query), norm(query))


def test_running_moments_are_those_of_torchs_layer() -> None:
    theirs = nn.BatchNorm2d(3).to(DOUBLE)
    theirs(_x(9))  # a network that was trained before
    ours = with_policy(theirs)
    moments = RunningMoments(ours, slots=2)
    for seed in range(3):
        theirs(_x(seed))
        seen: Seen = {}
        with normalising(seen=seen):
            ours(_x(seed))
        moments.update(1, [seen])
    with normalising(given=moments.at(1)):
        assert_close(ours(_x(5)), theirs.eval()(_x(5)))
    assert dict(moments.named_buffers())["running_mean.0"].shape == (2, 3)


def test_running_moments_of_stacked_tasks_are_their_mean() -> None:
    net = ConvNet(1, (8, 8), 2, rng=stream(0), filters=3, blocks=2).to(DOUBLE)
    start = dict(net.named_parameters())
    x = torch.randn(4, 6, 1, 8, 8, generator=stream(1), dtype=DOUBLE)
    stack = {name: value.expand(4, *value.shape) for name, value in start.items()}
    together, apart = RunningMoments(net), RunningMoments(net)
    together.update(0, [seen_by(lambda: net.forward_tasks(stack, x))])
    apart.update(0, [seen_by(partial(net, own)) for own in x])
    assert_close(dict(together.named_buffers()), dict(apart.named_buffers()))
    assert len(dict(apart.named_buffers())) == 4


class _Shared(nn.Module):
    """The same normalisation in two places, and one inside a block."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.second = self.first[1]

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(x))
        return outputs


def test_replacing_keeps_names_weights_and_what_is_shared() -> None:
    model = _Shared().double()
    found = with_policy(model)
    assert [name for name, _ in found.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    for value, own in zip(found.parameters(), model.parameters(), strict=True):
        assert value is own
    assert found.get_submodule("second") is found.get_submodule("first.1")
    assert isinstance(model.second, nn.BatchNorm1d)
    x = torch.randn(5, 3, generator=stream(0), dtype=DOUBLE)
    assert_close(found(x), model(x))


def test_a_module_without_batch_norm_is_returned_itself() -> None:
    model = nn.Linear(2, 2)
    assert with_policy(model) is model
