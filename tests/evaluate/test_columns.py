"""What columns are worth, against sums that can be done by hand."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metawright.evaluate.columns import dependence, loss_rises, row_losses, worths
from metawright.tasks.kind import Kind

ROWS = 4000


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": draw.normal(size=ROWS),
            "b": draw.normal(size=ROWS),
            "c": pd.Categorical(draw.choice(["u", "v"], ROWS), categories=["u", "v"]),
            "d": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
        }
    )


def predict(x: pd.DataFrame) -> NDArray[np.float64]:
    """3 a, and 1 more where c is v."""
    values = (3 * x["a"] + (x["c"] == "v")).to_numpy(np.float64)
    return np.asarray(values[:, None], np.float64)


def test_a_shuffled_column_costs_twice_its_variance() -> None:
    x = table()
    y = predict(x)[:, 0]
    names = list(x.columns)
    rises = loss_rises(predict, x, y, Kind.REGRESSION, names, np.random.default_rng(1))
    assert rises.shape == (ROWS, 4)
    # Two draws of the same column differ by twice its variance; 3 a has 9, c a quarter.
    expected = [18 * x["a"].var(), 0.0, 2 * 0.25, 0.0]
    np.testing.assert_allclose(rises.mean(0), expected, rtol=0.06, atol=1e-12)
    found = worths(rises, names)
    assert [worth.column for worth in found[:2]] == ["a", "c"]
    assert all(worth.low < worth.rise < worth.high for worth in found[:2])
    assert found[0].low > 0 and found[2].low == 0 == found[2].high


def test_shuffling_in_parts_is_of_one_column_at_a_time(monkeypatch: Any) -> None:
    x = table().iloc[:300].reset_index(drop=True)
    y = predict(x)[:, 0]
    seen: list[int] = []

    def watched(rows: pd.DataFrame) -> NDArray[np.float64]:
        seen.append(len(rows))
        for start in range(0, len(rows), 300):
            part = rows.iloc[start : start + 300].reset_index(drop=True)
            moved = [name for name in x.columns if not part[name].equals(x[name])]
            assert len(moved) <= 1, "only one column may be shuffled"
            assert part.dtypes.equals(x.dtypes)
        return predict(rows)

    monkeypatch.setattr("metawright.evaluate.columns._AT_ONCE", 700)
    loss_rises(watched, x, y, Kind.REGRESSION, list(x.columns), np.random.default_rng(1))
    assert seen == [300, 600, 600]


def test_losses_of_classes_are_logarithms() -> None:
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [1.0, 0.0]])
    losses = row_losses(answers, np.array([0, 0, 1]), Kind.CLASSIFICATION)
    np.testing.assert_allclose(losses, -np.log([0.9, 0.2, 1e-12]))


def test_dependence_is_the_line_itself() -> None:
    x = table()
    x.loc[5, "a"] = np.nan
    found = dependence(lambda rows: predict(rows.fillna({"a": 0})), x, "a")
    assert found is not None and len(found.at) == 13
    slopes = np.diff(found.answers[:, 0]) / np.diff(found.at)
    np.testing.assert_allclose(slopes, 3)
    named = dependence(predict, x.dropna(), "c")
    assert named is not None and set(named.at) == {"u", "v"}
    by_name = dict(zip(named.at, named.answers[:, 0], strict=True))
    np.testing.assert_allclose(by_name["v"] - by_name["u"], 1)
    dated = dependence(predict, x.dropna(), "d")
    assert dated is not None and dated.at[0] >= 1704067200.0
    assert dependence(predict, x.assign(a=1.0), "a") is None
    assert dependence(predict, x.assign(a=["text"] * ROWS), "a") is None
