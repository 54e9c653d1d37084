"""A few test tasks with what a learner said of them, as plain data for the report."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metawright.evaluate.fewshot import predict_alone
from metawright.learners import Learner
from metawright.recipes.fewshot.learners import adaptation_steps, stepping
from metawright.rng import fork
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSource

__all__ = ["sample_tasks"]

_WAYS, _SHOTS, _QUERIES = 8, 3, 4  # shown at most
_LINES = 200  # points of a predicted line


def sample_tasks(
    learner: Learner,
    source: TaskSource,
    *,
    tasks: int,
    rng: torch.Generator,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Test tasks as they can be drawn: images with predictions, or curves through points; empty
    for inputs of another shape."""
    found = []
    for _ in range(tasks):
        own = fork(rng)
        task = source.draw(Split.TEST, rng).to(device)
        with torch.no_grad():
            if task.spec.kind is Kind.REGRESSION:
                if task.spec.features == (1,) and task.spec.outputs == 1:
                    found.append(_curve(learner, task, own))
            elif _drawable(task):
                found.append(_images(learner, task, own))
    return found


def _drawable(task: Task) -> bool:
    """Images, and signals as bands over time."""
    features = task.spec.features
    signal = len(features) == 2 and task.support.x.is_floating_point()
    return signal or (len(features) == 3 and features[0] in (1, 3))


def _images(learner: Learner, task: Task, rng: torch.Generator) -> dict[str, Any]:
    predict = learner.adapt(task.support, rng)
    support = _first(task.support, _SHOTS)
    rows = _first(task.query, _QUERIES)
    outputs = predict_alone(predict, task.query.x[rows])[:, : task.spec.outputs]
    chances = outputs.softmax(1)
    names = task.spec.classes or tuple(str(label) for label in range(task.spec.outputs))
    return {
        "kind": "images",
        "classes": list(names),
        "support": [
            {"image": _png(task.support.x[row]), "label": int(task.support.labels[row])}
            for row in support
        ],
        "query": [
            {
                "image": _png(task.query.x[row]),
                "label": int(task.query.labels[row]),
                "predicted": int(chance.argmax()),
                "confidence": float(chance.max()),
            }
            for row, chance in zip(rows, chances, strict=True)
        ],
    }


def _first(batch: Batch, each: int) -> list[int]:
    """Rows of the first few examples of the first few classes."""
    labels = batch.labels.tolist()
    return [
        row for row, label in enumerate(labels)
        if label < _WAYS and labels[:row].count(label) < each
    ]  # fmt: skip


def _png(image: Tensor) -> str:
    """An image in 0..1, or a signal of any range, as a PNG file in base64."""
    if image.dim() == 2:
        image = ((image - image.min()) / (image.max() - image.min()).clamp_min(1e-9))[None]
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    array = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _curve(learner: Learner, task: Task, rng: torch.Generator) -> dict[str, Any]:
    whole = torch.cat([task.support.x, task.query.x])
    grid = torch.linspace(float(whole.min()), float(whole.max()), _LINES, device=whole.device)
    state, lines = rng.get_state(), []
    ladder = adaptation_steps(learner)
    for steps in [step for step in (0, 1, ladder[-1]) if step in ladder] if ladder else [None]:
        rng.set_state(state)
        if steps is None:
            outputs = learner.adapt(task.support, rng)(grid[:, None])
            name = "adapted"
        else:
            with stepping(learner, steps):
                outputs = learner.adapt(task.support, rng)(grid[:, None])
            name = f"after {steps} step{'' if steps == 1 else 's'}"
        lines.append({"name": name, "points": _points(grid[:, None], outputs)})
    return {
        "kind": "curve",
        "support": _points(task.support.x, task.support.labels),
        "truth": _points(task.query.x, task.query.labels),
        "lines": lines,
    }


def _points(x: Tensor, y: Tensor) -> Sequence[Sequence[float]]:
    both = torch.cat([x, y], 1).double().cpu()
    ordered = both[both[:, 0].argsort()]
    return [[round(float(a), 4), round(float(b), 4)] for a, b in ordered]
