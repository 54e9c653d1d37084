"""The whole report: one page that needs nothing else, whatever the run holds."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metawright.app.report import write_report
from metawright.errors import InputError, VersionError

VOID = {"meta", "br", "rect", "polyline", "polygon", "circle"}


class Reader(HTMLParser):
    """Text, tags and attributes of a page; complains of tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.parts: list[str] = []
        self.feed(page)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.parts.append(data.replace("\xa0", " "))

    @property
    def text(self) -> str:
        return " ".join(self.parts)


def read(run: Path) -> Reader:
    path = write_report(run, pictures=False)
    return Reader(path.read_text("utf-8"))


def change(run: Path, **fields: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_it_needs_no_other_file_and_no_script(finished: Path) -> None:
    page = write_report(finished, pictures=False).read_text("utf-8")
    found = Reader(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "base", "image", "use"}
    assert not [a for a in found.attributes if a[0] in ("src", "href", "srcset", "style")]
    assert not [a for a in found.attributes if a[0].startswith("on")]
    assert (
        "url(" not in page
        and "@import" not in page
        and "http" not in page.replace("http-equiv", "")
    )
    assert "prefers-color-scheme:dark" in page and "@media print" in page
    assert len(page) < 200_000


def test_what_a_reader_asks_is_answered(finished: Path) -> None:
    text = read(finished).text
    for answer in (
        "digits, 5 drawings a class",
        "91.8 %",
        "about 92 should be right; with 95 % confidence between 81 and 97",
        "Cross-validated over 5 folds of the 50 given examples.",
        f"metawright predict {finished}",
        f"metawright export {finished}",
        "500 examples were kept aside",
        "SVM on pixels",
        "Why this one",
        "Joining pixels to the network gained 1.8 points over the network alone.",
        "the model",
        "rank 1",
        "1 design failed",
        "<b>singular</b> matrix",
        "<a&b>.png (truncated)",
        "one, two",
        'th"ree',
        "<ö>",
        "sha256:feedbeef",
        "glyphs, omniglot (background)",
        "25.0 s",
        "0123456789abcdef",
    ):
        assert answer in text, answer


def test_the_leaderboard_is_ranked(finished: Path) -> None:
    page = write_report(finished, pictures=False).read_text("utf-8")
    rows = re.findall(r'<tr class="(member)?"><td class="n">(\d+)</td>(.*?)</tr>', page)
    assert [int(rank) for _, rank, _ in rows] == list(range(1, 19))
    assert [member for member, _, _ in rows] == ["member"] + [""] * 17
    estimates = [float(re.findall(r'"n">([\d.]+) %', cells)[1]) for _, _, cells in rows]
    assert estimates == sorted(estimates, reverse=True) and estimates[-1] == 30.0


@pytest.mark.parametrize("members", [2, 3])
def test_an_ensemble(made_runs: Callable[..., Path], members: int) -> None:
    found = read(made_runs(classes=tuple("abcde"), members=members, test=False))
    share = f"{100 / members:.0f} %"
    assert f"Member {members}, weight {share}" in found.text
    assert f"{share} of the model" in found.text
    assert "On images it never saw" not in found.text


def test_many_classes(made_runs: Callable[..., Path]) -> None:
    names = tuple(f"letter {index}" for index in range(70))
    text = read(made_runs(classes=names)).text
    assert "letter 0 → letter 4" in text and "10 more classes" in text


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_run_that_is_not_done(finished: Path, status: str) -> None:
    change(finished, status=status)
    assert "this is the best so far" in read(finished).text


def test_a_run_of_which_little_is_known(finished: Path) -> None:
    told = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({"format": 1, "status": "running"}))
    (finished / "store" / "store.sqlite").unlink()
    text = read(finished).text
    assert "The model" in text and "Kernel ridge" in text
    assert not (finished / "store" / "store.sqlite").exists(), "reading makes no store"
    (finished / "run.json").write_text(
        json.dumps(dict.fromkeys(told) | {"format": 1, "status": "running"})
    )
    assert "Kernel ridge" in read(finished).text


def test_hostile_texts_stay_texts(finished: Path) -> None:
    evil = "</title><script>alert(1)</script>\x00\udcff"
    change(
        finished,
        data={"name": evil, "notes": [evil], "support": {evil: 3}, "fingerprint": evil},
        why=[evil],
        bundle={"name": evil, "digest": evil, "provenance": {evil: [evil, {evil: evil}]}},
        metawright=evil,
        created=evil,
        score={"accuracy": 0.5, "low": None, "high": None, "how": evil},
    )
    found = read(finished)
    assert "script" not in found.tags
    assert found.text.count("<script>alert(1)</script>\\x00\\udcff") >= 10


def test_pictures(finished: Path) -> None:
    assert write_report(finished) == finished / "report.html"
    names = {path.name for path in (finished / "pictures").iterdir()}
    assert names == {
        "architecture.png", "progress.png", "curves.png", "test.png", "confusion.png",
        "confusion-test.png",
    }  # fmt: skip
    for path in (finished / "pictures").iterdir():
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 100 and len(set(image.convert("L").tobytes())) > 10


def test_errors(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run"):
        write_report(tmp_path / "gone")
    change(finished, format=2)
    with pytest.raises(VersionError, match="has format 2"):
        write_report(finished)
    change(finished, format=1)
    (finished / "model.json").unlink()
    with pytest.raises(InputError, match="has no model yet"):
        write_report(finished)
