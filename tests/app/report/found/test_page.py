"""The page of a search: what a reader asks is answered, whatever the run holds."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metawright.app.report.drawing import Dot, Text
from metawright.app.report.found.facts import read_search
from metawright.app.report.found.page import search_pictures, write_search_report
from metawright.errors import InputError

Searched = Callable[..., Path]
VOID = {"meta", "br", "rect", "polyline", "polygon", "circle"}


class Reader(HTMLParser):
    """Text and tags of a page; complains of tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.parts: list[str] = []
        self.feed(page)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
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
    return Reader(write_search_report(run, pictures=False).read_text("utf-8"))


def change(run: Path, **fields: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_it_needs_no_other_file_and_no_script(searched: Searched) -> None:
    page = write_search_report(searched(), pictures=False).read_text("utf-8")
    found = Reader(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "base", "image", "use"}
    assert not found.attributes & {"src", "href", "srcset", "style", "onload", "onclick"}
    assert "http" not in page.replace("http-equiv", "") and "url(" not in page
    assert len(page) < 400_000


def test_what_a_reader_asks_is_answered(searched: Searched) -> None:
    run = searched()
    text = read(run).text
    for answer in (
        "evolution over the space “cells”, after accuracy.",
        "96.40 %",
        "Accuracy on 359 examples that nothing was chosen by; with 95 % confidence between "
        "94.00 % and 97.90 %.",
        "of them failed",
        "best of 6 random designs",
        "really beats its runner-up with a probability of 91 %",
        "by 1.0 points (95 %: -0.2 points to +2.2 points, + is better), from 3 pairs of trainings",
        "expected best of 18 designs",
        "best of 4; 1 of them beat it",
        "standard deviation 11.0 points, of 6 random designs",
        "seed noise 0.8 points",
        "Cost against score",
        "Node 0 is the input, node 3 the output",
        "3 × 3 convolution",
        "cell: edge 0–1",
        "augmentation: 0.0 → 0.25",
        "13 more changes",
        "noise of 0.5 sd",
        "trained once more, 3 times as long",
        "2 trials failed",
        "ZeroDivisionError: <i>no</i>",
        "<b>x</b> = 1 / 0",
        "14 more are in the store of the run",
        "0123456789abcdef",
        "A note on digits.",
    ):
        assert answer in text, answer
    assert "metawright predict" not in text and "load_found" not in text, "it has no model"


def test_a_run_with_a_model_can_be_used(searched: Searched) -> None:
    run = searched()
    (run / "model.json").write_text("{}")
    text = read(run).text
    assert f"metawright predict {run} FILES" in text and f"metawright export {run}" in text
    code = text[text.index("import metawright") :].partition("module(examples)")[0]
    loaded = "metawright.load_found"
    assert f"module = {loaded}('{run}')" in code and ".design" not in code
    change(run, asked=json.loads((run / "run.json").read_text())["asked"] | {"space": "own"})
    assert f"module = {loaded}('{run}', build=build)" in read(run).text


def test_the_best_trials_are_ranked(searched: Searched) -> None:
    page = write_search_report(searched(), pictures=False).read_text("utf-8")
    section = page.split("<h2>What was tried</h2>")[1]
    rows = re.findall(
        r'<tr class="(member)?"><td class="n">(\d+)</td>.*?"n">([\d.]+)&nbsp;%', section
    )
    assert [int(rank) for _, rank, _ in rows] == list(range(1, 16))
    scores = [float(score) for _, _, score in rows]
    assert scores == sorted(scores, reverse=True)
    assert [kind for kind, _, _ in rows] == ["member"] + [""] * 14, "the chosen one is the best"


def test_a_space_of_more_designs_than_a_float_holds(searched: Searched) -> None:
    run = searched()
    change(run, designs=10**400)
    assert "about 1 × 10^400 designs in the space" in " ".join(read(run).text.split())


def test_two_objectives_with_a_constraint(searched: Searched) -> None:
    run = searched(
        space="macro",
        objectives=("accuracy", "parameters"),
        constraints=(("parameters", 50_000.0),),
    )
    text = read(run).text
    assert "after accuracy and parameters, with parameters of at most 50.0 k" in text
    assert "The front" in text and "at most 50.0 k" in text
    assert "1 design was left out untrained" in text
    assert "parameters 90,000 is above 50,000: not trained." in text
    assert "stages 1" in text and "Bottleneck" in text


def test_a_picture_for_each_further_objective(searched: Searched) -> None:
    run = searched(space="darts", objectives=("accuracy", "latency", "flops"))
    pictures = list(search_pictures(read_search(run)))
    assert sorted(picture.name for picture in pictures) == sorted((
        "test", "chance", "front", "front-2", "architecture", "cell-normal", "cell-reduction",
        "importance", "robustness", "curve",
    ))  # fmt: skip
    for picture in pictures:
        for shape in picture.shapes:
            if isinstance(shape, Text | Dot):
                assert -8 <= shape.x <= picture.width + 8 and 0 <= shape.y <= picture.height


def test_pictures_are_written_as_files(searched: Searched) -> None:
    run = searched(space="pipelines", status="running")
    assert write_search_report(run) == run / "report.html"
    (path,) = [path for path in (run / "pictures").iterdir() if path.name == "front.png"]
    with Image.open(path) as image:
        image.load()
        assert min(image.size) > 100 and len(set(image.convert("L").tobytes())) > 10


@pytest.mark.parametrize("space", ["dense", "generator", "pipelines", "recurrent", "transformer"])
def test_every_kind_of_space(searched: Searched, space: str) -> None:
    text = read(searched(space=space)).text
    assert "The chosen design" in text
    assert ("The network" in text) == (space not in ("generator", "pipelines"))


def test_without_controls_nothing_is_claimed(searched: Searched) -> None:
    text = read(searched(controls=False)).text
    assert "The controls were switched off, and there is no result without them" in text
    assert "expected best" not in text and "really beats" not in text


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_run_that_is_not_done(searched: Searched, status: str) -> None:
    text = read(searched(status=status)).text
    assert "this is the best so far" in text and "so flatters" in text
    assert "The comparison with chance is made when the search is done." in text
    assert "the same `metawright search` goes on" in text


def test_a_run_of_which_little_is_known(searched: Searched) -> None:
    run = searched()
    told = json.loads((run / "run.json").read_text())
    parts = told["why"]
    change(run, why=dict.fromkeys(parts) | {"measure": parts["measure"]})
    assert "None of the controls was made" in read(run).text
    controls = dict.fromkeys(parts["controls"])
    change(run, best=None, kept=None, front=[], why=dict.fromkeys(parts) | {"controls": controls})
    text = read(run).text
    assert "None of the controls was made" in text and "No design with a score" in text
    bare = {"format": 1, "kind": "search", "status": "running"}
    (run / "run.json").write_text(json.dumps(bare))
    assert "Nothing yet." not in read(run).text, "the store has trials"
    (run / "store" / "store.sqlite").unlink()
    assert "Nothing yet." in read(run).text
    assert not (run / "store" / "store.sqlite").exists(), "reading makes no store"


def test_hostile_texts_stay_texts(searched: Searched) -> None:
    evil = "</title><script>alert(1)</script>\x00"
    run = searched(name=evil)
    told = json.loads((run / "run.json").read_text())
    why = told["why"]
    why["sentences"] = [evil]
    why["importance"][0]["decision"] = evil
    why["path"][1]["changes"] = [evil]
    why["robustness"][evil] = 0.5
    why["test"]["rows"][1]["name"] = evil
    change(run, why=why, metawright=evil, created=evil, epochs=3)
    found = read(run)
    assert "script" not in found.tags
    assert found.text.count("<script>alert(1)</script>\\x00") >= 7


def test_nothing_but_searches(searched: Searched, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run"):
        read_search(tmp_path / "gone")
    run = searched()
    change(run, kind="fewshot")
    with pytest.raises(InputError, match="is no search"):
        read_search(run)


def test_a_constraint_on_another_measure_has_a_picture(searched: Searched) -> None:
    limits = (("parameters", 20_000.0),)
    run = searched(objectives=("accuracy", "latency"), constraints=limits)
    drawn = {picture.name: picture for picture in search_pictures(read_search(run))}
    texts = [
        {shape.text for shape in drawn[name].shapes if isinstance(shape, Text)}
        for name in ("front", "front-2")
    ]
    assert "latency an example (ms)" in texts[0] and "front" in texts[0]
    assert {"parameters", "at most 20.0 k"} <= texts[1] and "front" not in texts[1]
