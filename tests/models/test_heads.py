"""Heads in closed form against scikit-learn, optimality conditions and slow versions."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from metawright.models.heads import (
    gaussian_kernel,
    prototype_layer,
    prototypes,
    solve_ridge,
    solve_ridge_by_features,
)
from metawright.rng import stream

DOUBLE = torch.float64
BALANCED, UNEVEN = (4, 4, 4), (1, 3, 9)


def _support(counts: tuple[int, ...], features: int = 6) -> tuple[Tensor, Tensor]:
    """Unit vectors in classes, in no order."""
    rng = stream(0, "support")
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=rng)]
    centres = torch.randn(len(counts), features, generator=rng, dtype=DOUBLE)
    noise = torch.randn(len(labels), features, generator=rng, dtype=DOUBLE)
    return functional.normalize(centres[labels] + noise, dim=1), labels


def _weights(labels: Tensor, counts: tuple[int, ...]) -> np.ndarray:
    """Of each example, so that every class weighs the same and the mean class has weight 1."""
    sizes = np.array(counts)
    weights: np.ndarray = (sizes.mean() / sizes)[labels.numpy()]
    return weights


@pytest.mark.parametrize("counts", [BALANCED, UNEVEN])
def test_prototypes_are_class_means(counts: tuple[int, ...]) -> None:
    features, labels = _support(counts)
    slow = torch.stack([features[labels == k].mean(0) for k in range(3)])
    assert_close(prototypes(features, labels, 3), slow)
    assert_close(prototypes(features, labels, 4)[3], torch.zeros(6, dtype=DOUBLE))


@pytest.mark.parametrize("counts", [BALANCED, UNEVEN])
def test_prototype_layer_is_minus_the_distance_up_to_a_shared_term(
    counts: tuple[int, ...],
) -> None:
    features, labels = _support(counts)
    query = torch.randn(5, 6, generator=stream(1), dtype=DOUBLE)
    scale = torch.tensor(7.0, dtype=DOUBLE)
    layer = prototype_layer(features, labels, 3, scale)
    logits = functional.linear(query, layer["weight"], layer["bias"])
    means = prototypes(features, labels, 3)
    distances = -scale * (query[:, None] - means[None]).square().sum(2)
    shared = logits - distances
    assert_close(shared, shared[:, :1].expand(5, 3))
    assert_close(logits.softmax(1), distances.softmax(1))


def test_gaussian_kernel() -> None:
    first, _ = _support(BALANCED)
    second = first[:5] + 0.1
    slow = torch.stack([torch.exp(-0.6 * (first - b).square().sum(1)) for b in second], 1)
    assert_close(gaussian_kernel(first, second, 0.6), slow)
    assert_close(gaussian_kernel(first, first, 2.0).diagonal(), torch.ones(12, dtype=DOUBLE))


@pytest.mark.parametrize("counts", [BALANCED, UNEVEN])
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_linear_ridge_is_scikit_learns(counts: tuple[int, ...], penalty: float) -> None:
    features, labels = _support(counts)
    head = solve_ridge(features @ features.T, labels, 3, penalty)
    targets = 2 * functional.one_hot(labels, 3).double().numpy() - 1
    theirs = Ridge(alpha=penalty, tol=1e-12).fit(
        features.numpy(), targets, sample_weight=_weights(labels, counts)
    )
    assert_close(features.T @ head.weight, torch.from_numpy(theirs.coef_.T), rtol=1e-7, atol=1e-9)
    assert_close(head.bias, torch.from_numpy(theirs.intercept_), rtol=1e-7, atol=1e-9)


def test_kernel_ridge_around_its_bias_is_scikit_learns() -> None:
    features, labels = _support(UNEVEN)
    kernel = gaussian_kernel(features, features, 0.8)
    head = solve_ridge(kernel, labels, 3, 0.3)
    targets = 2 * functional.one_hot(labels, 3).double() - 1
    theirs = SklearnKernelRidge(alpha=0.3, kernel="precomputed").fit(
        kernel.numpy(), (targets - head.bias).numpy(), sample_weight=_weights(labels, UNEVEN)
    )
    # Weighted examples: its dual weights are ours, for a bias that is given to it.
    assert_close(head.weight, torch.from_numpy(theirs.dual_coef_), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("counts", [(1, 1, 1), BALANCED, UNEVEN])
@pytest.mark.parametrize("gamma", [0.2, 5.0])
def test_optimality_conditions_hold(counts: tuple[int, ...], gamma: float) -> None:
    features, labels = _support(counts)
    kernel = gaussian_kernel(features, features, gamma)
    head = solve_ridge(kernel, labels, 3, 0.05)
    targets = 2 * functional.one_hot(labels, 3).double() - 1
    residual = targets - (kernel @ head.weight + head.bias)
    # Of the least-squares support vector machine: weight = (example's weight / penalty) * error,
    # and the weights of all examples sum to zero, because the bias is not penalised.
    share = torch.from_numpy(_weights(labels, counts))[:, None]
    assert_close(head.weight, share / 0.05 * residual, rtol=1e-7, atol=1e-8)
    assert_close(head.weight.sum(0), torch.zeros(3, dtype=DOUBLE), rtol=0, atol=1e-9)


def test_a_class_with_many_examples_has_no_advantage() -> None:
    # One example of class 0 many times over, one of class 1 once: the middle stays in the middle.
    features = torch.tensor([[1.0, 0.0]] * 20 + [[0.0, 1.0]], dtype=DOUBLE)
    labels = torch.tensor([0] * 20 + [1])
    head = solve_ridge(features @ features.T, labels, 2, 0.5)
    middle = torch.tensor([[0.5, 0.5]], dtype=DOUBLE) @ features.T @ head.weight + head.bias
    assert_close(middle[0, 0], middle[0, 1], rtol=0, atol=1e-9)


def test_near_copies_and_single_precision_are_no_trouble() -> None:
    features, labels = _support(BALANCED)
    copies = torch.cat([features, features + 1e-7]).float()
    head = solve_ridge(gaussian_kernel(copies, copies, 1.0), labels.repeat(2), 3, 0.003)
    assert head.weight.dtype == head.bias.dtype == torch.float32
    predicted = gaussian_kernel(copies, copies, 1.0) @ head.weight + head.bias
    assert predicted.argmax(1).tolist() == labels.repeat(2).tolist()


def test_one_class_and_a_class_without_examples() -> None:
    features, labels = _support((3,))
    head = solve_ridge(features @ features.T, labels, 1, 1.0)
    assert_close(head.bias, torch.ones(1, dtype=DOUBLE))
    more = solve_ridge(features @ features.T, labels, 2, 1.0)
    assert bool(more.weight.isfinite().all())
    assert float(more.bias[1]) == pytest.approx(-1)


@pytest.mark.parametrize("penalty", [0.0, -1.0])
def test_penalty_is_checked(penalty: float) -> None:
    with pytest.raises(ValueError, match=r"`penalty > 0` must hold, but got"):
        solve_ridge(torch.eye(2), torch.tensor([0, 1]), 2, penalty)


@pytest.mark.parametrize("counts", [BALANCED, UNEVEN, (9, 9, 9)])
def test_ridge_by_features_is_ridge_by_examples(counts: tuple[int, ...]) -> None:
    features, labels = _support(counts)
    dual = solve_ridge(features @ features.T, labels, 3, 0.3)
    weight, bias = solve_ridge_by_features(features, labels, 3, 0.3)
    assert_close(weight, features.T @ dual.weight)
    assert_close(bias, dual.bias)
