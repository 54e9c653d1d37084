"""A whole search: its folder, going on, what it says, and the network that comes out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import metawright
from metawright.app.report.found.page import write_search_report
from metawright.errors import InputError, MetawrightError
from metawright.recipes.search.data import open_data
from metawright.spaces import Choice, Design, Integer, Real, Record
from metawright.tasks.task import TaskSpec

SPACE = Record({"x": Integer(0, 99), "y": Integer(0, 99)})
NETS = Record({"width": Choice((8, 32)), "training": Record({"lr": Real(0.01, 0.05, log=True)})})

SLOW = """
import time
from metawright.spaces import Integer, Record
space = Record({"x": Integer(0, 9)})
def evaluate(design):
    time.sleep(30)
"""


def worth(design: Design) -> Mapping[str, float]:
    far = abs(design["x"] - 70) + abs(design["y"] - 20)
    return {"accuracy": 1 - far / 200, "parameters": 10.0 * design["x"] + 1}


def network(design: Design, spec: TaskSpec) -> nn.Module:
    width = design["width"]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, spec.outputs)
    )


def search(out: Path | None, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "space": SPACE,
        "evaluate": worth,
        "objectives": "accuracy",
        "workers": 0,
    }
    return metawright.search(out=out, **(asked | {"trials": 40} | changes))


def told(out: Path) -> Any:
    return json.loads((out / "run.json").read_text("utf-8"))


def test_a_search_leaves_a_folder_that_says_everything(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = search(out)
    record = told(out)
    assert record["status"] == "done" and record["kind"] == "search"
    assert record["best"] == found.trial.id and record["trials"] == len(found.trials)
    assert found.trial.scores["accuracy"] == max(t.scores["accuracy"] for t in found.trials)
    roles = [trial.evidence["role"] for trial in found.trials]
    assert roles.count("search") == 30 and roles.count("control") == 10
    assert roles.count("repeat") == 8 and 1 <= roles.count("mutant") <= 4
    why = record["why"]
    assert len(why["controls"]["random"]["expected"]) == 10
    assert why["controls"]["seeds"]["sd"] == 0
    shares = [row["share"] for row in why["importance"]]
    assert sum(shares) == pytest.approx(1) and len(shares) == 2
    assert why["path"][-1]["value"] == pytest.approx(found.trial.scores["accuracy"])
    assert any("expected best of random search" in line for line in why["sentences"])
    assert found.module is None and "accuracy" in str(found)


def test_the_same_call_goes_on_and_a_larger_budget_adds_to_what_is_there(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole")
    out = tmp_path / "run"

    class Stop(KeyboardInterrupt):
        pass

    def stop(event: Mapping[str, Any]) -> None:
        if event["trials"] == 15:
            raise Stop

    with pytest.raises(Stop):
        search(out, watch=stop)
    assert told(out)["status"] == "interrupted"
    went_on = search(out)
    assert [t.design for t in went_on.trials] == [t.design for t in whole.trials]
    more = search(out, trials=60)
    assert len(more.trials) >= len(whole.trials) + 20
    assert [t.id for t in more.trials][:40] == [t.id for t in went_on.trials][:40]
    with pytest.raises(InputError, match=r"holds a run with --seed 0 \(now 1\)"):
        search(out, seed=1)


def test_several_objectives_give_a_front_and_its_knee(tmp_path: Path) -> None:
    found = search(None, objectives=("accuracy", "parameters"), strategy="nsga2")
    assert len(found.front) > 1 and found.run is None
    points = [(t.scores["accuracy"], t.scores["parameters"]) for t in found.front]
    assert points == sorted(points, reverse=True)
    assert found.trial.id in {t.id for t in found.front}


def test_constraints_are_kept_and_those_that_nothing_meets_name_the_nearest(
    tmp_path: Path,
) -> None:
    found = search(None, constraints={"parameters": 300.0})
    assert found.trial.scores["parameters"] <= 300
    with pytest.raises(InputError, match=r"No trial keeps parameters <= 0.5: the nearest is "):
        search(None, constraints={"parameters": 0.5})


def test_earlier_tasks_of_a_shared_store_say_what_to_try_first(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = search(tmp_path / "one", store=store)
    again = metawright.search(
        "another", space=SPACE, evaluate=worth, objectives="accuracy", trials=4, workers=0,
        out=tmp_path / "two", store=store,
    )  # fmt: skip
    assert again.trials[0].design == first.trial.design
    assert told(tmp_path / "two")["why"]["controls"]["transfer"]["trial"] == again.trials[0].id


def test_a_network_of_ones_own_comes_with_its_weights(tmp_path: Path) -> None:
    found = metawright.search(
        "digits", space=NETS, build=network, trials=4, epochs=4, examples=600, workers=0,
        out=tmp_path / "run",
    )  # fmt: skip
    assert isinstance(found.module, nn.Sequential)
    test = open_data("digits", seed=0, examples=600).division.test
    right = (found.module(test.x).argmax(1) == test.labels).double().mean()
    row = told(tmp_path / "run")["why"]["test"]["rows"][0]
    assert row["value"] == pytest.approx(float(right)) and right > 0.7
    loaded = metawright.load_found(tmp_path / "run", build=network)
    assert_close(loaded(test.x), found.module(test.x))
    with pytest.raises(InputError, match="give `build`"):
        metawright.load_found(tmp_path / "run")
    weights = list((tmp_path / "run" / "store" / "blobs").rglob("*.safetensors"))
    assert len(weights) == len(found.front)


def test_a_named_space_is_saved_as_a_model_that_predicts(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = metawright.search(
        "digits", space="dense", strategy="random", trials=3, epochs=2, examples=400, workers=0,
        out=out, controls=False,
    )  # fmt: skip
    x = torch.rand(5, 1, 8, 8)
    assert found.module is not None
    assert_close(metawright.load_found(out)(x), found.module(x))
    assert "nothing to compare it with" in " ".join(told(out)["why"]["sentences"])


def test_data_and_space_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match="space 'cells' needs images"):
        metawright.search((torch.rand(20, 6), torch.arange(20) % 2), space="cells", trials=1)
    with pytest.raises(InputError, match="numbers to predict: give --objective r2 or rmse"):
        metawright.search((torch.rand(20, 6), torch.rand(20)), space="dense", trials=1)
    with pytest.raises(InputError, match="needs `build"):
        metawright.search("digits", space=SPACE, trials=1)
    with pytest.raises(InputError, match="Give DATA to search on"):
        metawright.search(space="dense", trials=1)
    with pytest.raises(InputError, match="not both"):
        metawright.search("digits", budget="3s", trials=1)


ARRAYS = (torch.rand(20, 6), torch.arange(20) % 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": SPACE, "evaluate": worth, "epochs": 3}, "--epochs .*`evaluate` judges designs"),
        ({"space": SPACE, "evaluate": worth, "examples": 3}, "--examples would change nothing"),
        ({"space": SPACE, "evaluate": worth, "build": network}, "`build` or `evaluate`, not both"),
        ({"data": ARRAYS, "space": "dense", "examples": 9}, "--examples .*the arrays or the task"),
        ({"data": ARRAYS, "space": "dense", "size": 9}, "--size .*only images of a folder"),
        ({"data": ARRAYS, "space": "pipelines", "epochs": 9}, "--epochs .*pipelines are fitted"),
        ({"data": "hpolib/naval_propulsion", "size": 8}, "--size .*is a table of trainings"),
        ({"data": "hpolib/naval_propulsion", "space": SPACE}, "of its own: leave `space` out"),
        ({"data": "hpolib/naval_propulsion", "space": "dense"}, "--space would change nothing"),
        ({"data": "digits", "space": "dense", "channels": 1}, "--channels .*only images"),
        ({"data": "digits", "workers": 0, "memory": 10**9}, "--memory needs --workers"),
        ({"data": "digits", "workers": 0, "trial_seconds": 9.0}, "--trial-seconds needs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_no_argument_is_taken_and_ignored(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        metawright.search(**{"trials": 1, "workers": 1} | arguments)


def test_a_file_says_itself_how_designs_are_judged(tmp_path: Path) -> None:
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    with pytest.raises(InputError, match=r"slow\.py' says how designs are judged: leave `build`"):
        metawright.search("digits", space=path, build=network, trials=1)


@pytest.mark.parametrize("strategy", ["evolution", "tpe", "local", "ppo"])
def test_a_finished_run_stays_as_it_is_and_a_stopped_one_ends_the_same(
    strategy: str, tmp_path: Path
) -> None:
    whole = search(tmp_path / "whole", strategy=strategy, trials=12)
    again = search(tmp_path / "whole", strategy=strategy, trials=12)
    assert [t.id for t in again.trials] == [t.id for t in whole.trials]
    assert again.record["why"] == whole.record["why"]
    for stop in (5, 13, 17):
        out = tmp_path / f"stopped at {stop}"

        def halt(event: Mapping[str, Any], stop: int = stop) -> None:
            if event["trials"] == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(out, strategy=strategy, trials=12, watch=halt)
        resumed = search(out, strategy=strategy, trials=12)
        assert [t.design for t in resumed.trials] == [t.design for t in whole.trials]


def test_another_space_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    search(tmp_path / "run", trials=4)
    other = Record({"x": Integer(0, 9), "y": Integer(0, 99)})
    with pytest.raises(InputError, match=r"with other data|another space"):
        search(tmp_path / "run", trials=4, space=other)


def test_trained_in_part_only_a_search_ends_with_one_training_in_full(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = search(out, strategy="halving", trials=6, controls=False)
    assert found.trial.evidence.get("fidelity", 1) == 1
    # It is the strategy's own find, and no random design.
    assert [t.evidence["role"] for t in found.trials] == ["search"] * 6 + ["full"]
    controls = told(out)["why"]["controls"]
    assert controls["random"] is None
    assert controls["search"] == pytest.approx([found.trial.scores["accuracy"]])
    page = write_search_report(out, pictures=False).read_text("utf-8")
    assert "7 trainings: 6 strategy, 1 in full." in page
    again = search(out, strategy="halving", trials=6, controls=False)
    assert [t.id for t in again.trials] == [t.id for t in found.trials]


def test_where_no_design_has_a_score_the_last_error_is_named_and_what_to_do(
    tmp_path: Path,
) -> None:
    def broken(design: Design) -> float:
        raise ZeroDivisionError(f"x is {design['x'] * 0}")

    with pytest.raises(MetawrightError) as told:
        search(None, evaluate=broken, trials=2, controls=False)
    assert str(told.value) == (
        "None of the 2 designs tried has accuracy; the last error: ZeroDivisionError: x is 0: "
        "mend that, or give a larger --budget to try more designs."
    )
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    with pytest.raises(MetawrightError) as told:
        metawright.search(space=path, trials=1, workers=1, trial_seconds=0.2, controls=False)
    assert str(told.value) == (
        "None of the 1 design tried has accuracy; the last error: It was stopped at the limit of "
        "0.2 s: give a larger --trial-seconds or --budget."
    )
