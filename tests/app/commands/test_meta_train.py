"""The verb `meta-train`: a bundle of a user's own folder that `generate` then uses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.generators.bundle import load_bundle


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


@pytest.mark.slow
def test_from_a_folder_to_a_model(
    tmp_path: Path,
    shapes: Path,
    draw_shapes_in: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = ("bar", "ring", "slope", "cross")
    source = draw_shapes_in(
        tmp_path / "many", {f"{kind}{n}": 3 for n in range(4) for kind in kinds}
    )
    out = tmp_path / "bundle"
    asked = ("meta-train", source, "--out", out, "--steps", 1, "--tasks", 10, "--designs", 2)
    assert metawright(*asked, "--commit", "abc1234", "--method", "reptile") == 0
    told, err = capsys.readouterr()
    assert told.startswith(f"Bundle: {out} (proposal model from 20 trials on 10 tasks explains")
    assert "Shared weights" in err and "Experience" in err and "20 of 20 trials" in err
    bundle = load_bundle(out)
    assert bundle.provenance["commit"] == "abc1234"
    assert bundle.provenance["weights"]["method"] == "reptile"
    wanted = ("generate", shapes, "--bundle", out, "--out", tmp_path / "run", "--trials", 1)
    assert metawright(*wanted, "--no-report") == 0
    assert "Model:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "flag", "told"),
    [
        ("keel", ("--steps", "3"), "--steps is for images, and these are tables"),
        ("glyphs", ("--target", "y"), "--target is for tables, and these are images"),
    ],
)
def test_flags_of_other_sources_are_refused(
    source: str,
    flag: tuple[str, str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert metawright("meta-train", source, "--out", tmp_path / "bundle", *flag) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
