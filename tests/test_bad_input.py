"""Bad input at the command line: one clear sentence on stderr, exit code 2, and nothing is lost.

Most cases run in this process, which is quick; those that are about time, signals and what is
loaded run in one of their own.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.models.saved import load_model
from metawright.store import Store

Capture = pytest.CaptureFixture[str]


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`refused(verb, ...)`: the one sentence with which the command line refuses."""

    def ask(*arguments: object) -> str:
        assert metawright(*arguments) == 2
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if not line.endswith(" ...")]  # progress
        assert out == "" and len(lines) == 1, err
        sentence = lines[0]
        assert sentence.startswith("Error: ") and sentence.endswith((".", "?"))
        assert "Traceback" not in sentence and "bug" not in sentence
        return sentence

    return ask


@pytest.fixture
def generate(refused: Callable[..., str], tmp_path: Path, tiny_bundle_folder: Path) -> Any:
    """`generate(data, ...)`: the sentence with which `metawright generate` refuses."""

    def ask(data: object, *arguments: object) -> str:
        out = tmp_path / "run"
        sentence = refused(
            "generate", data, "--out", out, "--bundle", tiny_bundle_folder, *arguments
        )
        assert not out.exists(), "nothing was written"
        return sentence

    return ask


# --- the data ------------------------------------------------------------------------------------


def test_no_such_folder(generate: Any, shapes: Path) -> None:
    assert "no folder or source 'nowhere'" in generate("nowhere")
    assert "is a file, but a folder" in generate(shapes / "bar" / "0.png")


def test_an_empty_folder(generate: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty' has no classes: put the images of each class" in generate(tmp_path / "empty")


def test_images_without_classes(generate: Any, shapes: Path) -> None:
    assert "holds 4 images and no sub-folders" in generate(shapes / "bar")


def test_one_class(generate: Any, shapes: Path) -> None:
    for name in ("ring", "slope"):
        shutil.rmtree(shapes / name)
    assert "has one class only ('bar'), so there is nothing to tell apart" in generate(shapes)


def test_a_class_without_images(generate: Any, shapes: Path) -> None:
    (shapes / "zero").mkdir()
    assert "zero' has no images: add some, or remove the folder" in generate(shapes)


def test_a_class_with_unreadable_images_only(generate: Any, shapes: Path) -> None:
    for path in (shapes / "ring").iterdir():
        path.write_bytes(b"")
    assert "ring' has 4 images, none of them readable" in generate(shapes)


def done(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "run" / "run.json").read_text())
    assert found["status"] == "done"
    return found


def works(data: Path, tmp_path: Path, bundle: Path, *more: object) -> dict[str, Any]:
    asked = ("--out", tmp_path / "run", "--bundle", bundle, "--trials", 2, *more)
    assert metawright("generate", data, *asked) == 0
    return done(tmp_path)


def test_a_class_with_one_image_works_with_a_note(
    shapes: Path,
    draw_shapes_in: Callable[..., Path],
    tmp_path: Path,
    tiny_bundle_folder: Path,
    capsys: Capture,
) -> None:
    draw_shapes_in(shapes, {"cross": 1})
    found = works(shapes, tmp_path, tiny_bundle_folder)
    note = "1 of 4 classes have one image only (cross): they are learned, but cannot be checked."
    assert found["data"]["notes"] == [note] and found["data"]["support"]["cross"] == 1
    assert note in capsys.readouterr().err
    assert load_model(tmp_path / "run").spec.classes == ("bar", "cross", "ring", "slope")


def test_one_image_of_every_class_works(
    tmp_path: Path, draw_shapes_in: Callable[..., Path], tiny_bundle_folder: Path
) -> None:
    data = draw_shapes_in(tmp_path / "one", {"bar": 1, "ring": 1})
    found = works(data, tmp_path, tiny_bundle_folder)
    assert "distorted copies of each of 2 examples" in found["score"]["how"]


def test_unreadable_images_are_left_out_with_a_note(
    shapes: Path, tmp_path: Path, tiny_bundle_folder: Path, capsys: Capture
) -> None:
    whole = (shapes / "bar" / "0.png").read_bytes()
    (shapes / "bar" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (shapes / "ring" / "text.jpg").write_text("no image")
    found = works(shapes, tmp_path, tiny_bundle_folder)
    assert len(found["data"]["notes"]) == 1
    note = found["data"]["notes"][0]
    assert "2 images could not be read and are left out" in note
    assert "cut.png" in note and "text.jpg" in note
    assert note in capsys.readouterr().err
    assert found["data"]["support"] == {"bar": 4, "ring": 4, "slope": 4}


def test_mixed_sizes_and_modes_work(
    shapes: Path, tmp_path: Path, tiny_bundle_folder: Path
) -> None:
    ink = np.zeros((50, 30), np.uint8)
    ink[5:45, 12:18] = 255
    for number, mode in enumerate(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F")):
        ending = "tiff" if mode in ("CMYK", "I", "F") else "png"
        picture = Image.fromarray(ink).resize((30 + 7 * number, 50)).convert(mode)
        picture.save(shapes / "bar" / f"mode-{mode}.{ending}")
    Image.fromarray(ink[:1, :1]).save(shapes / "ring" / "pixel.gif")
    found = works(shapes, tmp_path, tiny_bundle_folder)
    assert found["data"]["support"] == {"bar": 13, "ring": 5, "slope": 4}
    assert found["data"]["notes"] == []


def test_sources(generate: Any) -> None:
    assert "no folder or source 'digit'" in generate("digit")
    assert "'sinusoid' has no images to classify: use one of digits, glyphs" in generate(
        "sinusoid"
    )
    assert "'images' has no images to classify" in generate("images")
    assert "ask for at most 10 ways" in generate("digits", "--ways", 11)
    assert "--ways must be at least 2, but got 1" in generate("digits", "--ways", 1)
    assert "--shots must be at least 1, but got 0" in generate("digits", "--shots", 0)
    assert "--queries must be at least 0, but got -1" in generate("digits", "--queries", -1)
    assert "lower the shots or queries" in generate("digits", "--shots", 500)


# --- flags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--budget", "0"], "--budget must be more than zero, but got '0'"),
        (["--budget", "0s"], "--budget must be more than zero, but got '0s'"),
        (["--budget=-5s"], "--budget must be more than zero, but got '-5s'"),
        (["--budget", "soon"], "--budget must be a duration such as 30s, 5m"),
        (["--trials", "0"], "--trials must be at least 1, but got 0"),
    ],
)
def test_budgets(generate: Any, shapes: Path, flags: list[str], sentence: str) -> None:
    assert sentence in generate(shapes, *flags)


def test_bundles(
    refused: Callable[..., str], shapes: Path, tmp_path: Path, tiny_bundle_folder: Path
) -> None:
    def ask(bundle: Path) -> str:
        out = tmp_path / "run"
        sentence = refused("generate", shapes, "--out", out, "--bundle", bundle)
        assert not out.exists()
        return sentence

    assert "There is no bundle in" in ask(tmp_path / "gone")
    copy = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "copy"))
    header = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(header | {"format": 99}))
    assert "has format 99, but this version of metawright reads format 1" in ask(copy)
    (copy / "bundle.json").write_text(json.dumps(header | {"format": 1, "space": 5}))
    assert "copy' is damaged" in ask(copy)
    (copy / "bundle.json").write_text("{")
    assert "damaged or not a JSON file" in ask(copy)


def test_a_bundle_with_an_unknown_design(
    refused: Callable[..., str], shapes: Path, tmp_path: Path, tiny_bundle_folder: Path
) -> None:
    """An elite that is not of the bundle's space, as after an edit by hand."""
    copy = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "copy"))
    header = json.loads((copy / "bundle.json").read_text())
    header["elites"][0]["head"] = {"kind": "forest"}
    (copy / "bundle.json").write_text(json.dumps(header))
    sentence = refused("generate", shapes, "--out", tmp_path / "run", "--bundle", copy)
    assert "copy' is damaged" in sentence and "forest" in sentence


def test_where_a_run_may_go(
    refused: Callable[..., str], shapes: Path, tmp_path: Path, tiny_bundle_folder: Path
) -> None:
    def ask(out: Path, *more: object) -> str:
        bundle = ("--bundle", tiny_bundle_folder, "--trials", 1)
        return refused("generate", shapes, "--out", out, *bundle, *more)

    assert "is not empty and holds no run" in ask(shapes)
    assert sorted(p.name for p in shapes.iterdir()) == ["bar", "ring", "slope"], "untouched"
    image = shapes / "bar" / "0.png"
    for out in (image, image / "deep" / "run"):
        assert "0.png' is a file, but a run needs a folder" in ask(out)
    assert "a part of the path is a file" in ask(tmp_path / "run", "--store", image / "store")


def test_another_run_in_the_same_folder(
    refused: Callable[..., str],
    shapes: Path,
    tmp_path: Path,
    tiny_bundle_folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    works(shapes, tmp_path, tiny_bundle_folder)
    capfd.readouterr()
    before = (tmp_path / "run" / "run.json").read_bytes()
    asked = ("--out", tmp_path / "run", "--bundle", tiny_bundle_folder, "--trials", 1)
    told = refused("generate", shapes, *asked, "--seed", 1)
    assert "holds a run with other seed: choose another --out" in told
    told = refused("generate", "digits", *asked)
    assert "holds a run with other data: choose another --out" in told
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_meta_train(refused: Callable[..., str], shapes: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "bundle")
    for source in ("digits", "nonsense"):
        told = refused("meta-train", source, *out)
        assert f"no source '{source}' to meta-train on: use glyphs" in told
    assert "--method must be maml or reptile" in refused(
        "meta-train", "glyphs", *out, "--method", "x"
    )
    for flag, value in (("steps", 0), ("tasks", 9), ("designs", 1), ("size", 15)):
        told = refused("meta-train", "glyphs", *out, f"--{flag}", value)
        assert f"--{flag} must be at least {value + 1}, but got {value}" in told
    assert "--channels must be 1 or 3" in refused("meta-train", "glyphs", *out, "--channels", 2)
    assert not (tmp_path / "bundle").exists()
    assert "is not empty and holds no bundle" in refused("meta-train", "glyphs", "--out", shapes)


# --- a full disk ---------------------------------------------------------------------------------


def test_a_full_disk(
    refused: Callable[..., str],
    shapes: Path,
    tmp_path: Path,
    tiny_bundle_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    works(shapes, tmp_path, tiny_bundle_folder)
    capfd.readouterr()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    asked = ("generate", shapes, "--out", tmp_path / "run", "--bundle", tiny_bundle_folder)
    assert metawright(*asked, "--trials", 4) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("Error: No space left on the disk of") and "same command" in error
    monkeypatch.undo()
    assert load_model(tmp_path / "run").spec.outputs == 3
    assert metawright(*asked, "--trials", 4) == 0
    assert len(done(tmp_path)["history"]) == 4


# --- a process of its own: time, what is loaded, signals -----------------------------------------

PROGRAM = str(Path(sys.executable).parent / "metawright")


@pytest.mark.parametrize(
    "wrong",
    ["folder", "empty", "one class", "unreadable", "budget", "bundle", "version", "out", "source"],
)
def test_it_is_known_before_torch_loads(
    shapes: Path, tmp_path: Path, tiny_bundle_folder: Path, wrong: str
) -> None:
    """In a fresh process; that this is within a second where torch takes two, follows."""
    (tmp_path / "empty").mkdir()
    bundle = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "bundle"))
    data, budget, out = shapes, "5s", tmp_path / "run"
    if wrong == "one class":
        shutil.rmtree(shapes / "bar")
        shutil.rmtree(shapes / "ring")
    elif wrong == "unreadable":
        for path in (shapes / "ring").iterdir():
            path.write_bytes(b"")
    elif wrong == "version":
        (bundle / "bundle.json").write_text('{"format": 7}')
    named = {"folder": tmp_path / "gone", "empty": tmp_path / "empty", "source": Path("sinusoid")}
    data = named.get(wrong, data)
    budget = "0" if wrong == "budget" else budget
    bundle = tmp_path if wrong == "bundle" else bundle
    out = shapes if wrong == "out" else out
    program = f"""
import sys
from metawright.app import cli
sys.argv = ["metawright", "generate", {str(data)!r}, "--budget", {budget!r}, "--out", {str(out)!r},
            "--bundle", {str(bundle)!r}]
try:
    cli.main()
except SystemExit as end:
    sys.stdout.write(f"code {{end.code}}, torch {{'torch' in sys.modules}}")
"""
    asked = [sys.executable, "-c", program]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert found.stdout == "code 2, torch False", found.stderr
    assert found.stderr.startswith("Error: ") and found.stderr.count("\n") == 1


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def trials(folder: Path) -> list[str]:
    if not (folder / "store" / "store.sqlite").exists():
        return []
    with Store(folder / "store") as store:
        return [trial.id for trial in store.trials()]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["loading", "searching"])
def test_control_c_and_the_same_command_goes_on(
    shapes: Path, tmp_path: Path, tiny_bundle_folder: Path, moment: str
) -> None:
    out = tmp_path / "run"
    asked = ("generate", shapes, "--out", out, "--bundle", tiny_bundle_folder, "--no-report")
    process = start(*asked, "--trials", 500)
    if moment == "searching":
        wait_for(lambda: len(trials(out)) >= 2, process)
    else:
        assert process.stderr is not None and "Loading" in process.stderr.readline()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    told, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == "Interrupted; run the same command to go on."
    assert told == "" and "Traceback" not in error
    kept = trials(out)
    if moment == "searching":
        status = json.loads((out / "run.json").read_text())["status"]
        assert status == "interrupted" and load_model(out).spec.outputs == 3
    assert metawright(*asked, "--trials", len(kept) + 1) == 0
    assert trials(out)[: len(kept)] == kept and len(trials(out)) == len(kept) + 1


@pytest.mark.slow
def test_kill_and_the_same_command_goes_on(
    shapes: Path, tmp_path: Path, tiny_bundle_folder: Path
) -> None:
    out = tmp_path / "run"
    asked = ("generate", shapes, "--out", out, "--bundle", tiny_bundle_folder, "--no-report")
    process = start(*asked, "--trials", 500)
    wait_for(lambda: len(trials(out)) >= 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = trials(out)
    assert metawright("predict", out, shapes / "bar") == 0, "the best so far predicts"
    assert metawright(*asked, "--trials", len(kept) + 1) == 0
    assert trials(out)[: len(kept)] == kept
    assert done(tmp_path)["best"]["members"][0] in trials(out)
