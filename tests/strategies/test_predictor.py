"""Predictor-guided search's own truths: surrogates against closed forms, and that they help."""

import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import (
    Cell,
    Choice,
    Design,
    Either,
    Integer,
    Real,
    Record,
    Repeat,
    check,
    read,
    write,
)
from metawright.spaces.draw import sample
from metawright.store.records import Trial
from metawright.strategies import Evolution, Paths, Predictor, Strategy
from metawright.strategies.pool import Pool
from metawright.strategies.predictor import ACQUISITIONS, SURROGATES, _spread
from metawright.strategies.surrogate import KernelProcess, RankingEnsemble, normal_ranks

# Which of the bits are set counts, and how many neighbours agree.
BITS = Record({"bits": Repeat(Choice((0, 1)), 16, 16)})
MIXED = Record(
    {
        "lr": Real(1e-4, 1.0, log=True),
        "blocks": Repeat(Record({"width": Integer(8, 64, log=True)}), 1, 4),
        "head": Either({"linear": Record({}), "mlp": Record({"depth": Integer(1, 3)})}),
    }
)


def worth(design: Design) -> float:
    bits = design["bits"]
    agree = sum(a == b for a, b in pairwise(bits))
    return float(sum(bits[::2]) - 0.5 * sum(bits[1::2]) + 0.3 * agree)


def best_of(strategy: Strategy, trials: int = 35) -> float:
    best = -math.inf
    for number in range(trials):
        (design,) = strategy.ask(1)
        best = max(best, worth(design))
        strategy.tell([Trial(str(number), "task", design, {"score": worth(design)})])
    return best


@pytest.mark.parametrize("surrogate", ["kernel", "ranking"])
def test_it_beats_evolution(surrogate: str) -> None:
    gains = []
    for seed in range(3):
        guided = Predictor(BITS, rng=stream(seed), surrogate=surrogate, candidates=300)
        gains.append(best_of(guided) - best_of(Evolution(BITS, rng=stream(seed))))
    assert statistics.mean(gains) > 0.5
    assert min(gains) >= 0


@pytest.mark.parametrize("acquisition", list(ACQUISITIONS))
@pytest.mark.parametrize("surrogate", [*SURROGATES, "random"])
def test_all_parts_go_together(surrogate: str, acquisition: str) -> None:
    options: dict[str, Any] = {"surrogate": surrogate, "acquisition": acquisition}
    strategy = Predictor(BITS, rng=stream(0), candidates=40, initial=5, **options)
    assert best_of(strategy, 12) > 0


def test_the_process_is_the_textbooks() -> None:
    # Solved again with the scale and noise that were chosen, by plain linear algebra.
    draw = np.random.default_rng(0)
    known, asked, worths = draw.random((12, 3)), draw.random((5, 3)), draw.normal(size=12)
    process = KernelProcess()
    process.fit(known, worths, stream(0))
    mean, deviation = process.predict(asked)
    fitted = process._fitted
    assert fitted is not None

    def kernel(first: Any, second: Any) -> Any:
        return np.exp(-((first[:, None] - second[None]) ** 2).sum(2) / fitted.scale)

    noise = float(fitted.spectrum.min() - max(np.linalg.eigvalsh(kernel(known, known)).min(), 0))
    inverse = np.linalg.inv(kernel(known, known) + noise * np.eye(12))
    across = kernel(asked, known)
    assert_allclose(mean, across @ inverse @ worths, rtol=1e-6, atol=1e-8)
    left = 1 - np.einsum("ij,jk,ik->i", across, inverse, across)
    assert_allclose(deviation**2, left * (worths @ inverse @ worths) / 12, rtol=1e-6, atol=1e-8)


def test_ranking_learns_the_order() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.random((60, 4))
    worths = np.exp(5 * vectors @ np.array([1.0, -1.0, 0.5, 0.0]))
    ensemble = RankingEnsemble()
    ensemble.fit(vectors[:40], worths[:40], stream(0))
    mean, deviation = ensemble.predict(vectors[40:])
    assert np.corrcoef(mean.argsort().argsort(), worths[40:].argsort().argsort())[0, 1] > 0.9
    assert (deviation > 0).all()


def test_ranks_know_no_outliers_and_no_ties() -> None:
    assert_allclose(normal_ranks(np.array([1.0, 2.0, 1e9])), normal_ranks(np.array([1, 2, 3.0])))
    assert normal_ranks(np.array([3.0, 3.0, 3.0])).tolist() == [0.0, 0.0, 0.0]
    first, second, _ = normal_ranks(np.array([5.0, 5.0, 9.0]))
    assert first == second


@pytest.mark.parametrize("space", [MIXED, BITS], ids=["mixed", "bits"])
def test_rows_are_designs(space: Record) -> None:
    pool, draw = Pool(space), np.random.default_rng(0)
    for seed in range(20):
        design = sample(space, stream(seed))
        found = write(space, pool.design(pool.row(design)))
        for value, expected in zip(found, write(space, design), strict=True):
            close = pytest.approx(expected, rel=1e-4) if isinstance(expected, float) else expected
            assert value == close
    rows = pool.draw(200, draw)
    for row in [*rows, *pool.change(rows, 200, draw)]:
        check(space, pool.design(row))
    changed = pool.change(rows, 200, draw)
    pairs = zip(rows, changed, strict=True)
    # What is drawn afresh may be the same again.
    assert sum(pool.design(a) != pool.design(b) for a, b in pairs) > 160


def test_distances_are_shares_of_decisions() -> None:
    space = Record({"a": Choice((1, 2, 3)), "b": Choice((1, 2)), "c": Integer(0, 10)})
    pool = Pool(space)
    rows = np.stack([pool.row(read(space, point)) for point in [(1, 1, 0), (2, 1, 0), (1, 2, 5)]])
    vectors = pool.vectors(rows)
    squares = ((vectors[:, None] - vectors[None]) ** 2).sum(2)
    assert_allclose(squares[0], [0, 1 / 3, (1 + 0.25) / 3], atol=1e-12)


def test_paths_of_a_cell_by_hand() -> None:
    space = Record({"cell": Cell(4, ("none", "skip", "conv", "pool"))})
    one = read(space, ("conv", "none", "pool", "none", "none", "skip"))  # conv, pool
    two = read(space, ("conv", "none", "none", "none", "pool", "none"))  # conv, pool
    three = read(space, ("pool", "none", "none", "none", "conv", "none"))
    paths = Paths(space)
    assert paths(one) == paths(two) != paths(three)
    assert sum(*paths(one)) == 1.0
    assert sum(*paths(read(space, ("none",) * 6))) == 0.0


def test_further_features_are_used() -> None:
    # The worth hangs on a sum that one column knows.
    space = Record({"bits": Repeat(Choice((0, 1)), 20, 20)})

    def found(features: Any) -> float:
        best = []
        for seed in range(3):
            strategy = Predictor(space, rng=stream(seed), features=features, candidates=60)
            scores = []
            for number in range(16):
                (design,) = strategy.ask(1)
                scores.append(float(sum(design["bits"])))
                strategy.tell([Trial(str(number), "t", design, {"score": scores[-1]})])
            best.append(max(scores))
        return statistics.mean(best)

    assert found(lambda design: [sum(design["bits"])]) > found(None)


def test_numbers_in_one_unit_are_one_measure() -> None:
    columns = np.array([[1.0, 10.0, 0.0, 5.0], [3.0, 30.0, 4.0, 5.0]])
    assert_allclose(_spread(columns, (1, 2, 1)), [1, 104**0.5, 104**0.5, 1])
    assert _spread(columns[:, :0], ()).shape == (0,)


def test_the_same_under_another_name_is_not_tried_twice() -> None:
    def canonical(design: Design) -> Design:  # the second half of the bits does nothing
        return Design({"bits": (*design["bits"][:8], *(0,) * 8)})

    options: dict[str, Any] = {"initial": 5, "candidates": 60, "canonical": canonical}
    strategy, tried = Predictor(BITS, rng=stream(0), **options), list[Design]()
    for number in range(30):
        tried += strategy.ask(1)
        strategy.tell([Trial(str(number), "t", tried[-1], {"score": worth(tried[-1])})])
    assert len({canonical(design) for design in tried}) == len(tried)
    assert all(canonical(design) == design for design in tried[5:])


def test_features_must_be_finite() -> None:
    strategy = Predictor(BITS, rng=stream(0), initial=2, features=lambda design: [math.nan])
    for number, design in enumerate(strategy.ask(2)):
        strategy.tell([Trial(str(number), "t", design, {"score": float(number)})])
    with pytest.raises(InputError, match=r"`features` must be finite, but got \[nan\] of Design"):
        strategy.ask(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": 1}, r"`initial >= 2` must hold, but got \(initial=1\)"),
        ({"candidates": 9}, r"`candidates >= 10` must hold"),
        ({"surrogate": "oracle"}, r"`surrogate` must be one of kernel, .*, not 'oracle'"),
        ({"acquisition": "luck"}, r"`acquisition` must be one of improvement, .*, not 'luck'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(BITS, rng=stream(0), **arguments)
