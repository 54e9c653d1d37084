"""Pipelines judged on the folds of tables: figures from elsewhere, and what is promised."""

import json
import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from metawright.errors import InputError, MetawrightError
from metawright.evaluate.tables import TableEvaluator, fit_final, rows_latency, table_scores
from metawright.models.tables import FittedPipeline, State
from metawright.rng import stream
from metawright.spaces import Design, Either, contains
from metawright.spaces.draw import sample
from metawright.spaces.tables import BOOSTED, first_designs, table_pipelines
from metawright.tasks.kind import Kind
from metawright.tasks.tables import pose_table, read_table
from metawright.tasks.tables.conform import conform


class Column(NamedTuple):
    name: str
    kind: str
    used: bool = True


class Table(NamedTuple):
    """What the evaluator reads of a table task."""

    x: pd.DataFrame
    y: Any
    kind: Kind
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    groups: Any = None
    times: Any = None


def posed(load: Any, kind: Kind = Kind.CLASSIFICATION) -> Any:
    numbers, y = load(return_X_y=True)
    x = pd.DataFrame(numbers.astype(float), columns=[f"c{i}" for i in range(numbers.shape[1])])
    columns = tuple(Column(name, "number") for name in x)
    if kind is Kind.REGRESSION:
        return Table(x, y.astype(float), kind, (), columns)
    return Table(x, y.astype(np.int64), kind, tuple(map(str, np.unique(y))), columns)


def mixed(kind: Kind, rows: int = 90, classes: int = 3) -> Any:
    """Numbers with holes, categories, dates and texts, all of which tell."""
    rng = np.random.default_rng(0)
    level = rng.integers(0, classes, rows)
    number = level + 0.3 * rng.normal(size=rows)
    number[::9] = np.nan
    x = pd.DataFrame(
        {
            "number": number,
            "noise": rng.normal(size=rows),
            "word": [["low", "middle", "high"][i] if i != 5 else None for i in level],
            "when": pd.to_datetime("2024-01-01") + pd.to_timedelta(40 * level, unit="D"),
            "note": [["grey cat", "green tree", "blue sea"][i] for i in level],
        }
    )
    kinds = ("number", "number", "category", "date", "text")
    columns = tuple(Column(n, k) for n, k in zip(x, kinds, strict=True))
    if kind is Kind.REGRESSION:
        return Table(x, 10 * level + rng.normal(size=rows), kind, (), columns)
    return Table(x, level, kind, tuple("abc"[:classes]), columns)


def chosen(kind: Kind, model: str) -> Design:
    """The first guess with that model, or one drawn."""
    for design in first_designs(kind.value):
        if design["model"]["kind"] == model:
            return design
    models = table_pipelines(kind.value, boosted=BOOSTED).fields["model"]
    assert isinstance(models, Either)
    known: dict[str, dict[str, Any]] = {
        "elastic_net": {"penalty": 1e-3, "sparsity": 0.5},
        "naive_bayes": {"smoothing": 1e-3},
        "lda": {"shrinkage": 0.1},
    }
    drawn = {"kind": model, **(known.get(model) or sample(models.cases[model], stream(1)))}
    return Design({"preparation": first_designs(kind.value)[0]["preparation"], "model": drawn})


def smaller(design: Design) -> Design:
    """With fewer trees or members, to be quick."""
    least = {"trees": 50, "rounds": 50, "members": 1, "epochs": 40, "lr": 0.01, "width": 32}
    few = {name: value for name, value in least.items() if name in design["model"]}
    return Design({**design, "model": {**design["model"], **few}})


def all_models(kind: Kind) -> list[tuple[Kind, str]]:
    models = table_pipelines(kind.value).fields["model"]
    assert isinstance(models, Either)
    return [(kind, model) for model in models.cases]


def test_scaled_logistic_regression_has_its_known_log_loss() -> None:
    """0.074 on fixed folds of another split; 5 folds of ours lie near it."""
    judge = TableEvaluator(posed(load_breast_cancer))
    found = judge(first_designs("classification")[0])
    assert found.scores["log_loss"] == pytest.approx(0.074, abs=0.006)
    assert found.scores["auc"] == pytest.approx(0.9955, abs=0.002)
    assert found.cost["seconds"] > 0 and found.cost["parameters"] > 30
    assert len(found.evidence["folds"]) == 5


def test_ridge_has_its_known_share_of_the_variance() -> None:
    found = TableEvaluator(posed(load_diabetes, Kind.REGRESSION))(first_designs("regression")[0])
    assert found.scores["r2"] == pytest.approx(0.49, abs=0.015)


def test_wine_and_digits_are_known_too() -> None:
    linear = first_designs("classification")[0]
    assert TableEvaluator(posed(load_wine))(linear).scores["log_loss"] < 0.075
    assert TableEvaluator(posed(load_digits))(linear).scores["log_loss"] < 0.13


@pytest.mark.parametrize(
    ("kind", "model"), all_models(Kind.CLASSIFICATION) + all_models(Kind.REGRESSION)
)
def test_every_model_learns_and_is_kept(kind: Kind, model: str) -> None:
    task, design = mixed(kind), smaller(chosen(kind, model))
    scores = TableEvaluator(task, folds=3)(design).scores
    assert scores["r2"] > 0.5 if kind is Kind.REGRESSION else scores["accuracy"] > 0.8
    fitted = fit_final(task, design, 1)
    data, arrays = fitted.to_state()
    again = FittedPipeline.from_state(State(json.loads(json.dumps(data)), arrays))
    new = task.x.iloc[::-1].assign(word="unseen", extra=1)
    assert_array_equal(again.predict(new), fitted.predict(new))
    if kind is Kind.CLASSIFICATION:
        assert_allclose(fitted.predict(new).sum(1), 1)


def test_a_posed_table_is_learned_from() -> None:
    """From a frame as a file gives it, with a group, holes and a column that tells nothing."""
    data = mixed(Kind.CLASSIFICATION).x.assign(
        answer=["abc"[i] for i in mixed(Kind.CLASSIFICATION).y],
        same="x",
        lot=[f"lot {i // 3}" for i in range(90)],
    )
    task = pose_table(read_table(data), "answer", group="lot")
    assert "same" not in task.used and task.groups is not None
    design = first_designs("classification")[0]
    judge = TableEvaluator(task, folds=3)
    assert judge(design).scores["accuracy"] > 0.9
    for learn, held in judge.folds:
        assert not set(task.groups[learn]) & set(task.groups[held])
    fitted = fit_final(task, design)
    rows = read_table(data.iloc[:7].drop(columns=["answer", "same"]))
    new, _ = conform(rows, task.columns)
    assert_array_equal(fitted.predict(new), fitted.predict(task.x.iloc[:7]))


def test_a_posed_time_is_kept_in_order() -> None:
    data = pd.DataFrame({"when": pd.date_range("2024", periods=60), "y": np.arange(60) % 7 / 7})
    task = pose_table(read_table(data.iloc[::-1]), "y", time="when")
    assert task.kind is Kind.REGRESSION and task.times is not None
    for learn, held in TableEvaluator(task, folds=4).folds:
        assert task.times[learn].max() < task.times[held].min()


def test_scores_are_those_of_scikit_learn() -> None:
    task = posed(load_wine)
    found = TableEvaluator(task)(chosen(Kind.CLASSIFICATION, "neighbours"))
    assert found.params is not None
    p = found.params["held_out"].numpy()
    assert found.scores["log_loss"] == pytest.approx(log_loss(task.y, p))
    assert found.scores["auc"] == pytest.approx(
        roc_auc_score(task.y, p, multi_class="ovr", average="macro")
    )
    balanced = balanced_accuracy_score(task.y, p.argmax(1))
    assert found.scores["balanced_accuracy"] == pytest.approx(balanced)


def test_same_seed_same_answers() -> None:
    judge = TableEvaluator(mixed(Kind.CLASSIFICATION), folds=2)
    design = chosen(Kind.CLASSIFICATION, "mlp")
    first, same, other = (judge(design, seed=seed).params for seed in (0, 0, 1))
    assert first is not None and same is not None and other is not None
    assert_array_equal(first["held_out"], same["held_out"])
    assert not np.array_equal(first["held_out"], other["held_out"])


def test_fidelity_is_a_share_of_the_rows_to_learn_from() -> None:
    judge = TableEvaluator(posed(load_breast_cancer))
    design = Design(
        {**chosen(Kind.CLASSIFICATION, "neighbours"), "model": {
            "kind": "neighbours", "count": 5, "weights": "uniform"}}
    )  # fmt: skip
    whole, part = judge(design), judge(design, fidelity=0.1)
    assert part.cost["parameters"] < 0.15 * whole.cost["parameters"]
    assert part.params is not None and bool(part.params["held_out"].isfinite().all())
    assert part.scores["log_loss"] > whole.scores["log_loss"]
    with pytest.raises(InputError, match="fidelity"):
        judge(design, fidelity=0.0)


def test_rows_before_all_others_are_never_judged_on() -> None:
    task = mixed(Kind.CLASSIFICATION)._replace(times=np.arange(90))
    found = TableEvaluator(task, folds=2)(first_designs("classification")[0])
    assert found.params is not None
    known = found.params["held_out"].isfinite().all(1).numpy()
    assert_array_equal(known, np.arange(90) >= 30)


def test_groups_are_respected() -> None:
    """Each group a level of its own that tells the class: of no use for a new group."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    y = rng.integers(0, 2, 30)[groups]
    x = pd.DataFrame({"who": [f"g{g}" for g in groups], "noise": rng.normal(size=120)})
    columns = (Column("who", "category"), Column("noise", "number"))
    task: Any = Table(x, y, Kind.CLASSIFICATION, ("a", "b"), columns)
    design = first_designs("classification")[0]
    mild = Design({**design, "preparation": {**design["preparation"], "rare": 1}})
    assert TableEvaluator(task)(mild).scores["accuracy"] > 0.9
    assert TableEvaluator(task._replace(groups=groups))(mild).scores["accuracy"] < 0.75


def test_a_class_of_one_row_is_never_impossible() -> None:
    task = mixed(Kind.CLASSIFICATION, classes=2)
    y = task.y.copy()
    y[7] = 2
    lone = task._replace(y=y, classes=("a", "b", "c"))
    for model in ("logistic", "svm", "neighbours", "naive_bayes", "lda"):
        found = TableEvaluator(lone, folds=3)(chosen(Kind.CLASSIFICATION, model))
        assert 0 < found.scores["log_loss"] < 1


def test_rows_of_one_class_cannot_be_learned_from() -> None:
    task = mixed(Kind.CLASSIFICATION, classes=2)
    alike = task._replace(y=np.zeros(90, dtype=np.int64))
    with pytest.raises(MetawrightError, match=r"The pipeline cannot be fitted: .*class"):
        TableEvaluator(alike)(first_designs("classification")[0])


def test_wrong_metrics_and_designs_are_told() -> None:
    with pytest.raises(InputError, match=r"'acuracy' is no score of classification .* 'accuracy'"):
        TableEvaluator(mixed(Kind.CLASSIFICATION), metric="acuracy")
    with pytest.raises(InputError):
        TableEvaluator(mixed(Kind.CLASSIFICATION))(first_designs("regression")[0])


def test_what_no_model_of_ours_consists_of_is_not_read() -> None:
    fitted = fit_final(mixed(Kind.CLASSIFICATION), first_designs("classification")[0])
    state = fitted.to_state()
    evil = np.frombuffer(skops.io.dumps(Table), dtype=np.uint8)
    with pytest.raises(InputError, match=r"types that no model of ours consists of \(.*Table"):
        FittedPipeline.from_state(State(state.data, {**state.arrays, "model.estimator": evil}))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_first_guesses_are_in_the_space_without_extras(kind: str) -> None:
    guesses = first_designs(kind)
    assert len(set(guesses)) == len(guesses) == 8
    assert all(contains(table_pipelines(kind, boosted=()), guess) for guess in guesses)
    assert guesses[0]["model"]["kind"] in ("logistic", "ridge")


def test_scores_of_one_class_leave_out_the_curve() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert "auc" not in table_scores(p, np.array([0, 0]), Kind.CLASSIFICATION)


def test_the_latency_of_a_row_is_the_least_that_was_seen() -> None:
    spent = iter([0.02, 0.3, 0.01])
    seen = []

    def predict(x: pd.DataFrame) -> None:
        seen.append(len(x))
        time.sleep(next(spent))

    rows = pd.DataFrame({"a": range(7)})
    assert 1e-5 <= rows_latency(predict, rows) < 2e-5, "0.01 s for a thousand rows"
    assert seen == [1000, 1000, 1000], "few rows are taken again"
    spent = iter([1.1, 0.0])
    rows_latency(predict, rows, rows=5)
    assert seen[3:] == [5], "after a second none is begun any more"


def test_what_is_weighed_is_what_is_kept() -> None:
    task = posed(load_wine)
    design = first_designs("classification")[0]
    plain, weighed = (
        TableEvaluator(task, folds=2, weigh=weigh)(design) for weigh in (False, True)
    )
    assert plain.cost["bytes"] == 8 * plain.cost["parameters"]
    state = TableEvaluator(task, folds=2).fitted(design, 1).to_state()
    arrays = sum(array.nbytes for array in state.arrays.values())
    assert weighed.cost["bytes"] == pytest.approx(arrays + len(json.dumps(state.data)), abs=200)
    assert weighed.cost["bytes"] > plain.cost["bytes"]
