"""Judging designs on a support set: what is judged is not learned, what is kept is true."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.evaluate import assessment as assessment_module
from metawright.evaluate.assessment import ADAPTATION_IMAGES, assess, finish
from metawright.evaluate.support import ANCHORS, COPIES, JUDGED_COPIES, Support
from metawright.generators.bundle import Bundle
from metawright.models.build import fit_head, module_of
from metawright.models.layers import PixelFeatures
from metawright.models.shared import features_of, sub_params
from metawright.rng import stream
from metawright.spaces import Design
from metawright.tasks.task import Kind, TaskSpec

NETWORK = {
    "depth": 2,
    "width": 32,
    "kernel": 3,
    "normalisation": "group",
    "pool": "max",
    "skip": False,
}
NONE = {"kind": "none"}
DESCENT = {"kind": "descent", "steps": 5, "lr": 0.03}
RIDGE = {"kind": "ridge", "penalty": 0.1}


def design(
    kind: str = "pixels",
    *,
    adaptation: dict[str, Any] = NONE,
    head: dict[str, Any] = RIDGE,
    copies: int = 0,
) -> Design:
    features: dict[str, Any] = {"kind": kind}
    if kind != "pixels":
        features |= {"network": NETWORK, "adaptation": adaptation}
    if kind != "network":
        features |= {"side": 8}
    if kind == "both":
        features |= {"pixel_share": 0.4}
    augmentation = {"copies": copies, "strength": 0.6}
    return Design({"features": features, "head": head, "augmentation": augmentation})


def drawings(counts: list[int], *, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Bars turned by class, with noise: (images, labels), sorted by class."""
    rng = stream(0, "drawings", str(counts))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = noise * torch.rand(len(labels), 1, 28, 28, generator=rng)
    rows, columns = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    for image, label in zip(x, labels, strict=True):
        angle = torch.pi * label / len(counts)
        off = (rows * torch.cos(angle) - columns * torch.sin(angle)).abs()
        image[0] += (1 - noise) * ((off < 2) & (rows**2 + columns**2 < 120))
    return x, labels


def support_of(
    bundle: Bundle, counts: list[int], *, labels: Tensor | None = None, noise: float = 0.3
) -> Support:
    x, truth = drawings(counts, noise=noise)
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), len(counts))
    given = truth if labels is None else labels
    return Support(x, given, spec, bundle.shared, bundle.prepare, seed=3)


# --- folds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "folds"),
    [([5, 5, 5], 5), ([12, 9], 5), ([2, 2], 2), ([4, 1, 3], 3), ([1, 2, 30], 2), ([1, 1, 6], 5)],
)
def test_every_judged_class_is_still_learned(
    tiny_bundle: Bundle, counts: list[int], folds: int
) -> None:
    support = support_of(tiny_bundle, counts)
    assert len(support.folds) == folds
    judged = torch.cat([fold.judged for fold in support.folds])
    alone = [label for label, count in enumerate(counts) if count == 1]
    several = [i for i, label in enumerate(support.labels.tolist()) if label not in alone]
    assert sorted(judged.tolist()) == several, "each example is judged once, unless alone"
    for fold in support.folds:
        together = torch.cat([fold.train, fold.judged])
        assert sorted(together.tolist()) == list(range(len(support.labels)))
        assert set(support.labels[fold.train].tolist()) == set(range(len(counts)))
    assert f"{folds}-fold cross-validation on {len(several)} examples" in support.how


def test_one_example_a_class_is_judged_on_copies(tiny_bundle: Bundle) -> None:
    support = support_of(tiny_bundle, [1, 1, 1, 1])
    assert not support.folds
    assert f"{JUDGED_COPIES} distorted copies of each of 4 examples" in support.how
    found = assess(design(), support)
    assert len(found.folds) == JUDGED_COPIES
    assert torch.equal(found.labels, torch.arange(4).repeat(JUDGED_COPIES))
    assert found.accuracy > 0.5, "distorted bars are still told apart"
    judged = support.judged_copies()
    assert torch.equal(judged, support.judged_copies())
    for copy in support.copies(1.0):
        assert not any(torch.equal(copy, other) for other in judged), "not those learned from"


# --- what is kept is what is true ----------------------------------------------------------------


def test_kept_features_are_those_computed_directly(tiny_bundle: Bundle) -> None:
    support = support_of(tiny_bundle, [3, 4])
    own = sub_params(tiny_bundle.shared, NETWORK)
    assert_close(support.shared_features(NETWORK, 0.0)[0], features_of(own, NETWORK, support.x))
    copies = support.copies(0.6, 3).clone()
    assert copies.shape == (3, 7, 1, 28, 28)
    support.shared_features(NETWORK, 0.6, 1)  # one is there when three are asked for
    kept = support.shared_features(NETWORK, 0.6, 3)
    for number in range(3):
        assert_close(kept[number], features_of(own, NETWORK, copies[number]))
    assert torch.equal(support.copies(0.6, 2), copies[:2])
    assert not torch.equal(support.copies(0.3, 1)[0], copies[0])


@pytest.mark.parametrize("kind", ["network", "both"])
def test_the_way_over_kept_features_gives_the_same(tiny_bundle: Bundle, kind: str) -> None:
    """Descent at a rate of zero leaves the weights alone but keeps no features."""
    support = support_of(tiny_bundle, [4, 4])
    still = DESCENT | {"lr": 0.0, "steps": 2}
    kept = assess(design(kind, copies=3), support)
    direct = assess(design(kind, adaptation=still, copies=3), support)
    assert_close(kept.probabilities, direct.probabilities, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("counts", [[4, 4, 3], [1, 1, 1]])
def test_same_support_same_assessment(tiny_bundle: Bundle, counts: list[int]) -> None:
    tried = design("both", adaptation=DESCENT, copies=3)
    first, again = (assess(tried, support_of(tiny_bundle, counts)) for _ in range(2))
    assert torch.equal(first.probabilities, again.probabilities)
    assert (first.folds, first.log_loss) == (again.folds, again.log_loss)


def test_the_numbers_of_an_assessment_fit_together(tiny_bundle: Bundle) -> None:
    support = support_of(tiny_bundle, [4, 5, 6], noise=0.9)
    found = assess(design(), support)
    right = (found.probabilities.argmax(1) == found.labels).double()
    assert found.accuracy == float(right.mean())
    sizes = [len(fold.judged) for fold in support.folds]
    assert list(found.folds) == [float(p.mean()) for p in torch.split(right, sizes)]
    loss = -found.probabilities[torch.arange(len(found.labels)), found.labels].log().mean()
    assert found.log_loss == pytest.approx(float(loss), abs=1e-5)
    assert_close(found.probabilities.sum(1), torch.ones(15))


# --- no leak -------------------------------------------------------------------------------------


@pytest.mark.parametrize("adaptation", [NONE, DESCENT], ids=["kept", "descent"])
def test_judged_examples_are_not_learned_from(
    tiny_bundle: Bundle, adaptation: dict[str, Any]
) -> None:
    """With labels at random, only a leak could do better than chance."""
    labels = torch.randperm(48, generator=stream(1)) % 4
    x = torch.rand(48, 1, 28, 28, generator=stream(2))
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 4)
    support = Support(x, labels, spec, tiny_bundle.shared, tiny_bundle.prepare)
    kernel = {"kind": "kernel", "gamma": 5.0, "penalty": 0.01}  # learns anything by heart
    tried = design("both", adaptation=adaptation, head=kernel, copies=3)
    assert assess(tried, support).accuracy < 0.5  # chance: 0.25, standard deviation 0.06
    module = module_of(finish(tried, support, 1.0))
    assert (module(x).argmax(1) == labels).double().mean() > 0.9, "by heart"


# --- the finished model --------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [[4, 4, 4], [1, 1, 1]])
def test_descent_lowers_the_loss_and_leaves_the_shared_weights(
    tiny_bundle: Bundle, counts: list[int]
) -> None:
    support = support_of(tiny_bundle, counts)
    before = {name: value.clone() for name, value in tiny_bundle.shared.items()}
    curve = assess(design("network", adaptation=DESCENT), support).curve
    assert len(curve) == 6
    assert curve[-1] < 0.9 * curve[0]
    assert all(later < earlier for earlier, later in pairwise(curve))
    assert assess(design("network"), support).curve == ()
    assert all(torch.equal(before[name], tiny_bundle.shared[name]) for name in before)


@pytest.mark.parametrize("kind", ["pixels", "network", "both"])
def test_the_finished_module_says_what_its_parts_say(tiny_bundle: Bundle, kind: str) -> None:
    """The module on bare images against a head that is solved here on features made here."""
    support = support_of(tiny_bundle, [4, 4])
    examples = torch.cat([support.x, support.copies(0.6, 3).flatten(0, 1)])
    own = sub_params(tiny_bundle.shared, NETWORK)

    def features(x: Tensor) -> Tensor:
        learned: Tensor = features_of(own, NETWORK, x)
        pixels: Tensor = PixelFeatures(8)(x)
        joined = torch.cat([learned * 0.6**0.5, pixels * 0.4**0.5], 1)
        return {"pixels": pixels, "network": learned, "both": joined}[kind]

    head = fit_head(RIDGE, features(examples), support.labels.repeat(4), 2)
    built = finish(design(kind, copies=3), support, 2.0)
    logits = module_of(built)(support.images)
    assert_close(logits, 2 * module_of(head)(features(support.x)), rtol=1e-3, atol=1e-3)
    assert (logits.argmax(1) == support.labels).all()


@pytest.mark.parametrize(
    ("ways", "shots", "copies"), [(10, 1, 8), (20, 1, 3), (12, 5, 8), (3, 2, 0)]
)
def test_a_step_of_descent_sees_every_class_alike(
    tiny_bundle: Bundle, ways: int, shots: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are limited, and every second row of ten classes would be five classes."""
    seen: list[Tensor] = []

    def watched(forward: Any, params: Any, batch: Any, **rest: Any) -> Any:
        seen.append(torch.bincount(batch.labels, minlength=ways))
        return params

    monkeypatch.setattr(assessment_module, "descend", watched)
    support = support_of(tiny_bundle, [shots] * ways)
    finish(design("network", adaptation=DESCENT, copies=copies), support, 1.0)
    assert int(seen[0].sum()) == min(ADAPTATION_IMAGES, ways * shots * (1 + copies))
    assert int(seen[0].max() - seen[0].min()) <= 1


def test_descent_moves_every_weight_of_the_network(tiny_bundle: Bundle) -> None:
    support = support_of(tiny_bundle, [4, 4])
    built = finish(design("both", adaptation=DESCENT), support, 1.0)
    for name, value in sub_params(tiny_bundle.shared, NETWORK).items():
        assert not torch.equal(built.params[f"features.parts.0.{name}"], value), name


def test_a_large_support_has_no_room_for_copies(tiny_bundle: Bundle) -> None:
    x = torch.rand(ANCHORS, 1, 28, 28, generator=stream(0))
    labels = torch.arange(ANCHORS) % 2
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 2)
    support = Support(x, labels, spec, tiny_bundle.shared, tiny_bundle.prepare)
    assert support.room() == 0
    assert support_of(tiny_bundle, [4, 4]).room() == COPIES
    head = {"kind": "kernel", "gamma": 1.0, "penalty": 1.0}
    built = finish(design(head=head, copies=8), support, 1.0)
    assert built.params["head.anchors"].shape[0] == ANCHORS
