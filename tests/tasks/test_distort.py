"""Distortions: nothing at strength zero, and each limit does what it says."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.rng import stream
from metawright.tasks.distort import HANDWRITING, Distortion, scaled

NOTHING = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0)


def _bars(images: int = 64, side: int = 28) -> Tensor:
    """An upright bar of four by sixteen pixels in the middle."""
    x = torch.zeros(images, 1, side, side)
    x[:, :, side // 2 - 8 : side // 2 + 8, side // 2 - 2 : side // 2 + 2] = 1
    return x


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (images, 2) and covariance (images, 2, 2) of ink in pixels, as (column, row)."""
    side = x.shape[-1]
    at = torch.arange(side, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).view(-1, 2)
    ink = x[:, 0].flatten(1).double()
    ink = ink / ink.sum(1, keepdim=True)
    centre = ink @ places
    apart = places[None] - centre[:, None]
    return centre, torch.einsum("np,npi,npj->nij", ink, apart, apart)


def test_zero_strength_is_the_identity() -> None:
    x = torch.rand(5, 3, 28, 28, generator=stream(0))
    assert_close(NOTHING(x, stream(1)), x, rtol=0, atol=1e-5)
    assert_close(scaled(HANDWRITING, 0.0)(x, stream(1)), x, rtol=0, atol=1e-5)


def test_same_generator_same_images_and_bounds() -> None:
    x = torch.rand(20, 1, 28, 28, generator=stream(0))
    first = HANDWRITING(x, stream(1))
    assert_close(first, HANDWRITING(x, stream(1)), rtol=0, atol=0)
    assert not torch.equal(first, HANDWRITING(x, stream(2)))
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_every_image_is_distorted_in_its_own_way_and_the_input_stays() -> None:
    x = _bars(3)
    before = x.clone()
    made = HANDWRITING(x, stream(0))
    assert not torch.equal(made[0], made[1])
    assert_close(x, before, rtol=0, atol=0)


@pytest.mark.parametrize("size", [14, 28, 40])
def test_size(size: int) -> None:
    small = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0, size=size)
    made = small(_bars(2), stream(0))
    assert made.shape == (2, 1, size, size)
    share = float(made.mean() / _bars(2).mean())
    assert abs(share - 1) < 0.1


def test_shift_moves_up_to_its_limit() -> None:
    made = Distortion(rotation=0, shear=0, stretch=0, shift=0.1, elastic=0)(_bars(), stream(0))
    moved = _moments(made)[0] - 13.5
    for axis in range(2):
        assert 2.3 < float(moved[:, axis].abs().max()) <= 2.8 + 1e-3
        assert float(moved[:, axis].min()) < -2 < 2 < float(moved[:, axis].max())


def test_rotation_turns_up_to_its_limit() -> None:
    made = Distortion(rotation=20, shear=0, stretch=0, shift=0, elastic=0)(_bars(), stream(0))
    spread = _moments(made)[1]
    angle = 0.5 * torch.atan2(2 * spread[:, 0, 1], spread[:, 1, 1] - spread[:, 0, 0])
    degrees = angle * 180 / math.pi
    assert float(degrees.min()) < -15 < 15 < float(degrees.max())
    assert float(degrees.abs().max()) < 21


def test_shear_slants_and_stretch_scales() -> None:
    slanted = Distortion(rotation=0, shear=0.5, stretch=0, shift=0, elastic=0)(_bars(), stream(0))
    spread = _moments(slanted)[1]
    slope = spread[:, 0, 1] / spread[:, 1, 1]
    assert float(slope.min()) < -0.3 < 0.3 < float(slope.max())
    assert float(slope.abs().max()) < 0.55
    stretched = Distortion(rotation=0, shear=0, stretch=0.2, shift=0, elastic=0)(
        _bars(), stream(0)
    )
    height = (_moments(stretched)[1][:, 1, 1] / _moments(_bars())[1][:, 1, 1]).sqrt()
    assert 0.8 < float(height.min()) < 0.9 < 1.1 < float(height.max()) < 1.3


def test_elastic_bends_but_keeps_the_ink() -> None:
    made = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0.05)(_bars(), stream(0))
    assert float((made - _bars()).abs().mean((1, 2, 3)).median()) > 0.01
    assert abs(float(made.sum() / _bars().sum()) - 1) < 0.15


def test_thickness_changes_the_ink_both_ways_and_keeps_strokes() -> None:
    bars = _bars()
    made = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0, thickness=1)(
        bars, stream(0)
    )
    more = (made >= bars - 1e-5).flatten(1).all(1)
    less = (made <= bars + 1e-5).flatten(1).all(1)
    assert bool((more ^ less).all())  # thicker or thinner everywhere, never a mix
    assert 10 < int(more.sum()) < 54
    ink = made.sum((1, 2, 3)) / bars.sum((1, 2, 3))
    assert float(ink[more].max()) > 1.4
    assert 0.5 < float(ink[less].min()) < 0.8
    gentle = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0, thickness=0.3)(
        bars, stream(0)
    )
    assert float(gentle.sum((1, 2, 3)).std()) < float(made.sum((1, 2, 3)).std())


def test_coarse_takes_detail_from_its_share_of_the_images() -> None:
    x = torch.rand(200, 1, 28, 28, generator=stream(0))
    made = Distortion(rotation=0, shear=0, stretch=0, shift=0, elastic=0, coarse=0.4)(x, stream(1))
    changed = (made - x).abs().amax((1, 2, 3)) > 1e-4
    assert 0.25 < float(changed.float().mean()) < 0.55
    assert float(made[changed].std()) < 0.7 * float(x.std())


def test_scaled_multiplies_the_limits() -> None:
    half = scaled(HANDWRITING, 0.5, size=20)
    assert (half.rotation, half.shear, half.coarse, half.size) == (7.5, 0.15, 0, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": -1}, "`0 <= rotation <= inf` must hold, got -1"),
        ({"elastic": float("nan")}, "`0 <= elastic"),
        ({"coarse": 1.5}, "`0 <= coarse <= 1` must hold, got 1.5"),
        ({"size": 0}, "`size >= 1` must hold, but got 0"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distortion(**arguments)
