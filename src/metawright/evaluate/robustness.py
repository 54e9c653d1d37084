"""How a trained model bears examples that are a little worse than those it was judged on."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from metawright.errors import InputError
from metawright.rng import fork
from metawright.tasks.task import Batch, Kind, TaskSpec

__all__ = ["Corruption", "corruptions", "robustness"]

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Examples, spoilt: the same shape, values where a model expects them."""


def robustness(
    predict: Callable[[Tensor], Tensor], batch: Batch, spec: TaskSpec, rng: torch.Generator
) -> dict[str, float]:
    """Accuracy on the batch as it is ("clean") and under each corruption, by name.

    Arguments:
        predict: examples to logits (examples, classes).
        batch: with labels.
        rng: draws noise, places and what is left out; the same for each corruption.

    Raises:
        InputError: the task is no classification.

    References:
        Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, Hendrycks
        and Dietterich, 2019, https://arxiv.org/abs/1903.12261 (milder and fewer kinds here)
    """
    if spec.kind is not Kind.CLASSIFICATION:
        raise InputError(f"Robustness is measured as accuracy, but the task is {spec.kind}.")
    seed = fork(rng)
    state = seed.get_state()
    found = {"clean": _accuracy(predict, batch)}
    for name, corrupt in corruptions(spec).items():
        seed.set_state(state)
        found[name] = _accuracy(predict, Batch(corrupt(batch.x, seed), batch.y))
    return found


def corruptions(spec: TaskSpec) -> Mapping[str, Corruption]:
    """What may happen to examples of this kind, by name."""
    if spec.vocabulary:
        return {
            "1 word in 10 missing": lambda x, rng: _dropped(x, 0.1, rng),
            "3 words in 10 missing": lambda x, rng: _dropped(x, 0.3, rng),
        }
    noise: dict[str, Corruption] = {
        "noise of 0.1 sd": lambda x, rng: _noisy(x, 0.1, rng),
        "noise of 0.3 sd": lambda x, rng: _noisy(x, 0.3, rng),
    }
    if len(spec.features) != 3:
        return noise | {
            "1 value in 10 missing": lambda x, rng: _missing(x, 0.1, rng),
        }
    return noise | {
        "noise of 1 sd": lambda x, rng: _noisy(x, 1.0, rng),
        "shifted by 1 pixel": lambda x, rng: _shifted(x, 1, rng),
        "blurred": _blurred,
        "half the contrast": lambda x, rng: x.mean((1, 2, 3), keepdim=True) * 0.5 + x * 0.5,
        "a ninth covered": _covered,
    }


@torch.no_grad()
def _accuracy(predict: Callable[[Tensor], Tensor], batch: Batch) -> float:
    parts = zip(torch.split(batch.x, 512), torch.split(batch.labels, 512), strict=True)
    right = sum(float((predict(x).argmax(1) == labels).sum()) for x, labels in parts)
    return right / len(batch.x)


def _noisy(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Normal noise, in standard deviations of each feature over the batch (of all pixels, for
    images, which stay within 0..1)."""
    noise = torch.randn(x.shape, generator=rng, dtype=x.dtype)
    if x.ndim == 4:
        return (x + strength * x.std() * noise).clamp(0, 1)
    return x + strength * x.std(0, keepdim=True) * noise


def _missing(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Values in the place of which the feature's mean stands."""
    gone = torch.rand(x.shape, generator=rng) < share
    return torch.where(gone, x.mean(0, keepdim=True).expand_as(x), x)


def _dropped(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Texts without some of their tokens; those behind move up, as if never written."""
    gone = (torch.rand(x.shape, generator=rng) < share) | (x == 0)
    gone[:, 0] = False  # a text of nothing is no text
    order = torch.argsort(gone.to(torch.int8), dim=1, stable=True)
    return torch.where(gone, 0, x).gather(1, order)


def _shifted(x: Tensor, pixels: int, rng: torch.Generator) -> Tensor:
    """Each image moved up, down, left or right; its border is repeated."""
    moves = torch.tensor([(0, 1), (0, -1), (1, 0), (-1, 0)]) * pixels
    chosen = moves[torch.randint(4, (len(x),), generator=rng)]
    wide = functional.pad(x, (pixels,) * 4, mode="replicate")
    height, width = x.shape[-2:]
    rows = pixels + chosen[:, 0, None] + torch.arange(height)
    columns = pixels + chosen[:, 1, None] + torch.arange(width)
    index = torch.arange(len(x))
    moved = wide[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _blurred(x: Tensor, rng: torch.Generator) -> Tensor:
    """The mean over 3 x 3 pixels, the middle one counted four times, its neighbours twice."""
    del rng  # nothing is drawn
    line = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype)
    kernel = (line[:, None] * line / 16).expand(x.shape[1], 1, 3, 3)
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel, groups=x.shape[1])


def _covered(x: Tensor, rng: torch.Generator) -> Tensor:
    """Each image with a square of a ninth of its area in its mean grey."""
    height, width = x.shape[-2:]
    tall, wide = max(height // 3, 1), max(width // 3, 1)
    top = torch.randint(height - tall + 1, (len(x), 1), generator=rng)
    left = torch.randint(width - wide + 1, (len(x), 1), generator=rng)
    rows, columns = torch.arange(height), torch.arange(width)
    inside_rows = (rows >= top) & (rows < top + tall)
    inside_columns = (columns >= left) & (columns < left + wide)
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return torch.where(inside, x.mean((1, 2, 3), keepdim=True), x)
