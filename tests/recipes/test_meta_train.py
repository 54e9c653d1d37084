"""Meta-training on a folder of shapes, in a few seconds: whole, resumable, and without digits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metawright.engine.lock import FolderLock
from metawright.errors import BusyError, InputError
from metawright.generators.bundle import Bundle, load_bundle
from metawright.models.shared import shared_params
from metawright.recipes.experience import ExperienceRecipe
from metawright.recipes.meta_train import WeightRecipe, meta_train, task_source
from metawright.rng import stream
from metawright.store import Store, Trial
from metawright.tasks.glyphs import is_digit
from metawright.tasks.task import Split
from metawright.training.fit import Progress

KINDS = ("bar", "ring", "slope", "cross")
WEIGHTS: dict[str, Any] = {"steps": 2, "ways": 3, "shots": 1, "queries": 2}
EXPERIENCE = ExperienceRecipe(tasks=10, designs=2, ways=(2, 3), shots=(1, 2), queries=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, draw_shapes_in: Callable[..., Path]) -> Path:
    """Twenty classes of four drawings."""
    names = {f"{kind}{number}": 4 for number in range(5) for kind in KINDS}
    return draw_shapes_in(tmp_path_factory.mktemp("source") / "shapes", names)


def go(source: Path, out: Path, method: str = "maml", **changes: Any) -> Bundle:
    inner = (0, 1) if method == "maml" else (3, 3)
    recipe = WeightRecipe(**WEIGHTS, method=method, inner_steps=inner)
    asked: dict[str, Any] = {"weights": recipe, "experience": EXPERIENCE, "commit": "abc1234"}
    return meta_train([str(source)], out, **asked | changes)


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A meta-trained bundle; not to be changed."""
    out = tmp_path_factory.mktemp("made") / "shapes"
    go(source, out)
    return out


def stored(out: Path) -> list[Trial]:
    with Store(out / "work" / "store") as store:
        return store.trials()


def test_the_bundle_says_where_it_comes_from(made: Path, source: Path) -> None:
    bundle = load_bundle(made)
    told = bundle.provenance
    assert bundle.name == "shapes" and (bundle.channels, bundle.size) == (1, 28)
    assert told["sources"] == [str(source)] and told["licences"] == {str(source): "yours"}
    assert told["commit"] == "abc1234" and told["metawright"] and told["torch"]
    assert told["weights"]["steps"] == 2 and told["weights"]["seed"] == 0
    assert told["experience"]["tasks"] == 10
    assert (bundle.proposal.tasks, bundle.proposal.trials) == (10, 20)
    assert len(set(bundle.elites)) == 16


def test_weights_were_trained_from_the_seed(made: Path) -> None:
    bundle, first = load_bundle(made), shared_params(1, stream(0, "weights"))
    assert bundle.shared.keys() == first.keys() | {"log_scale"}
    moved = [not torch.equal(bundle.shared[name], first[name].half().float()) for name in first]
    assert sum(moved) > len(moved) / 2


def test_a_finished_one_is_only_read_again(made: Path, source: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(made, tmp_path / "shapes"))
    steps: list[int] = []
    again = go(
        source,
        out,
        on_step=lambda progress: steps.append(progress.step),
        on_trial=lambda done, total: pytest.fail("a trial was made again"),
    )
    assert again.digest == load_bundle(made).digest and len(steps) <= 1


def stop_at_step(progress: Progress) -> None:
    raise KeyboardInterrupt


def stop_at_trial(count: int) -> Callable[[int, int], None]:
    def stop(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return stop


@pytest.mark.slow
def test_it_goes_on_from_any_stage_to_the_same_bundle(
    made: Path, source: Path, tmp_path: Path
) -> None:
    """Stopped in the weights, at the first trial, and before the proposal model."""
    out, seen = tmp_path / "shapes", list[float]()
    for stop in (
        {"on_step": stop_at_step},
        {"on_trial": stop_at_trial(1)},
        {"on_trial": stop_at_trial(20)},
    ):
        with pytest.raises(KeyboardInterrupt):
            go(source, out, **stop)
        with pytest.raises(InputError, match=r"There is no bundle in"):
            load_bundle(out)
        if (out / "work" / "store").exists():
            trials = [trial.created for trial in stored(out)]
            assert trials[: len(seen)] == seen, "what was tried is kept"
            seen = trials
    done = go(source, out)
    assert [trial.created for trial in stored(out)] == seen and len(seen) == 20
    assert done.digest == load_bundle(made).digest and done.elites == load_bundle(made).elites


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": WeightRecipe(**WEIGHTS | {"steps": 3})},
        {"experience": ExperienceRecipe(tasks=11, designs=2, ways=(2, 3), shots=(1, 2))},
        {"size": 32},
    ],
    ids=["weights", "experience", "size"],
)
def test_another_recipe_in_the_same_folder(
    made: Path, source: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    out = Path(shutil.copytree(made, tmp_path / "shapes"))
    with pytest.raises(InputError, match=r"shapes' holds the work of another recipe: choose"):
        go(source, out, **changes)
    assert load_bundle(out).digest == load_bundle(made).digest


def test_a_foreign_folder_is_untouched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no bundle"):
        go(source, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match=r"thesis\.tex' is a file"):
        go(source, tmp_path / "thesis.tex")


def test_two_at_once(source: Path, tmp_path: Path) -> None:
    with FolderLock(tmp_path / "out" / "work"), pytest.raises(BusyError, match="is writing"):
        go(source, tmp_path / "out")


@pytest.mark.slow
def test_reptile_in_colour(source: Path, tmp_path: Path) -> None:
    bundle = go(source, tmp_path / "shapes", "reptile", channels=3)
    assert bundle.provenance["weights"]["method"] == "reptile"
    assert bundle.prepare == {"layer": "Prepare", "channels": 3, "size": 28, "frame": False}
    first = shared_params(3, stream(0, "weights"))
    moved = [not torch.equal(bundle.shared[name], first[name].half().float()) for name in first]
    assert sum(moved) > len(moved) / 2


def test_unknown_sources(tmp_path: Path) -> None:
    for name in ("digits", "sinusoid", "nonsense"):
        with pytest.raises(InputError, match=f"no source '{name}' to meta-train on: use glyphs"):
            meta_train([name], tmp_path / "out", weights=WeightRecipe(steps=1))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_digits_of_no_script_are_drawn() -> None:
    """Any part of the glyphs, by the names of the classes in the tasks of meta-training."""
    glyphs = task_source("glyphs", ways=60, shots=1, queries=0)
    names = {
        name
        for split in Split
        for name in glyphs.draw(split, stream(0, "names", split)).spec.classes
    }
    assert len(names) > 150
    assert not [name for name in names if is_digit(name)]
    assert not [name for name in names if any(character.isdigit() for character in name)]
