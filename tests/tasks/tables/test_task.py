"""Tables as tasks: every bad table gets its sentence, every odd one its finding."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from metawright.errors import InputError
from metawright.tasks.kind import Kind
from metawright.tasks.tables import Frame, TableTask, pose_table, read_table
from metawright.tasks.tables.conform import conform

ROWS = 60
NOISE = np.random.default_rng(0).normal(size=(ROWS, 6)).round(3)
CLASSES = np.where(NOISE[:, 0] + NOISE[:, 1] > 0, "yes", "no")


def table(**columns: Any) -> Frame:
    """Two columns of noise, the given ones, and a target `y` of two classes."""
    given = {"a": NOISE[:, 2], "b": NOISE[:, 3], **columns}
    return read_table({"y": CLASSES} | given if "y" not in given else given)


def found(task: TableTask, code: str) -> list[str]:
    return [finding.sentence for finding in task.findings if finding.code == code]


def test_a_plain_table() -> None:
    task = pose_table(table(c=["u", "v", "w"] * 20), "y")
    assert task.kind is Kind.CLASSIFICATION and task.classes == ("no", "yes")
    assert task.y.dtype == np.int64 and (task.y == (CLASSES == "yes")).all()
    assert task.used == ("a", "b", "c") and not task.findings
    assert task.groups is None and task.times is None and task.x.shape == (60, 3)


REFUSED: dict[str, tuple[Frame, dict[str, Any], str]] = {
    "target absent": (table(), {"target": "Y2"}, "There is no column 'Y2' for the target in the "
                      "columns: did you mean 'y'? Its columns are 'y', 'a', 'b'."),
    "target far": (table(), {"target": "zzz"}, "There is no column 'zzz' for the target in the "
                   "columns: its columns are 'y', 'a', 'b'."),
    "one class": (table(y=["yes"] * ROWS), {},
                  "Target 'y' has only the value 'yes' in 60 rows: there is nothing to predict."),
    "one number": (table(y=[2.0] * ROWS), {},
                   "Target 'y' has only the value '2' in 60 rows: there is nothing to predict."),
    "no target": (table(y=[None] * ROWS), {}, "Target 'y' is missing in all 60 rows of the"),
    "gaps, strict": (table(y=["?", *CLASSES[1:]]), {"strict": True},
                     "Target 'y' is missing in 1 row (the first is row 1): fill them in, or leave "
                     "out `strict` to go on without them."),
    "three rows": (read_table({"a": [1, 2, 3], "y": ["u", "v", "u"]}), {},
                   "Only 3 rows of the columns have a 'y', but at least 10 are needed to learn "
                   "anything: give more, or insist with `force`."),
    "one row": (read_table({"a": [1, 2], "y": ["u", "v"]})._replace(name="x.csv"), {},
                "Only 2 rows of x.csv have a 'y', but at least 10"),
    "words for numbers": (table(), {"kind": "regression"},
                          "Target 'y' must be numbers for regression, but 60 cells are none"),
    "no classes": (table(y=[f"v{i}" for i in range(ROWS)]), {}, "Target 'y' has 60 different "
                   "values in 60 rows: these are no classes. Choose a column whose values come"),
    "numbers for classes": (table(y=NOISE[:, 1]), {"kind": "classification"},
                            "different values in 60 rows: these are no classes."),
    "dates": (table(y=pandas.date_range("2020-01-01", periods=ROWS)), {},
              "Target 'y' holds dates: turn them into a number"),
    "no features": (read_table({"id": range(ROWS), "k": [1] * ROWS, "y": CLASSES}), {},
                    "There is no column to predict 'y' from ('id': whole numbers; names of rows; "
                    "'k': whole numbers; it teaches nothing)."),
    "the target alone": (read_table({"y": CLASSES}), {}, "There is no column to predict 'y' from"),
    "drop absent": (table(), {"drop": ["q"]}, "There is no column 'q' for the columns to drop in"),
    "group is target": (table(), {"group": "y"}, "Column 'y' is the target: it cannot be"),
    "time of words": (table(t=["u", "v"] * 30), {"time": "t"},
                      "Column 't' must hold dates or numbers to split by time."),
    "time with gaps": (table(t=[None, *range(1, ROWS)]), {"time": "t"},
                       "Column 't' is missing in 1 row: no split by time."),
    "kind": (table(), {"kind": "control"},
             "The kind must be classification or regression, but got 'control'."),
    "two targets": (read_table(pandas.DataFrame(np.ones((20, 2)), columns=["y", "y"])), {},
                    "The frame has several columns 'y': rename all but the target."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(case: str) -> None:
    frame, options, sentence = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(sentence)) as error:
        pose_table(frame, **({"target": "y"} | options))
    assert "\n" not in str(error.value) and str(error.value).endswith((".", "?"))


SAME = "Column 'c' is the same as 'a'. Left out."
KEYS = [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(ROWS)]
ODD: dict[str, tuple[Frame, str, str, bool | None]] = {
    "constant": (table(c=["k"] * ROWS), "constant", "Column 'c' has only the value 'k'. Left out.",
                 False),
    "empty": (table(c=[None] * ROWS), "empty", "Column 'c' is empty. Left out.", False),
    "duplicate": (table(c=NOISE[:, 2]), "duplicate", SAME, False),
    "counter": (table(c=range(ROWS)), "id", "Column 'c' counts the rows: names of rows. Left out.",
                False),
    "shuffled counter": (table(c=np.random.default_rng(1).permutation(ROWS) + 1), "id",
                         "Column 'c' counts the rows", False),
    "keys": (table(c=KEYS), "id", "Column 'c' holds unique keys: names of rows. Left out.", False),
    "words of each row": (table(c=[f"c{i}" for i in range(ROWS)]), "id",
                          "Column 'c' has another value in each row", False),
    "infinite": (table(c=[np.inf, *NOISE[1:, 4]]), "infinite", "Column 'c' is infinite in 1 row: "
                 "counted as missing.", True),
    "mixed": (table(c=["odd", *map(str, NOISE[1:, 4])]), "mixed", "Column 'c' was read as "
              "numbers; 1 cell ('odd') is none and counts as missing.", True),
    "the target": (table(c=np.where(CLASSES == "yes", 7, 3)), "target",
                   "Column 'c' is the target 'y' under other names. Left out.", False),
    "leak": (table(c=NOISE[:, 0] + NOISE[:, 1]), "leak", "Column 'c' alone tells 'y' all but "
             "perfectly (100.0 of 100): if it is only known afterwards, drop it.", True),
    "leaking words": (table(c=[f"{y}{i % 3}" for i, y in enumerate(CLASSES)]), "leak",
                      "Column 'c' alone tells 'y' all but perfectly", True),
    "dates": (table(c=pandas.date_range("2020-01-01", periods=ROWS)), "time", "Column 'c' holds "
              "dates from 2020-01-01 to 2020-02-29: if new rows come later than these, split by",
              True),
    "gaps": (table(c=[None] * 45 + ["u", "v", "w"] * 5), "missing",
             "Column 'c' is missing in 75 % of the rows.", True),
    "groups": (table(user_id=np.arange(ROWS) // 2), "group", "Column 'user_id' names 30 things in "
               "60 rows: if new rows are of other ones, split by group.", None),
    "single class": (table(y=["odd", *CLASSES[1:]]), "single", "Class 'odd' of 'y' has a single "
                     "row: kept, but nothing can be said of how well it is told apart.", None),
    "rare classes": (table(y=["p", "p", "q", "q", *CLASSES[4:]]), "rare",
                     "Classes 'p', 'q' of 'y' have fewer than 5 rows", None),
    "unbalanced": (table(y=["p"] * 5 + ["q"] * 55), "unbalanced", "Target 'y' is unbalanced: 'q' "
                   "has 91.7 % of the rows, 'p' 8.3 %.", None),
    "few": (read_table({"a": NOISE[:12, 0], "y": ["u", "v"] * 6}), "few", "There are only 12 "
            "rows: whatever is learned and measured from them is unreliable.", None),
    "repeated": (read_table({"a": NOISE[:, 0].round(), "y": CLASSES}), "repeated",
                 "rows are the same as an earlier one, target included.", None),
    "gaps in the target": (table(y=[*CLASSES[:58], None, "?"]), "target missing",
                           "'y' is missing in 2 rows (the first is row 59): left out.", None),
    "classes or numbers": (table(y=[1, 2, 3] * 20), "kind", "Target 'y' has 3 different whole "
                           "numbers, taken for classes: choose the kind regression if", None),
    "numbers or classes": (table(y=[0.5, 1.5, 2.5] * 20), "kind", "Target 'y' has only 3 "
                           "different numbers, taken for quantities: choose the kind", None),
    "many classes": (table(y=[f"v{i % 25}" for i in range(ROWS)]), "rare", "Classes 'v0'", None),
    "names": (read_table(pandas.DataFrame(NOISE, columns=["p", "p", "q", "r", "s", "y"])),
              "reading", "2 columns are called 'p': the later is now 'p.2'.", None),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_found(case: str) -> None:
    frame, code, sentence, used = ODD[case]
    task = pose_table(frame, "y")
    assert len(told := found(task, code)) == 1 and sentence in told[0], task.findings
    if used is not None:
        assert ("c" in task.used) is used and {"a", "b"} <= set(task.used)
    others = {finding.code for finding in task.findings} - {code}
    assert others <= {"few", "repeated", "rare", "unbalanced"}, task.findings


def test_numbers_as_targets() -> None:
    y = 2 * NOISE[:, 2] + NOISE[:, 3]
    other = {"c": -3 * y + 1, "d": np.round(y, 2), "y_scaled": y + 0.1 * NOISE[:, 5]}
    task = pose_table(table(y=y, **other), "y")
    assert task.kind is Kind.REGRESSION and task.classes == () and task.y.dtype == np.float64
    assert found(task, "target") == ["Column 'c' is the target 'y' on another scale. Left out."]
    assert len(found(task, "leak")) == 2, "one by its values, one also by its name"
    assert pose_table(table(y=[1, 2] * 30), "y").classes == ("1", "2")
    assert pose_table(table(y=[1.0, 2.0, 10.0] * 20), "y").classes == ("1", "2", "10")
    assert pose_table(table(y=[1, 2, 10] * 20), "y", kind="regression").y[:3].tolist() == [
        1,
        2,
        10,
    ]
    assert pose_table(table(y=range(100, 160)), "y").kind is Kind.REGRESSION


def test_only_what_is_more_than_chance_is_a_leak() -> None:
    draw = np.random.default_rng(2)
    columns = {f"c{i}": draw.normal(size=ROWS) for i in range(30)}
    columns |= {f"w{i}": draw.integers(0, 30, ROWS).astype(str) for i in range(30)}
    task = pose_table(table(y=["p"] * 3 + ["q"] * 57, **columns), "y")
    assert not found(task, "leak") and len(task.used) == 62
    easy = {f"e{i}": (CLASSES == "yes") + 0.1 * draw.random(ROWS) for i in range(5)}
    task = pose_table(table(**easy), "y")
    assert not found(task, "leak") and "5 columns tell 'y' all but perf" in found(task, "easy")[0]


def test_roles() -> None:
    days = pandas.date_range("2020-01-01", periods=ROWS)
    frame = table(who=["u", "v", None] * 20, when=days, step=range(ROWS), k=[1] * ROWS)
    task = pose_table(frame, "y", group="who", time="when", drop=["a"], keep=["k"])
    assert task.used == ("b", "when", "k") and not found(task, "time")
    assert task.groups is not None and task.groups[:6].tolist() == [0, 1, 2, 0, 1, 3]
    assert task.times is not None and (task.times == days.to_numpy()).all()
    why = {column.name: column.why for column in task.columns}
    assert why["a"] == "numbers; dropped, as asked" and "belong together" in why["who"]
    assert found(task, "constant") == ["Column 'k' has only the value '1'. Kept, as asked."]
    assert "step" not in pose_table(frame, "y", time="step").used


def test_rows_without_a_target_are_left_out_everywhere() -> None:
    y = CLASSES.astype(object)
    y[[0, 7]] = None
    task = pose_table(table(y=y, g=["u", "v"] * 30), "y", group="g")
    assert task.x["a"].tolist() == np.delete(NOISE[:, 2], [0, 7]).tolist()
    assert len(task.y) == 58 and task.groups is not None and len(task.groups) == 58
    assert task.row_numbers is not None and task.row_numbers[:2].tolist() == [2, 3]
    assert task.x.index.tolist() == list(range(58))


def test_few_rows_when_one_insists() -> None:
    task = pose_table(read_table({"a": [1, 2, 4], "y": ["u", "v", "u"]}), "y", force=True)
    assert len(task.y) == 3 and found(task, "few")


def test_the_fingerprint_is_of_content_and_target() -> None:
    first, again, other = (
        pose_table(table(c=c), "y") for c in (["u", "v"] * 30,) * 2 + (NOISE[:, 4],)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert pose_table(table(), "a").fingerprint != pose_table(table(), "b").fingerprint


def test_new_rows_are_read_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{i % 7},5;{1 + i % 28}/1/2020;{'uvw'[i % 3]};{CLASSES[i]}" for i in range(ROWS)]
    path.write_text("\n".join(["n;d;c;y", *lines]))
    task = pose_table(read_table(path), "y")
    path.write_text('y,d,n,c,more\nno,3/1/2020,"2,5",u,1\nno,soon,oops,x,2\n')
    levels = {"c": {"u", "v", "w"}}
    x, notes = conform(read_table(path), task.columns, levels=levels, known=["y"])
    assert list(x.columns) == ["n", "d", "c"] and x["n"][0] == 2.5 and np.isnan(x["n"][1])
    assert x["d"][0] == pandas.Timestamp("2020-01-03") and x["d"].isna().tolist() == [False, True]
    assert notes == (
        "Decimals are written with a comma.",
        "Columns that the model does not know are ignored: 'more'.",
        "Column 'n' must be numbers: 1 cell such as 'oops' counts as missing.",
        "Column 'd' must be dates: 1 cell such as 'soon' counts as missing.",
        "Column 'c' has 1 row of values that were not seen before: 'x'.",
    )
    path.write_text("y,n\nno,1\n")
    with pytest.raises(
        InputError, match=r"a.csv lacks 2 columns .* \('d', 'c'\) and has 'y', 'n'"
    ):
        conform(read_table(path), task.columns)
    x, notes = conform(read_table(path), task.columns, fill=True, known=["y"])
    assert x["d"].isna().all() and x["c"].isna().all() and "'d', 'c'" in notes[-1]
