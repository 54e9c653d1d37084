"""An export runs with torch alone and says the same as the run."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from metawright.errors import InputError, MissingExtraError
from metawright.models.carried import layer_source
from metawright.models.saved import load_model
from metawright.recipes.export import export_model
from metawright.recipes.predict import predict_paths
from metawright.rng import stream

WITHOUT = """
import importlib.abc, json, sys

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Without())
"""


def isolated(program: str, *arguments: object, blocked: tuple[str, ...] = ()) -> str:
    """What a program prints where neither metawright nor safetensors can be imported."""
    start = f"BLOCKED = {('metawright', 'safetensors', *blocked)!r}{WITHOUT}"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", start + program, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_needs_only_torch_and_gives_equal_logits(small_run: Path) -> None:
    folder = export_model(small_run)
    assert folder == small_run / "export"
    program = """
sys.path.insert(0, sys.argv[1])
import torch
from model import load
module = load(sys.argv[1])
images = torch.linspace(0, 1, 2 * 9 * 11).reshape(2, 1, 9, 11).sin().abs()
foreign = [name for name in sys.modules if name.partition(".")[0] in BLOCKED]
print(json.dumps([module(images).tolist(), module.training, foreign]))
"""
    logits, training, foreign = json.loads(isolated(program, folder, blocked=("PIL",)))
    images = torch.linspace(0, 1, 2 * 9 * 11).reshape(2, 1, 9, 11).sin().abs()
    expected = load_model(small_run).module(images)
    assert foreign == [] and not training
    torch.testing.assert_close(torch.tensor(logits), expected, rtol=0, atol=1e-6)


def test_the_script_predicts_image_files(small_run: Path, pictures: Path) -> None:
    folder = export_model(small_run)
    program = """
import runpy
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    print(end.code)
"""
    names = [pictures / "a.png", pictures / "c.png", pictures / "more" / "d.jpg"]
    *rows, code = isolated(program, folder / "model.py", *names).splitlines()
    expected = predict_paths(small_run, names)
    assert code == "2", "one of them is damaged"
    assert [row.split("\t")[:2] for row in rows] == [
        list(pair) for pair in zip(expected.inputs, expected.labels, strict=True)
    ]
    shown = [float(row.split("\t")[2]) for row in rows]
    np.testing.assert_allclose(shown, expected.confidences, atol=6e-5)


@pytest.mark.parametrize(
    ("arguments", "blocked", "sentence"),
    [(["a.png"], ("PIL",), "needs Pillow"), ([], (), "usage: python model.py IMAGE...")],
)
def test_the_script_explains_itself(
    small_run: Path, arguments: list[str], blocked: tuple[str, ...], sentence: str
) -> None:
    program = """
import contextlib, io, runpy
sys.argv = sys.argv[1:]
with contextlib.redirect_stderr(io.StringIO()) as told:
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print(end.code)
print(told.getvalue())
"""
    script = export_model(small_run) / "model.py"
    code, told = isolated(program, script, *arguments, blocked=blocked).split("\n", 1)
    assert code == "2" and sentence in told


def test_the_script_carries_the_layers_along(small_run: Path) -> None:
    text = (export_model(small_run) / "model.py").read_text("utf-8")
    assert layer_source() in text
    assert "import metawright" not in text and "from metawright" not in text


def test_damaged_weights_are_noticed(small_run: Path) -> None:
    folder = export_model(small_run)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    spec = importlib.util.spec_from_file_location("exported", folder / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        module.load(folder)


def test_the_description(small_run: Path) -> None:
    folder = export_model(small_run)
    told = json.loads((folder / "model.json").read_text("utf-8"))
    assert told["classes"] == ["one, two", "ü", "three"]
    assert told["input"] == {"channels": 1, "height": 12, "width": 12, "range": [0, 1]}
    assert told["score"]["accuracy"] == 0.9
    assert told["provenance"]["bundle"]["provenance"] == {"seed": 0}
    assert told["provenance"]["data"] == {"name": "letters", "fingerprint": "abc"}
    readme = (folder / "README.md").read_text("utf-8")
    assert "python model.py IMAGE" in readme and "90.0 %" in readme and "onnx" not in readme
    x = torch.rand(1, 1, 12, 12, generator=stream(0, "x"))
    expected = load_model(small_run).module(x)
    torch.testing.assert_close(load_model(folder).module(x), expected, rtol=0, atol=0)


def test_an_existing_folder_keeps_what_is_not_ours(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "mine").mkdir(parents=True)
    (out / "mine" / "notes.txt").write_text("keep")
    (out / "model.py").write_text("old")
    assert export_model(small_run, out) == export_model(str(small_run), str(out)) == out
    names = {path.name for path in out.iterdir()}
    assert names == {"mine", "model.py", "model.json", "model.safetensors", "README.md"}
    assert (out / "mine" / "notes.txt").read_text() == "keep"
    assert "def load" in (out / "model.py").read_text()


def test_a_file_in_the_way(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="file stands where a folder is needed"):
        export_model(small_run, tmp_path / "out")


def test_onnx_without_the_extra(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'metawright\[onnx\]'"):
        export_model(small_run, onnx=True)
    assert not (small_run / "export").exists(), "nothing is written before"


@pytest.mark.slow
def test_onnx_gives_equal_logits(small_run: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra `onnx`")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    folder = export_model(small_run, onnx=True)
    session = runtime.InferenceSession(folder / "model.onnx")
    model = load_model(small_run)
    for count in (1, 5):
        x = torch.rand(count, 1, 12, 12, generator=stream(count, "x"))
        (found,) = session.run(None, {"images": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), model.module(x), rtol=1e-4, atol=1e-5)
    classes = session.get_modelmeta().custom_metadata_map["classes"]
    assert json.loads(classes) == list(model.spec.classes)
    assert "model.onnx" in (folder / "README.md").read_text("utf-8")
