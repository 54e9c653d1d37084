"""Preparation of tables against tables made by hand."""

import json
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import QuantileTransformer

from metawright.errors import InputError
from metawright.models.tables.categories import fit_category, words_of
from metawright.models.tables.dates import DATE_PARTS, date_numbers
from metawright.models.tables.numbers import fit_numbers
from metawright.models.tables.preparation import Preparation, Prepared, fit_preparation
from metawright.models.tables.state import State
from metawright.models.tables.texts import fit_text

NAN = float("nan")
SETTINGS = {
    "scaling": "standard", "clip": None, "categories": "onehot", "rare": 1, "topics": 4,
}  # fmt: skip


class Column(NamedTuple):
    name: str
    kind: str
    used: bool = True


COLUMNS = [
    Column("age", "number"),
    Column("town", "category"),
    Column("when", "date"),
    Column("note", "text"),
    Column("id", "number", used=False),
]


def table(rows: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = ["red apple", "green pear", "blue plum tree", None]
    return pd.DataFrame(
        {
            "age": [NAN if i == 4 else float(rng.normal(50, 9)) for i in range(rows)],
            "town": [["Rom", "Ulm", "Bonn", None][i % 4] for i in range(rows)],
            "when": pd.date_range("2024-01-01", periods=rows, freq="37h"),
            "note": [words[i % 4] for i in range(rows)],
            "id": np.arange(rows),
        }
    )


def fitted(x: pd.DataFrame | None = None, **settings: Any) -> Prepared:
    x = table() if x is None else x
    targets = (np.arange(len(x)) % 3 == 0).astype(float)[:, None]
    columns: Any = COLUMNS
    return fit_preparation(x, targets, columns, SETTINGS | settings, seed=3)


def words(*values: Any) -> "pd.Series[Any]":
    return words_of(pd.Series(list(values), dtype=object))


def encoded(values: "pd.Series[Any]", targets: Any = None, **settings: Any) -> Any:
    y = np.zeros((len(values), 1)) if targets is None else np.asarray(targets, float)[:, None]
    rng = np.random.default_rng(0)
    return fit_category(values, y, "town", **{"encoding": "onehot", "rng": rng, **settings})


def test_numbers_are_filled_by_the_median_flagged_and_scaled() -> None:
    x = np.array([[1.0, 5.0], [3.0, 5.0], [NAN, 5.0], [8.0, 5.0], [np.inf, 5.0]])
    numbers = fit_numbers(x, ["a", "constant"])
    assert numbers.feature_names == ["a", "a is missing"]
    filled = np.array([1.0, 3.0, 3.0, 8.0, 3.0])
    found = numbers.transform(x)
    assert_allclose(found[:, 0], (filled - filled.mean()) / filled.std())
    assert_array_equal(found[:, 1], [0, 0, 1, 0, 1])


def test_far_numbers_are_drawn_in() -> None:
    x = np.append(np.arange(101.0), 1e6)[:, None]
    found = fit_numbers(x, ["a"], scaling="none", clip=3.0).transform(x)[:, 0]
    lower, middle, upper = np.percentile(x, [25, 50, 75])
    assert_allclose(found[-1], middle + 3 * (upper - lower) / 1.3489795)
    assert_array_equal(found[:-1], x[:-1, 0])


def test_a_column_of_holes_has_no_features_and_one_of_few_values_is_not_drawn_in() -> None:
    x = np.column_stack([np.full(40, NAN), np.arange(40) == 7, np.arange(40.0)])
    numbers = fit_numbers(x, ["holes", "seldom", "a"], scaling="none", clip=3.0)
    assert numbers.feature_names == ["seldom", "a"]
    assert_array_equal(numbers.transform(x)[:, 0], x[:, 1])


def test_robust_scaling_puts_the_quartiles_where_a_normal_has_them() -> None:
    x = np.random.default_rng(0).lognormal(size=(401, 1))
    found = fit_numbers(x, ["a"], scaling="robust").transform(x)
    lower, middle, upper = np.percentile(found, [25, 50, 75])
    assert_allclose([middle, upper - lower], [0, 1.3489795], atol=1e-6)


def test_quantile_scaling_is_that_of_scikit_learn_but_for_the_ends() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.exponential(size=300), rng.integers(0, 4, 300)], 1).astype(float)
    reference = QuantileTransformer(n_quantiles=200, output_distribution="normal").fit(x)
    numbers = fit_numbers(x, ["a", "b"], scaling="quantile")
    new = np.array([[0.3, 2.0], [0.01, 1.0], [2.0, 2.0], [1.5, 1.5]])
    assert_allclose(numbers.transform(new), reference.transform(new), atol=1e-6)
    ends = numbers.transform(np.array([[-5.0, 0.0], [99.0, 3.0]]))
    edge = NormalDist().inv_cdf(1 - 0.5 / 200)
    assert_allclose(ends[:, 0], [-edge, edge])
    below = float(np.mean(x[:, 1] == 0)) / 2
    assert_allclose(ends[0, 1], NormalDist().inv_cdf(below), atol=0.05)


def test_levels_have_a_feature_each_and_rare_ones_share_one() -> None:
    column, features = encoded(words("b", "a", "b", "c", None, "b", "a"), rare=2)
    assert column.feature_names == ["town = b", "town = a", "town = missing", "town = other"]
    assert_array_equal(features.argmax(1), [0, 1, 0, 3, 2, 0, 1])
    assert_array_equal(features.sum(1), np.ones(7))
    unseen = column.transform(words("z", "a", None))
    assert_array_equal(unseen.argmax(1), [3, 1, 2])


def test_an_unseen_level_without_rare_ones_has_no_feature() -> None:
    column, _ = encoded(words("a", "b", "a"))
    assert_array_equal(column.transform(words("z", None, "b")), [[0, 0], [0, 0], [0, 1]])


def test_places_go_by_frequency() -> None:
    column, features = encoded(words("b", "a", "b", "c"), encoding="ordinal")
    assert_array_equal(features[:, 0], [0, 1, 0, 2])
    assert_array_equal(column.transform(words("z", None))[:, 0], [3, 4])


def test_target_means_are_drawn_to_the_prior() -> None:
    levels, y = words(*"aaaaaaaaab"), [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    column, _ = encoded(levels, y, encoding="target")
    found = column.transform(words("a", "b", "z", None))[:, 0]
    assert_allclose(found, [(8 + 10 * 0.8) / 19, (0 + 10 * 0.8) / 11, 0.8, 0.8])


def test_no_row_tells_its_own_target() -> None:
    """Every row a level of its own: the encoding of the fitting rows is the mean of others."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=200)
    _, features = encoded(words(*map(str, range(200))), y, encoding="target")
    assert abs(np.corrcoef(features[:, 0], y)[0, 1]) < 0.3
    assert len(np.unique(features)) <= 5, "the prior of each fold"


def test_the_order_of_rows_tells_nothing_about_targets() -> None:
    """Every fifth row is another: parts of every fifth row would tell which."""
    y = (np.arange(200) % 5 == 0).astype(float)
    _, features = encoded(words(*map(str, range(200))), y, encoding="target")
    assert abs(np.corrcoef(features[:, 0], y)[0, 1]) < 0.4


def test_levels_of_one_frequency_go_by_name() -> None:
    assert encoded(words("b", "c", "a", "c"))[0].levels == ("c", "a", "b")


def test_many_levels_are_not_one_hot() -> None:
    column, _ = encoded(words(*map(str, range(50))))
    assert column.encoding == "target"


def test_hashed_levels_need_no_memory() -> None:
    column, features = encoded(words("a", "b", "a", None), encoding="hash")
    assert features.shape == (4, 16) and features.sum() == 3
    assert_array_equal(column.transform(words("a")), features[:1])


def test_numbers_as_words_do_not_hang_on_their_type() -> None:
    found = [words(1, 2).tolist(), words(1.0, 2.0).tolist(), words("1", "2").tolist()]
    assert found == [["1", "2"]] * 3
    assert words(1.5, NAN, True, None).tolist() == ["1.5", None, "True", None]


def test_a_date_is_taken_apart() -> None:
    values = pd.Series(pd.to_datetime(["2024-07-01 06:00", None, "1970-01-01 00:00"]))
    found = date_numbers(values)
    first = dict(zip(DATE_PARTS, found[0].tolist(), strict=True))
    assert (first["year"], first["month"], first["day"]) == (2024, 7, 1)
    assert (first["weekday"], first["hour"]) == (0, 6), "a Monday"
    assert first["seconds"] == 1_719_813_600
    assert first["day sine"] == pytest.approx(1) and first["week cosine"] > 0.97
    assert np.isnan(found[1]).all()
    assert found[2, DATE_PARTS.index("seconds")] == 0


def test_a_time_zone_is_counted_in_utc() -> None:
    values = pd.Series(pd.to_datetime(["2024-07-01 06:00+02:00"]))
    assert date_numbers(values)[0, -1] == 1_719_806_400


def test_texts_alike_lie_near_each_other() -> None:
    texts = ["the red apple", "red apples", "a blue whale", "blue whales sing", "grey", None]
    text = fit_text(texts, "note", components=3, seed=0)
    found = text.transform(["red apple", "red apples!", "blue whale"])
    assert text.feature_names[-2:] == ["note letters", "note words"] and found.shape == (3, 5)
    near, far = (np.linalg.norm(found[0, :3] - found[i, :3]) for i in (1, 2))
    assert near < far / 2


def test_topics_are_the_singular_directions_of_weighted_n_grams() -> None:
    texts = ["the red apple apple", "red apples", "a blue whale", "blue whales sing", "grey", ""]
    options = {"analyzer": "char_wb", "ngram_range": (2, 4), "n_features": 4096}
    counts = HashingVectorizer(alternate_sign=False, norm=None, **options).transform(texts)
    dense = counts.toarray()
    weighed = np.log1p(dense) * (np.log(7 / (1 + (dense > 0).sum(0))) + 1)
    weighed /= np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-12)
    left, values, _ = np.linalg.svd(weighed, full_matrices=False)
    expected = left[:, :3] * values[:3]
    found = fit_text(texts, "note", components=3, seed=0).transform(texts)
    assert_allclose(np.abs(found[:, :3]), np.abs(expected / expected.std(0)), atol=1e-4)
    assert_allclose(found[0, 3:], np.log1p([19, 4]))


def test_topics_are_fewer_than_rows() -> None:
    assert fit_text(["a b", "b c", "c d"], "note", components=8, seed=0).directions.shape[0] == 2


def test_all_settings_reach_their_parts() -> None:
    x = table().assign(town=["Ulm" if i < 3 else "Rom" for i in range(30)])
    x.loc[7, "age"] = 1e6
    names = fitted(x, rare=4, topics=2).preparation.feature_names
    assert "town = other" in names and "town = Ulm" not in names
    assert sum("topic" in name for name in names) == 2
    age, drawn_in = (fitted(x, scaling="none", clip=clip).features[7, 0] for clip in (None, 3.0))
    assert age == 1e6 and drawn_in < 200


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile", "none"])
@pytest.mark.parametrize("categories", ["onehot", "ordinal", "target", "hash"])
def test_every_setting_gives_finite_named_features_and_is_kept(
    scaling: str, categories: str
) -> None:
    preparation, features = fitted(scaling=scaling, categories=categories, clip=3.0)
    assert features.shape == (30, len(preparation.feature_names)) and np.isfinite(features).all()
    data, arrays = preparation.to_state()
    again = Preparation.from_state(State(json.loads(json.dumps(data)), arrays))
    new = table(60).drop(columns="id").assign(extra=1).iloc[::-1]
    assert_array_equal(again.transform(new), preparation.transform(new))
    assert again.feature_names == preparation.feature_names
    if categories != "target":
        assert_array_equal(preparation.transform(table()), features)
    assert preparation.categorical.sum() == (scaling == "none" and categories == "ordinal")


def test_a_missing_column_is_named() -> None:
    preparation, _ = fitted()
    with pytest.raises(InputError, match=r"lacks 2 of the 4 columns .*: 'age', 'note'\. Add"):
        preparation.transform(table().drop(columns=["age", "note"]))


def test_words_among_numbers_are_named() -> None:
    preparation, _ = fitted()
    wrong = table().assign(age=["7", " 8", "old", *["old"] * 27])
    with pytest.raises(InputError, match=r"'age' must hold numbers, but row 3 has 'old' and 27"):
        preparation.transform(wrong)
    right = table().assign(age=[str(i) for i in range(29)] + [None])
    assert np.isfinite(preparation.transform(right)).all()


def test_what_is_no_date_is_named() -> None:
    preparation, _ = fitted()
    with pytest.raises(InputError, match=r"'when' must hold dates, but row 1 has 'soon'"):
        preparation.transform(table(1).assign(when=["soon"]))
    with pytest.raises(InputError, match=r"'when' must hold dates, but row 1 has"):
        preparation.transform(table(1).assign(when=[17]))
    written = table().assign(when=table()["when"].astype(str))
    assert_array_equal(preparation.transform(written), preparation.transform(table()))


def test_nothing_that_varies_is_an_error() -> None:
    x = pd.DataFrame({"a": [1.0, 1.0, 1.0]})
    columns: Any = [Column("a", "number")]
    with pytest.raises(InputError, match=r"No column varies in the 3 rows"):
        fit_preparation(x, np.zeros((3, 1)), columns, SETTINGS, seed=0)
