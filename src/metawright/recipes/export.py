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
from metawright.errors import InputError, MissingExtraError
from metawright.models import standalone
from metawright.models.carried import layer_source, without_own_imports
from metawright.models.saved import FORMAT, SavedModel, load_model, weights_bytes
from metawright.recipes.inputs import read_run
from metawright.recipes.tables.export import export_table
from metawright.store.files import write_bytes, write_json, write_text
from metawright.tasks.task import Kind

__all__ = ["export_model", "export_saved"]

_WEIGHTS = "model.safetensors"


def export_model(
    run: Path | str,
    out: Path | str | None = None,
    *,
    onnx: bool = False,
    keep_rows: bool = False,
) -> Path:
    """Writes the model of a run to a folder of its own, and gives the folder.

    `model.safetensors` and `model.json` are the model, `model.py` loads and runs it with torch
    alone, `README.md` says how; with `onnx` there is also `model.onnx`. Files of the same names
    are replaced, each in one step; whatever else is in the folder stays. Of a run on a table it is
    `table.json`, its safetensors file, `predict.py` and what that needs.

    Arguments:
        run: folder of a run of `generate`.
        out: the folder to write to (default: `export` in the run's folder).
        onnx: write `model.onnx` too; not for tables.
        keep_rows: of a table, whether members that hold rows of it (nearest neighbours, support
            vectors) are exported too.

    Raises:
        InputError: the run has no model, or the folder cannot be written.
        MissingExtraError: `onnx` is asked for, but its packages are missing.
    """
    run = Path(run)
    out = run / "export" if out is None else Path(out)
    told = read_run(run, model=False)
    if told.get("kind") == "table":
        if onnx:
            raise InputError("ONNX is for networks, and the run is on a table: leave it out.")
        return export_table(run, out, told, keep_rows=keep_rows)[0]
    if keep_rows:
        raise InputError("`keep_rows` is for tables, and the run is on images: leave it out.")
    return export_saved(load_model(run), out, told=read_run(run), onnx=onnx)


def export_saved(
    model: SavedModel, out: Path, *, told: Mapping[str, Any], onnx: bool = False
) -> Path:
    """What `export_model` does, for a model that was read or is at hand.

    Arguments:
        told: what is known of its origin, `score`, `created`, `data`, `bundle` as in `run.json`;
            what is missing is left out.
    """
    graph = _onnx(model) if onnx else None
    data = weights_bytes(model.module.state_dict())
    write_bytes(out / _WEIGHTS, data)
    write_json(out / "model.json", _description(model, told, hashlib.sha256(data).hexdigest()))
    write_text(out / "model.py", _script())
    write_text(out / "README.md", _readme(model, told, onnx=onnx))
    if graph is not None:
        write_bytes(out / "model.onnx", graph)
    return out


def _description(model: SavedModel, told: Mapping[str, Any], digest: str) -> dict[str, Any]:
    data = told.get("data") or {}
    return {
        "format": FORMAT,
        "weights": _WEIGHTS,
        "sha256": digest,
        "classes": _classes(model),
        "input": _input(model),
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


def _input(model: SavedModel) -> dict[str, Any]:
    """What goes in: images, or examples of a shape (`vocabulary` token ids, where it is not 0)."""
    spec = model.spec
    if len(spec.features) != 3:
        return {"shape": list(spec.features), "vocabulary": spec.vocabulary}
    channels, height, width = spec.features
    return {"channels": channels, "height": height, "width": width, "range": [0, 1]}


def _script() -> str:
    """The layers as they are, then `standalone.py` without its import from there."""
    _, _, body = without_own_imports(standalone).partition('"""\n\nimport')
    heading = "# --- loading and predicting " + "-" * 60
    return f"{layer_source()}\n\n{heading}\n\nimport{body}"


def _readme(model: SavedModel, told: Mapping[str, Any], *, onnx: bool) -> str:
    score = told.get("score") or {}
    accuracy = score.get("accuracy")
    words = f" Cross-validated accuracy: {100 * accuracy:.1f} %." if accuracy is not None else ""
    shape = ", ".join(map(str, ("n", *model.spec.features)))
    classifies = model.spec.kind is Kind.CLASSIFICATION
    does = f"tells {model.spec.outputs} classes apart (`model.json`, `classes`)"
    if not classifies:
        does = f"gives {model.spec.outputs} numbers for each example"
    images = len(model.spec.features) == 3
    name = "images" if images else "examples"
    lines = ["# A model made by metawright", "", f"It {does}.{words}", ""]
    if images and classifies:
        lines.append("- Image files: `python model.py IMAGE...` (needs torch and pillow).")
    lines += [
        f"- In a program: `from model import load; answers = load(FOLDER)({name})` (needs torch),",
        f"  {name} ({shape}) of {_unit(model)}; the answers are (n, {model.spec.outputs})"
        + (", `answers.softmax(1)` the probabilities." if classifies else "."),
    ]
    if onnx:
        lines.append(
            f"- ONNX: `model.onnx`, input `images` ({shape}), output `logits` "
            f"(n, {model.spec.outputs})."
        )
    return "\n".join(lines) + "\n"


def _unit(model: SavedModel) -> str:
    if model.spec.vocabulary:
        return f"token ids below {model.spec.vocabulary}, 0 for no token"
    if len(model.spec.features) == 3:
        return "floats in 0..1, bigger or smaller ones too"
    return "floats, as in the data"


def _onnx(model: SavedModel) -> bytes:
    """The model as an ONNX file: any number of images of the size that it was made for."""
    for package in ("onnx", "onnxscript"):
        _require(package)
    # Two images, so that the number of images is not taken for a constant.
    kind = torch.int64 if model.spec.vocabulary else torch.float32
    example = torch.zeros(2, *model.spec.features, dtype=kind)
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
    if model.spec.kind is not Kind.CLASSIFICATION:
        return []
    return list(model.spec.classes) or [str(label) for label in range(model.spec.outputs)]
