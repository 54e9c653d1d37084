"""The profile of a task: numbers that say what they are called."""

import math

import pytest
import torch

from metawright.evaluate.support import ANCHORS, Support
from metawright.generators.bundle import Bundle
from metawright.generators.profile import PROFILE, reference_network
from metawright.recipes.experience import support_profile
from metawright.rng import stream
from metawright.spaces import Design, contains
from metawright.spaces.convolutional import network_space
from metawright.tasks.task import Kind, TaskSpec


def numbers(bundle: Bundle, counts: list[int], native: int = 0, noise: float = 0.1) -> list[float]:
    rng = stream(0, "profile")
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = noise * torch.rand(len(labels), 1, 28, 28, generator=rng)
    for image, label in zip(x, labels, strict=True):
        image[0, 4:24, 4 + 3 * int(label) : 8 + 3 * int(label)] = 1
        image[0, 4 : 8 + 2 * int(label), 4:24] = 1
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), len(counts), native_size=native)
    found = support_profile(Support(x, labels, spec, bundle.shared, bundle.prepare))
    assert found.shape == (len(PROFILE),) and found.dtype == torch.float64
    assert torch.isfinite(found).all()
    return found.tolist()


def test_what_can_be_counted(tiny_bundle: Bundle) -> None:
    found = dict(zip(PROFILE, numbers(tiny_bundle, [1, 4, 4, 1], native=8), strict=True))
    assert found["log classes"] == pytest.approx(math.log(4))
    assert found["log examples a class"] == pytest.approx(math.log(4) / 2)
    assert found["one example a class"] == 0.5
    assert found["log native size"] == pytest.approx(math.log(8))
    assert 0 < found["ink"] < 1


def test_sizes_beyond_64_count_as_64_and_unknown_ones_as_the_bundles(tiny_bundle: Bundle) -> None:
    place = PROFILE.index("log native size")
    assert numbers(tiny_bundle, [2, 2], native=900)[place] == pytest.approx(math.log(64))
    assert numbers(tiny_bundle, [2, 2])[place] == pytest.approx(math.log(28))


def test_classes_that_look_alike_are_less_separate(tiny_bundle: Bundle) -> None:
    place = PROFILE.index("pixel separation")
    assert (
        numbers(tiny_bundle, [3, 3, 3])[place] > numbers(tiny_bundle, [3, 3, 3], noise=0.9)[place]
    )


def test_a_large_support_is_profiled_as_a_small_one(tiny_bundle: Bundle) -> None:
    """There is no room for copies to learn from, but one is made to measure the separation by."""
    x = torch.rand(ANCHORS, 1, 28, 28, generator=stream(0))
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 2)
    sizes = (40, ANCHORS)
    found = [
        support_profile(
            Support(x[:n], torch.arange(n) % 2, spec, tiny_bundle.shared, tiny_bundle.prepare)
        )
        for n in sizes
    ]
    for name in ("pixel separation", "network separation"):
        small, large = (profile[PROFILE.index(name)] for profile in found)
        assert abs(float(small - large)) < 1, name


def test_the_reference_network_is_one_of_the_space() -> None:
    assert contains(network_space(), Design(reference_network()))
