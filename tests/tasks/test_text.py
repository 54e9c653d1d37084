"""Sources of texts: the intents, and a user's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.task import Split
from metawright.tasks.text import Clinc150, Texts
from metawright.tasks.tokens import tokenise


def test_texts_lie_under_their_intent_and_those_without_are_left_out(clinc150_root: Path) -> None:
    table = Clinc150(clinc150_root).table
    assert table.counts == (8,) * 30 and "oos" not in table.names
    start = table.starts[table.names.index("intent 7")]
    assert torch.equal(table.images[start + 1 : start + 2], tokenise(["ask 7, the train"]))
    assert [table.size(split) for split in Split] == [18, 4, 8]


def test_tasks_hold_ids_and_say_how_many(texts_root: Path) -> None:
    task = Texts(texts_root, ways=3, queries=2, tokens=20, vocabulary=99).draw(
        Split.TRAIN, stream(0)
    )
    assert task.spec.features == (20,) and task.spec.vocabulary == 99
    assert task.support.x.dtype == torch.int64 and int(task.support.x.max()) < 99


@pytest.mark.parametrize("name", ["texts", "clinc150"])
def test_tokens_are_dropped_from_training_texts_only(
    name: str, texts_root: Path, clinc150_root: Path
) -> None:
    make, root = (Texts, texts_root) if name == "texts" else (Clinc150, clinc150_root)
    whole = make(root, ways=3, queries=4, drop=0)
    some = make(root, ways=3, queries=4, drop=0.4)
    kept, total = 0, 0
    for seed in range(10):
        for split in Split:
            full, cut = (one.draw(split, stream(seed)).query.x for one in (whole, some))
            assert torch.equal(cut, torch.where(cut > 0, full, 0))
            if split is Split.TRAIN:
                kept, total = kept + int((cut > 0).sum()), total + int((full > 0).sum())
            else:
                assert torch.equal(cut, full)
    assert abs(kept / total - 0.6) < 0.05
    with pytest.raises(InputError, match="0 <= share < 1, but got 1"):
        make(root, drop=1)


def test_a_table_of_the_users(tmp_path: Path) -> None:
    rows = [f"text {k} of {c},{c}" for c in "abcdef" for k in range(4)]
    (tmp_path / "own.csv").write_text("\n".join(["words,kind", *rows]))
    source = Texts(
        tmp_path / "own.csv", text="words", label="kind", ways=2, queries=2,
        splits={"train": "abcd", "test": "ef"},
    )  # fmt: skip
    assert sorted(source.draw(Split.TEST, stream(0)).spec.classes) == ["e", "f"]
    with pytest.raises(InputError, match="validation part of 'texts' has 0"):
        source.draw(Split.VALIDATION, stream(0))
    with pytest.raises(InputError, match="columns 'text' and 'label', but line 2 has 'words', 'k"):
        Texts(tmp_path / "own.csv")
    (tmp_path / "one.csv").write_text("text,label\na,b\n")
    with pytest.raises(InputError, match=r"one.csv' has one class only \('b'\)"):
        Texts(tmp_path / "one.csv")


def test_more_than_there_is_names_source_split_and_numbers(texts_root: Path) -> None:
    with pytest.raises(InputError, match=r"task of 5 classes .* test part of 'texts' has 3: ask"):
        Texts(texts_root, ways=5).draw(Split.TEST, stream(0))
    with pytest.raises(InputError, match=r"test part of 'texts' has 8 examples, .* ask for 20"):
        Texts(texts_root, ways=3, shots=5).draw(Split.TEST, stream(0))


def test_the_real_intents(data: Callable[[str], Path]) -> None:
    table = Clinc150(data("text")).table
    assert table.counts == (150,) * 150
    assert [table.size(split) for split in Split] == [90, 20, 40]
    filled = (table.images > 0).sum(1)
    assert int(filled.min()) > 0
    assert float((filled == 64).float().mean()) < 0.05  # few are cut off
