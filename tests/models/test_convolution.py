"""Convolutions against torch's own, in every derivative, for groups, and under vmap."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.testing import assert_close

from metawright.models.backbones import ConvNet
from metawright.models.convolution import convolve, folded
from metawright.models.normalisation import normalising
from metawright.rng import stream

DOUBLE = torch.float64


def _draw(*shape: int, name: str = "x") -> Tensor:
    drawn = torch.randn(shape, generator=stream(0, name), dtype=DOUBLE)
    return drawn.requires_grad_()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_all_derivatives_are_those_of_torchs_convolution(stride: int, groups: int) -> None:
    x, weight = _draw(1, 2 * groups, 4, 3), _draw(groups, 2, 3, 3, name="w")

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        return convolve(x, weight, stride=stride, groups=groups)

    expected = functional.conv2d(x, weight, stride=stride, padding=1, groups=groups)
    assert_close(ours(x, weight), expected, rtol=1e-12, atol=1e-12)
    assert gradcheck(ours, (x, weight))
    assert gradgradcheck(ours, (x, weight))


@pytest.mark.parametrize("shared", [True, False])
def test_second_derivatives_under_vmap(shared: bool) -> None:
    xs = _draw(3, 2, 2, 5, 4).detach()
    weights = _draw(3, 6, 1, 3, 3, name="w").detach()

    def slope(x: Tensor, weight: Tensor) -> Tensor:
        def value(x: Tensor, weight: Tensor) -> Tensor:
            return convolve(x, weight, stride=2, groups=2).square().sum()

        by_x, by_weight = torch.func.grad(value, (0, 1))(x, weight)
        total: Tensor = by_x.square().sum() + by_weight.square().sum()
        return total

    both = torch.func.grad(slope, (0, 1))
    if shared:
        found = torch.func.vmap(both, (0, None))(xs, weights[0])
        expected = [both(x, weights[0]) for x in xs]
    else:
        found = torch.func.vmap(both)(xs, weights)
        expected = [both(x, weight) for x, weight in zip(xs, weights, strict=True)]
    for ours, theirs in zip(found, zip(*expected, strict=True), strict=True):
        assert_close(ours, torch.stack(theirs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(5, 4), (2, 1)])
def test_folded_is_convolution_and_normalisation(stride: int, size: tuple[int, int]) -> None:
    x, weight = _draw(2, 3, 2, *size), _draw(2, 4, 2, 3, 3, name="w")
    scale, shift = _draw(2, 4, name="scale"), _draw(2, 4, name="shift")

    def plain(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        several = []
        for own in zip(x, weight, scale, shift, strict=True):
            y = functional.conv2d(own[0], own[1], stride=stride, padding=1)
            y = y - y.mean((0, 2, 3), keepdim=True)
            y = y / (y.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
            several.append(y * own[2].view(-1, 1, 1) + own[3].view(-1, 1, 1))
        return torch.stack(several).movedim(2, -1)

    leaves = (x, weight, scale, shift)
    found, expected = folded(*leaves, stride=stride), plain(*leaves)
    assert_close(found, expected, rtol=1e-9, atol=1e-9)
    way = _draw(*found.shape, name="way").detach()
    grads = [
        torch.autograd.grad((y * way).sum(), leaves, create_graph=True) for y in (found, expected)
    ]
    assert_close(grads[0], grads[1], rtol=1e-8, atol=1e-8)
    seconds = [
        torch.autograd.grad(
            torch.stack([grad.square().sum() for grad in own]).sum(),
            leaves,
            materialize_grads=True,
        )
        for own in grads
    ]
    assert_close(seconds[0], seconds[1], rtol=1e-7, atol=1e-7)


def test_constant_images_have_no_variance_and_give_the_shift() -> None:
    x = torch.ones(1, 3, 1, 1, 1)
    shift = torch.tensor([[0.5, -1.0]])
    found = folded(x, torch.randn(1, 2, 1, 3, 3), torch.ones(1, 2), shift, stride=1)
    assert_close(found, shift.expand(1, 3, 1, 1, 2))


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_a_pass_that_is_recorded_gives_the_same(channels: int) -> None:
    """Where statistics are recorded the first block is not folded."""
    net = ConvNet(channels, (8, 8), 2, rng=stream(0), filters=3, blocks=2).to(DOUBLE)
    x = _draw(4, channels, 8, 8).detach()
    with normalising(seen={}):
        recorded = net(x)
    assert_close(net(x), recorded, rtol=1e-9, atol=1e-10)
