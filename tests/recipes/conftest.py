"""A run that holds no more than prediction and export need: run.json and a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metawright.models.layers import assemble
from metawright.models.saved import save_model
from metawright.rng import stream
from metawright.store.files import write_json
from metawright.tasks.task import Kind, TaskSpec

CLASSES = ("one, two", "ü", "three")


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    """A run with an ensemble of network and pixels under a kernel head, and of pixels alone."""
    network = {"layer": "ConvFeatures", "channels": 1, "depth": 2, "width": 16, "kernel": 3,
               "normalisation": "group", "pool": "max", "skip": True}  # fmt: skip
    pixels = {"layer": "PixelFeatures", "side": 4}
    join = {"layer": "Join", "parts": [network, pixels], "weights": [0.8, 0.2]}
    kernel = {"layer": "KernelHead", "features": 160, "classes": 3, "anchors": 6, "gamma": 0.7}
    linear = {"layer": "LinearHead", "features": 16, "classes": 3}
    prepare = {"layer": "Prepare", "channels": 1, "size": 16, "frame": True}

    def member(features: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
        return {"layer": "Classifier", "prepare": prepare, "features": features, "head": head}

    members = [member(join, kernel), member(pixels, linear)]
    blueprint = {"layer": "Ensemble", "members": members, "weights": [0.6, 0.4]}
    rng = stream(0, "small run")
    named = assemble(blueprint).named_parameters()
    params = {name: torch.randn(p.shape, generator=rng) for name, p in named}
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 12, 12), 3, CLASSES, 12, "images")
    save_model(tmp_path / "run", blueprint, params, spec)
    told = {
        "format": 1,
        "status": "done",
        "created": "2026-01-02T03:04:05+00:00",
        "data": {"name": "letters", "fingerprint": "abc"},
        "score": {"accuracy": 0.9, "low": 0.8, "high": 0.95, "how": "5 folds."},
        "bundle": {"name": "strokes", "digest": "def", "provenance": {"seed": 0}},
    }
    write_json(tmp_path / "run" / "run.json", told)
    return tmp_path / "run"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four images, one of them further down and one of them damaged."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index, name in enumerate(("b.png", "a.png", "more/d.jpg")):
        Image.fromarray(draw.integers(0, 255, (20 + index, 30), np.uint8)).save(folder / name)
    whole = (folder / "b.png").read_bytes()
    (folder / "c.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    return folder
