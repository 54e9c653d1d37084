"""Networks for tables: figures by hand, and that members share nothing."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.testing import assert_close

from metawright.models.tables import network_estimator
from metawright.models.tables.members import MemberLinear, MemberNorm, dropped
from metawright.models.tables.network_estimator import NetworkEstimator
from metawright.models.tables.networks import network
from metawright.models.tables.state import State
from metawright.models.tables.tokens import Fields, LevelTokens, NumberTokens, fields_of
from metawright.rng import stream
from metawright.spaces.tables import NETWORKS

PLAIN = {"embedding": {"kind": "none"}, "depth": 1, "dropout": 0.0, "penalty": 0.01}
PLAIN |= {"kind": "mlp_ensemble", "width": 16, "lr": 0.01, "epochs": 40, "members": 3}
EMBEDDINGS = {
    "none": {"kind": "none"},
    "piecewise": {"kind": "piecewise", "bins": 6, "size": 4},
    "periodic": {"kind": "periodic", "deviation": 0.3, "size": 4},
}


def table(rows: int = 240) -> tuple[Any, Any, Any]:
    """Two numbers and a category of three places (of scale 1, 100 and none); y by all of them."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 2)) * (1, 100) + (0, 500)
    place = rng.integers(0, 3, rows)
    y = numbers[:, 0] * np.sign(numbers[:, 1] - 500) + 2.0 * (place == 1)
    return np.column_stack([numbers, place]), y, np.array([False, False, True])


def made(regression: bool = False, seed: int = 0, **changed: Any) -> NetworkEstimator:
    found = NetworkEstimator({**PLAIN, **changed}, regression=regression, seed=seed)
    found.categorical = table()[2]
    return found


def test_a_layer_of_members_is_a_layer_each() -> None:
    layer = MemberLinear(3, 4, 2, stream(0))
    x = torch.randn(3, 5, 6, 4, generator=stream(1))
    each = [nn.functional.linear(x[m], layer.weight[m].T, layer.bias[m, 0]) for m in range(3)]
    assert_close(layer(x), torch.stack(each))
    norm = MemberNorm(3, 4)
    nn.init.normal_(norm.weight, generator=stream(2))
    nn.init.normal_(norm.bias, generator=stream(3))
    whole = [nn.functional.layer_norm(x[m], (4,), norm.weight[m], norm.bias[m]) for m in range(3)]
    assert_close(norm(x), torch.stack(whole))


def test_dropout_keeps_the_mean_and_is_for_training_only() -> None:
    x = torch.ones(200, 200)
    found = dropped(x, 0.25, stream(0))
    assert sorted(set(found.flatten().tolist())) == [0.0, pytest.approx(4 / 3)]
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    assert dropped(x, 0.25, None) is x


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_members_share_nothing_and_rows_do_not_mix(kind: str, embedding: str) -> None:
    features, _, categorical = table(20)
    fields = fields_of(features, categorical, 6)
    model = {**PLAIN, "kind": kind, "embedding": EMBEDDINGS[embedding], "depth": 2}
    module = network(model, fields, 2, stream(0))
    nn.init.normal_(module.get_parameter("head.weight"), generator=stream(4))
    numbers = torch.randn(3, 20, 2, generator=stream(1))
    places = torch.as_tensor(features[:, 2:]).long().expand(3, 20, 1)
    answers = module(numbers, places)
    assert answers.shape == (3, 20, 2)
    assert_close(module(numbers[:, 7:8], places[:, 7:8]), answers[:, 7:8])
    moved = answers[1].square().sum()
    grads = torch.autograd.grad(moved, list(module.parameters()))
    for grad in grads:
        assert len(grad) == 3 and not grad[0].any() and not grad[2].any()
    assert all(bool(grad[1].any()) for grad in grads)


def test_the_last_block_may_work_on_the_answer_alone() -> None:
    features, _, categorical = table(20)
    model = {**PLAIN, "kind": "ft_transformer"}
    module = network(model, fields_of(features, categorical, 1), 2, stream(0))
    block = module.get_submodule("blocks.0")
    x = torch.randn(3, 5, 4, 16, generator=stream(1))
    assert_close(block(x, None, alone=True), block(x, None, alone=False)[:, :, :1])


def test_bins_fill_one_after_the_other() -> None:
    edges = torch.tensor([[0.0, 1.0, 3.0, 3.0]])
    tokens = NumberTokens("piecewise", 1, edges, 3, stream(0))
    with torch.no_grad():
        tokens.weight.copy_(torch.eye(3)[None, None])
        tokens.bias.zero_()
    found = tokens(torch.tensor([-1.0, 0.25, 1.0, 2.0, 9.0])[None, :, None])[0, :, 0]
    expected = [[0, 0, 0], [0.25, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 0]]
    assert_close(found, torch.tensor(expected))


def test_waves_are_of_the_number_and_beside_it() -> None:
    tokens = NumberTokens("periodic", 1, torch.zeros(1, 2), 4, stream(0))
    x = torch.tensor([[[0.7]]])
    found = tokens(x)[0, 0, 0]
    waves = torch.cos(2 * torch.pi * (0.7 * tokens.frequencies + tokens.phases))[0, 0]
    assert_close(found, torch.cat([x.flatten(), waves @ tokens.weight[0, 0] + tokens.bias[0, 0]]))


def test_places_that_were_not_seen_say_nothing() -> None:
    tokens = LevelTokens(2, (3, 2), torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0]), 4, stream(0))
    found = tokens(torch.tensor([[[0, 0], [1, 9], [2, 0]]]).expand(2, 3, 2))
    assert found.shape == (2, 3, 2, 4)
    assert bool(found[:, 0].all()) and not found[:, 2, 0].any() and not found[:, 1, 1].any()
    assert not torch.equal(found[:, 0, 0], found[:, 0, 1]), "each category has its own"


def test_fields_know_scales_bins_and_places() -> None:
    features = np.column_stack([np.r_[np.zeros(50), np.arange(50.0)], np.arange(100) % 2])
    fields = fields_of(features, np.array([False, True]), 4)
    assert (fields.numbers, fields.levels, fields.sizes) == ((0,), (1,), (3,))
    assert_array_equal(fields.seen, [True, True, False])
    raw = fields.edges[0] * fields.scales[0] + fields.centres[0]
    quartiles = np.unique(np.quantile(features[:, 0], [0, 0.25, 0.5, 0.75, 1]))
    assert_allclose(raw[: len(quartiles)], quartiles, atol=1e-9)
    assert_allclose(raw[len(quartiles) :], quartiles[-1])


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_what_no_linear_model_can_is_learned(embedding: str) -> None:
    features, y, _ = table()
    model = made(regression=True, embedding=EMBEDDINGS[embedding]).fit(features[:200], y[:200])
    error = np.mean((model.predict(features[200:]) - y[200:]) ** 2)
    assert error < 0.4 * y.var()


def test_targets_may_have_any_scale() -> None:
    features, y, _ = table(60)
    one, other = (made(regression=True, epochs=8).fit(features, t) for t in (y, 1e4 * y + 1e6))
    assert_allclose(other.predict(features), 1e4 * one.predict(features) + 1e6, rtol=1e-3)


def test_classes_may_be_any_labels_and_probabilities_sum_to_one() -> None:
    features, y, _ = table()
    labels = np.where(y > 0.5, 5, 2)
    model = made().fit(features[:200], labels[:200])
    answers = model.predict_proba(features[200:])
    assert model.classes_.tolist() == [2, 5] and answers.shape == (40, 2)
    assert_allclose(answers.sum(1), 1)
    assert (model.predict(features[200:]) == labels[200:]).mean() > 0.85


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_what_is_kept_gives_the_same_answers(kind: str, embedding: str) -> None:
    features, y, _ = table(60)
    changed: dict[str, Any] = {"kind": kind, "embedding": EMBEDDINGS[embedding], "epochs": 2}
    model = made(regression=True, **changed).fit(features, y)
    data, arrays = model.to_state()
    again = NetworkEstimator.from_state(
        State(json.loads(json.dumps(data)), arrays), model.model, regression=True
    )
    new = features + np.array([1.0, 2.0, 4.0])
    assert_array_equal(again.predict(new), model.predict(new))
    assert again.numbers_held == model.numbers_held > 3 * 16


def test_the_same_seed_gives_the_same_network() -> None:
    features, y, _ = table(60)
    one, same, other = (
        made(regression=True, seed=seed, epochs=3, dropout=0.3).fit(features, y).predict(features)
        for seed in (1, 1, 2)
    )
    assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_penalty_pulls_weights_to_zero() -> None:
    features, y, _ = table(120)
    free, bound = (
        made(regression=True, penalty=penalty).fit(features, y) for penalty in (1e-3, 3e3)
    )
    assert np.var(bound.predict(features)) < 0.2 * np.var(free.predict(features))


def test_each_member_leaves_out_a_part_that_judges_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = network_estimator._Training.run

    def watched(self: Any, rng: torch.Generator) -> None:
        seen.append(self)
        run(self, rng)

    monkeypatch.setattr(network_estimator._Training, "run", watched)
    features, y, _ = table(63)
    made(regression=True, epochs=2, members=8).fit(features, y)
    (training,) = seen
    judged = [row[kept] for row, kept in zip(training.judge, training.counted, strict=True)]
    assert sorted(torch.cat(judged).tolist()) == list(range(63)), "every row by one member"
    for learn, judge in zip(training.learn, judged, strict=True):
        assert not set(learn.tolist()) & set(judge.tolist())
        assert len(learn) + len(judge) == 63 and 7 <= len(judge) <= 8
        batch = training.drawn(stream(0))
    assert batch.shape == (8, training.batch)


def watched_epochs(monkeypatch: pytest.MonkeyPatch) -> list[list[torch.Tensor]]:
    """The weights after each step, before training looks at them."""
    seen: list[list[torch.Tensor]] = []
    judged = network_estimator._Training.judged

    def watched(self: Any, progress: Any) -> None:
        seen.append([value.detach().clone() for value in self.params.values()])
        judged(self, progress)

    monkeypatch.setattr(network_estimator._Training, "judged", watched)
    return seen


def test_what_is_kept_is_the_mean_of_late_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    features, y, _ = table(240)
    seen = watched_epochs(monkeypatch)
    model = made(regression=True, epochs=4, lr=1e-3).fit(features, y)
    assert len(seen) > 24
    expected = seen[0]
    for step, weights in enumerate(seen[1:], 2):
        pairs = zip(expected, weights, strict=True)
        expected = [before.lerp(after, max(0.05, 1 / step)) for before, after in pairs]
    for found, value in zip(model.module.parameters(), expected, strict=True):
        assert_close(found.detach(), value)


def test_noise_is_not_learned_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends at the best moment on the rows left out: near the mean, if nothing tells."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(120, 8)), rng.integers(0, 3, 120)])
    y = rng.normal(size=120)
    model = NetworkEstimator({**PLAIN, "epochs": 100}, regression=True, seed=0)
    new = np.column_stack([rng.normal(size=(200, 8)), rng.integers(0, 3, 200)])
    seen = watched_epochs(monkeypatch)
    assert model.fit(features, y).predict(new).var() < 0.15 * y.var()
    assert len(seen) < 60 * 6, "it did not go on to the last of 100 epochs of 6 steps"


def test_too_little_to_learn_from_is_told() -> None:
    features, y, _ = table(60)
    with pytest.raises(ValueError, match="at least 2 classes"):
        made().fit(features, np.zeros(60, dtype=np.int64))
    with pytest.raises(ValueError, match="at least 2 rows"):
        made(regression=True).fit(features[:1], y[:1])
    few = made(regression=True).fit(features[:2], y[:2])
    assert np.isfinite(few.predict(features)).all()


def test_a_table_of_categories_alone_is_learned_from() -> None:
    place = table(90)[0][:, 2:]
    for kind in NETWORKS:
        model = NetworkEstimator({**PLAIN, "kind": kind, "epochs": 8}, regression=False, seed=0)
        model.categorical = np.array([True])
        fitted = model.fit(place, (place[:, 0] == 1).astype(np.int64))
        assert (fitted.predict(place) == (place[:, 0] == 1)).mean() > 0.9


def test_fields_of_no_category() -> None:
    fields = fields_of(np.arange(6.0).reshape(3, 2), np.zeros(2, dtype=np.bool_), 2)
    assert isinstance(fields, Fields) and fields.sizes == () and not len(fields.seen)
