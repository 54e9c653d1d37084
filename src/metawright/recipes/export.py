"""A generated model as files that need no metawright: weights, description, a script, ONNX."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from metawright import __version__
from metawright.errors import MissingExtraError
from metawright.models import layers, standalone
from metawright.models.saved import FORMAT, SavedModel, load_model, weights_bytes
from metawright.recipes.inputs import read_run
from metawright.store.files import write_bytes, write_json, write_text

__all__ = ["export_model"]

_WEIGHTS = "model.safetensors"


def export_model(run: Path | str, out: Path | str | None = None, *, onnx: bool = False) -> Path:
    """Writes the model of a run to a folder of its own, and gives the folder.

    `model.safetensors` and `model.json` are the model, `model.py` loads and runs it with torch
    alone, `README.md` says how; with `onnx` there is also `model.onnx`. Files of the same names
    are replaced, each in one step; whatever else is in the folder stays.

    Arguments:
        run: folder of a run of `generate`.
        out: the folder to write to (default: `export` in the run's folder).

    Raises:
        InputError: the run has no model, or the folder cannot be written.
        MissingExtraError: `onnx` is asked for, but its packages are missing.
    """
    run = Path(run)
    told = read_run(run)
    model = load_model(run)
    out = run / "export" if out is None else Path(out)
    graph = _onnx(model) if onnx else None
    data = weights_bytes(dict(model.module.named_parameters()))
    write_bytes(out / _WEIGHTS, data)
    write_json(out / "model.json", _description(model, told, hashlib.sha256(data).hexdigest()))
    write_text(out / "model.py", _script())
    write_text(out / "README.md", _readme(model, told, onnx=onnx))
    if graph is not None:
        write_bytes(out / "model.onnx", graph)
    return out


def _description(model: SavedModel, told: Mapping[str, Any], digest: str) -> dict[str, Any]:
    channels, height, width = model.spec.features
    data = told.get("data") or {}
    return {
        "format": FORMAT,
        "weights": _WEIGHTS,
        "sha256": digest,
        "classes": _classes(model),
        "input": {"channels": channels, "height": height, "width": width, "range": [0, 1]},
        "score": told.get("score"),
        "provenance": {
            "metawright": __version__,
            "created": told.get("created"),
            "data": {key: data.get(key) for key in ("name", "fingerprint")},
            "bundle": told.get("bundle"),
        },
        "spec": model.spec.to_json(),
        "blueprint": model.blueprint,
    }


def _script() -> str:
    """`layers.py` as it is, then `standalone.py` without its import from there."""
    own = Path(standalone.__file__).read_text("utf-8")
    _, _, body = own.partition('"""\n\nimport')
    body = "import" + body.replace("from metawright.models.layers import assemble\n\n", "")
    heading = "# --- loading and predicting " + "-" * 60
    return f"{Path(layers.__file__).read_text('utf-8')}\n\n{heading}\n\n{body}"


def _readme(model: SavedModel, told: Mapping[str, Any], *, onnx: bool) -> str:
    channels, height, width = model.spec.features
    score = told.get("score") or {}
    accuracy = score.get("accuracy")
    words = f" Cross-validated accuracy: {100 * accuracy:.1f} %." if accuracy is not None else ""
    lines = [
        "# A model made by metawright",
        "",
        f"It tells {model.spec.outputs} classes apart (`model.json`, `classes`).{words}",
        "",
        "- Image files: `python model.py IMAGE...` (needs torch and pillow).",
        "- In a program: `from model import load; logits = load(FOLDER)(images)` (needs torch),",
        f"  images (n, {channels}, {height}, {width}) of floats in 0..1, bigger or smaller ones "
        "too; `logits.softmax(1)`",
        "  are the probabilities.",
    ]
    if onnx:
        lines.append(
            f"- ONNX: `model.onnx`, input `images` (n, {channels}, {height}, {width}), "
            "output `logits` (n, classes)."
        )
    return "\n".join(lines) + "\n"


def _onnx(model: SavedModel) -> bytes:
    """The model as an ONNX file: any number of images of the size that it was made for."""
    for package in ("onnx", "onnxscript"):
        _require(package)
    # Two images, so that the number of images is not taken for a constant.
    example = torch.zeros(2, *model.spec.features)
    with _quiet():
        program = torch.onnx.export(
            model.module,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("images", min=1)},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program.")
    program.model.metadata_props["classes"] = json.dumps(_classes(model))
    graph: bytes = program.model_proto.SerializeToString()
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's remarks on its own parts (a missing torchvision) from the user."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _require(package: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise MissingExtraError(package, "onnx") from error


def _classes(model: SavedModel) -> list[str]:
    return list(model.spec.classes) or [str(label) for label in range(model.spec.outputs)]
