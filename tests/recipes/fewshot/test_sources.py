"""Sources of a few-shot run: by name, by folder, by what lies in it; and what is refused."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metawright.errors import InputError, did_you_mean
from metawright.recipes.asking import what_differs
from metawright.recipes.fewshot.asked import Asked
from metawright.recipes.fewshot.baselines import plain_learners
from metawright.recipes.fewshot.folders import check_classes
from metawright.recipes.fewshot.judging import judge
from metawright.recipes.fewshot.run import fewshot, load_fewshot
from metawright.recipes.fewshot.settings import Settings, settings_for
from metawright.recipes.fewshot.sources import open_sources, training_source
from metawright.rng import stream
from metawright.tasks import Split
from metawright.tasks.contents import source_of

CLASSES = [f"class {number}" for number in range(7)]


def asked(*sources: Path | str, **changes: int) -> Asked:
    settings = {"ways": 2, "queries": 2, "steps": 1, "tasks": 2, **changes}
    return Asked("maml", tuple(str(source) for source in sources), **settings)  # type: ignore[arg-type]


def write_texts(folder: Path) -> Path:
    """Texts that share a word with their class and with nothing else."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            text = f"{name.replace(' ', '')}{name.replace(' ', '')} {number}"
            (folder / name / f"{number}.txt").write_text(text)
    return folder


def write_sounds(folder: Path) -> Path:
    for pitch, name in enumerate(CLASSES, 1):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            time = np.arange(2000) / 8000
            values = (9000 * np.sin(2 * np.pi * 150 * pitch * time + number)).astype("<i2")
            with wave.open(str(folder / name / f"{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(values.tobytes())
    return folder


def test_texts_and_sounds_are_known_by_their_files(
    tmp_path: Path, draw_shapes_in: Callable[..., Path]
) -> None:
    texts, sounds = write_texts(tmp_path / "texts"), write_sounds(tmp_path / "sounds")
    shapes = draw_shapes_in(tmp_path / "shapes", {"bar": 2, "ring": 2})
    assert [source_of(path) for path in (texts, sounds, shapes)] == [
        "texts", "sounds", "images",
    ]  # fmt: skip
    for folder, features in ((texts, 1), (sounds, 2)):
        check_classes(folder, asked(folder))
        opened = open_sources(asked(folder))
        task = opened.judged.draw(Split.TEST, stream(0))
        assert len(task.spec.features) == features and task.spec.outputs == 2
        found = judge(
            next(iter(plain_learners(opened.spec).values())), opened.judged, Split.TEST, tasks=4,
            rng=stream(1),
        )  # fmt: skip
        assert sum(found.together) / 4 > 0.9, "the nearest mean solves these"


def test_a_table_of_texts(tmp_path: Path) -> None:
    rows = [f"{name} {number},{name}" for name in CLASSES for number in range(4)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]))
    opened = open_sources(asked(tmp_path / "texts.csv"))
    assert opened.spec.source == "texts"
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"is a file that cannot be read: give a table of"):
        open_sources(asked(tmp_path / "notes.md"))


def test_few_examples_are_refused_with_the_numbers(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts")
    with pytest.raises(InputError, match="has 4 texts, but 1 shots and 5 queries need 6"):
        check_classes(texts, asked(texts, queries=5))
    with pytest.raises(InputError, match=r"of 3 ways need 9 classes .* has 7: lower --ways to 2"):
        check_classes(texts, asked(texts, ways=3))


def test_every_part_of_a_folder_has_enough_classes(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts")
    opened = open_sources(asked(texts))
    drawn: dict[Split, set[str]] = {split: set() for split in Split}
    for split in Split:
        for seed in range(9):
            drawn[split].update(opened.judged.draw(split, stream(seed)).spec.classes)
    assert all(len(names) >= 2 for names in drawn.values())
    assert not drawn[Split.TRAIN] & (drawn[Split.TEST] | drawn[Split.VALIDATION])


def test_training_tasks_may_have_another_shape() -> None:
    """As many ways as were asked for, or as there are."""
    own = asked("digits", queries=6)
    opened = open_sources(own)
    for ways, given in ((4, 4), (20, 10), (None, 2)):
        source = training_source(opened, own, Settings(queries=3, ways=ways))
        task = source.draw(Split.TRAIN, stream(0))
        assert task.spec.outputs == given and len(task.query.labels) == 3 * given
    judged = opened.judged.draw(Split.TEST, stream(0))
    assert judged.spec.outputs == 2 and len(judged.query.labels) == 12


def test_mixed_images_are_brought_to_one_size(
    tmp_path: Path, draw_shapes_in: Callable[..., Path]
) -> None:
    shapes = draw_shapes_in(tmp_path / "shapes", dict.fromkeys(CLASSES, 4))
    opened = open_sources(asked("digits", shapes))
    assert opened.spec.features == (1, 28, 28)
    rng = stream(0)
    tasks = [opened.judged.draw(Split.TEST, rng) for _ in range(12)]
    assert {task.support.x.shape for task in tasks} == {(2, 1, 28, 28)}
    assert {task.spec.source for task in tasks} == {"digits", "images"}


def test_settings_are_the_users_before_the_tables() -> None:
    own = Asked("maml", ("digits",), steps=1, inner_lr=0.3, inner_steps=5, tasks_per_step=2)
    found = settings_for(own, "classification")
    assert (found.inner_lr, found.inner_steps, found.evaluation_steps, found.tasks) == (
        0.3,
        5,
        5,
        2,
    )
    assert settings_for(asked("digits"), "classification").evaluation_steps == 3
    assert settings_for(asked("sinusoid"), "regression").tasks == 25


def test_words_for_what_differs_and_what_was_meant() -> None:
    first = asked("digits")
    assert what_differs(first.to_json(), first.to_json()) == ""
    told = what_differs(first.to_json(), asked("glyphs", ways=3).to_json())
    assert told == "--source digits (now glyphs) and --ways 2 (now 3)"
    assert Asked.from_json(first.to_json()) == first
    assert did_you_mean("reptil", ["maml", "reptile"]) == "did you mean 'reptile'?"


@pytest.mark.parametrize("write", [write_texts, write_sounds])
def test_learners_take_texts_and_sounds(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "examples")
    made = fewshot(
        "prototypical-network", folder, ways=2, queries=2, steps=1, tasks=3, out=tmp_path / "run"
    )
    assert made.record["test"]["inductive"]["mean"] > 0.6
    names = [row["name"] for row in made.record["baselines"]]
    assert (
        names[1] == f"nearest mean of {'token counts' if 'texts' in str(write) else 'raw inputs'}"
    )
    loaded = load_fewshot(tmp_path / "run")
    assert {n for n, _ in loaded.named_parameters()} == {
        n for n, _ in made.learner.named_parameters()
    }
