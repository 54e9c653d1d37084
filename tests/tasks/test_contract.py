"""What every source of tasks keeps: the rows of `SOURCES` by being there, and mixtures of them."""

import inspect
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.lazy import load
from metawright.rng import stream
from metawright.tasks import (
    META_DATASET,
    SOURCES,
    Kind,
    Mixture,
    Split,
    Task,
    TaskSource,
    TaskSpec,
)

Make = Callable[..., TaskSource]

ONE_TASK = {"digits"}  # a source that is one task, whose classes belong to every split
NAMES = [*sorted(SOURCES), "mixture"]
OF_CLASSES = sorted(SOURCES.keys() - {"navigation", "sinusoid", "sinusoid-or-line"})
# Drawings are used again, or classes that are too small are left out.
ROOMY = {"ambiguous-shapes", "glyphs", "gtsrb"}


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """`make(name, ways=3)`: that source, with those of the arguments that it knows.

    A source with a `root` finds it in the fixture `NAME_root`.
    """

    def source(name: str, **arguments: Any) -> TaskSource:
        if name == "mixture":
            return Mixture([source("images", **arguments), source("digits", **arguments)])
        constructor = load(SOURCES[name])
        known = inspect.signature(constructor).parameters
        if "root" in known:
            arguments["root"] = request.getfixturevalue(f"{name.replace('-', '_')}_root")
        if name == "omniglot":
            arguments["protocol"] = "official"  # the random one needs all 1,623 characters
        made: TaskSource = constructor(**{k: v for k, v in arguments.items() if k in known})
        return made

    return source


def _equal(first: Task, second: Task) -> bool:
    return first.spec == second.spec and all(
        torch.equal(a, b)
        for one, other in ((first.support, second.support), (first.query, second.query))
        for a, b in ((one.x, other.x), (one.labels, other.labels))
    )


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_task(name: str, make: Make) -> None:
    source, twin = make(name, ways=3, queries=2), make(name, ways=3, queries=2)
    before = torch.get_rng_state()
    for split in Split:
        first = source.draw(split, stream(0))
        source.draw(split, stream(9))
        assert _equal(first, source.draw(split, stream(0)))
        assert _equal(first, twin.draw(split, stream(0)))
        assert any(not _equal(first, source.draw(split, stream(seed))) for seed in (1, 2))
    assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", list(Split))
def test_form(name: str, split: Split, make: Make) -> None:
    task = make(name, ways=3, shots=2, queries=4).draw(split, stream(0))
    for batch, per_class in ((task.support, 2), (task.query, 4)):
        assert batch.x.dtype == (torch.int64 if task.spec.vocabulary else torch.float32)
        assert batch.x.shape[1:] == task.spec.features
        assert len(batch.x) == len(batch.labels)
        assert bool(batch.x.isfinite().all())
        if task.spec.kind is Kind.CLASSIFICATION:
            assert batch.labels.dtype == torch.int64
            assert batch.labels.tolist() == [k for k in range(3) for _ in range(per_class)]
        else:
            assert batch.labels.shape == (per_class, task.spec.outputs)
            assert batch.labels.dtype == torch.float32
    if len(task.spec.features) == 3:
        x = torch.cat([task.support.x, task.query.x])
        assert 0 <= float(x.min()) < float(x.max()) <= 1
    if task.spec.vocabulary:
        x = torch.cat([task.support.x, task.query.x])
        assert 0 <= int(x.min()) < int(x.max()) < task.spec.vocabulary
    assert task.spec.source in SOURCES


@pytest.mark.parametrize("name", NAMES)
def test_spec_fits_and_survives_json(name: str, make: Make) -> None:
    spec = make(name, ways=3, queries=2).draw(Split.TRAIN, stream(0)).spec
    assert TaskSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    if spec.kind is Kind.CLASSIFICATION:
        assert spec.outputs == len(set(spec.classes)) == 3
        assert spec.native_size >= 0


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - ONE_TASK))
def test_splits_share_no_class(name: str, make: Make) -> None:
    source = make(name, ways=3, queries=1)
    seen: dict[Split, set[str]] = {}
    for split in Split:
        tasks = [source.draw(split, stream(seed, split)) for seed in range(25)]
        # A turned character is a class of its own, but must stay in its character's split.
        seen[split] = {c.partition(" (")[0] for task in tasks for c in task.spec.classes}
    total = sum(len(classes) for classes in seen.values())
    assert len(set().union(*seen.values())) == total


@pytest.mark.parametrize("name", NAMES)
def test_one_way_one_shot_and_no_query(name: str, make: Make) -> None:
    task = make(name, ways=1, shots=1, queries=0).draw(Split.TRAIN, stream(0))
    assert len(task.support.x) == 1
    assert task.query.x.shape == (0, *task.spec.features)
    if task.spec.kind is Kind.CLASSIFICATION:
        assert task.support.labels.tolist() == [0]
        assert task.spec.outputs == 1


@pytest.mark.parametrize("name", OF_CLASSES)
def test_ranges_and_uneven_classes(name: str, make: Make) -> None:
    source = make(name, ways=(2, 4), shots=(1, 3), queries=1, balanced=False)
    tasks = [source.draw(Split.TRAIN, stream(seed)) for seed in range(40)]
    assert {task.spec.outputs for task in tasks} == {2, 3, 4}
    counts = [Counter(task.support.labels.tolist()) for task in tasks]
    assert all(set(c) == set(range(t.spec.outputs)) for c, t in zip(counts, tasks, strict=True))
    assert {shots for count in counts for shots in count.values()} == {1, 2, 3}
    assert any(len(set(count.values())) > 1 for count in counts)
    even = make(name, ways=3, shots=(1, 3), queries=1)
    for seed in range(5):
        support = even.draw(Split.TRAIN, stream(seed)).support
        assert len(set(Counter(support.labels.tolist()).values())) == 1


@pytest.mark.parametrize("name", OF_CLASSES)
def test_too_many_ways(name: str, make: Make) -> None:
    source = make(name, ways=5000, queries=1)
    with pytest.raises(InputError, match=rf"A task of 5000 classes .* of '{name}' has \d+: ask"):
        source.draw(Split.TEST, stream(0))


@pytest.mark.parametrize("name", sorted(set(OF_CLASSES) - ROOMY))
def test_too_few_drawings(name: str, make: Make) -> None:
    source = make(name, ways=2, shots=100, queries=900)
    refused = rf"Class '.*' in the train part of '{name}' has \d+ examples, but .* ask for 1000: "
    with pytest.raises(InputError, match=refused):
        source.draw(Split.TRAIN, stream(0))


@pytest.mark.parametrize("name", OF_CLASSES)
def test_meta_datasets_draws(name: str, make: Make) -> None:
    settings: dict[str, Any] = {**META_DATASET, "ways": (3, 50)}
    source = make(name, **settings)
    sizes = []
    for seed in range(6):
        task = source.draw(Split.TRAIN, stream(seed))
        counts = Counter(task.support.labels.tolist())
        asked = Counter(task.query.labels.tolist())
        assert set(counts) == set(asked) == set(range(task.spec.outputs))
        assert len(set(asked.values())) == 1 and asked[0] <= 10
        assert 3 <= task.spec.outputs <= 50 and len(task.support.x) <= 500
        sizes.append(len(task.support.x) / task.spec.outputs)
    assert len(set(sizes)) > 1


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_arguments_are_checked(name: str, make: Make) -> None:
    with pytest.raises(InputError, match="shots"):
        make(name, shots=0)
    with pytest.raises(InputError, match="queries"):
        make(name, queries=-1)
