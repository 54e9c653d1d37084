"""The loop: against torch's own optimisers, and bit for bit across every kind of stop."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.errors import InputError, MetawrightError
from metawright.rng import stream
from metawright.training import Optimiser, Progress, Step, fit

Draw = Callable[[torch.Generator], Tensor]
MakeLine = Callable[[], Any]

WAYS: list[dict[str, Any]] = [
    {"optimiser": "adam", "lr": 0.05, "schedule": "cosine", "warmup": 3, "weight_decay": 0.01},
    {"optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "linear", "clip": 0.5},
]


class Stop(Exception):
    """Raised from outside, as a crash would be."""


def _stop_at(step: int, error: BaseException) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise error

    return on_step


def test_learns(make_line: MakeLine, draw: Draw) -> None:
    line = make_line()
    history = fit(line, draw, steps=300, rng=stream(0), lr=0.05, schedule="cosine", log_every=50)
    assert [record["step"] for record in history.records] == [50, 100, 150, 200, 250, 300]
    assert history.records[-1]["loss"] < 1e-3 < history.records[0]["loss"]
    assert_close(
        line.module.weight.detach(), torch.ones(1, 3, dtype=torch.float64), atol=0.02, rtol=0
    )
    assert history.steps == 300
    assert history.seconds > 0


def test_clipped_momentum_is_that_of_torch(make_line: MakeLine, draw: Draw) -> None:
    line, other = make_line(), make_line()
    fit(
        line,
        draw,
        steps=6,
        rng=stream(0),
        optimiser="sgd",
        lr=0.1,
        momentum=0.9,
        clip=0.5,
        schedule="linear",
    )
    rng = stream(0)
    sgd = torch.optim.SGD(other.module.parameters(), lr=0.1, momentum=0.9)
    for step in range(6):
        grads = other.gradients(draw(rng), rng).grads
        for name, value in other.named_parameters():
            value.grad = grads[name]
        nn.utils.clip_grad_norm_(other.module.parameters(), 0.5)
        sgd.param_groups[0]["lr"] = 0.1 * (1 - step / 6)
        sgd.step()
    assert_close(line.state(), other.state(), rtol=1e-5, atol=1e-6)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("how", WAYS, ids=["adam", "sgd"])
@pytest.mark.parametrize("error", [Stop(), KeyboardInterrupt()], ids=["crash", "ctrl-c"])
@pytest.mark.parametrize("at", [5, 7])
def test_goes_on_bit_for_bit(
    how: dict[str, Any],
    error: BaseException,
    at: int,
    make_line: MakeLine,
    draw: Draw,
    tmp_path: Path,
) -> None:
    straight = make_line()
    expected = fit(straight, draw, steps=10, rng=stream(0), log_every=2, **how)

    def go(on_step: Callable[[Progress], None] | None) -> tuple[Any, Any]:
        line = make_line()
        history = fit(
            line,
            draw,
            steps=10,
            rng=stream(0),
            log_every=2,
            on_step=on_step,
            checkpoint=tmp_path / "c.safetensors",
            checkpoint_every=5,
            log=tmp_path / "log",
            **how,
        )
        return line, history

    with pytest.raises(type(error)):
        go(_stop_at(at, error))
    resumed, history = go(None)
    assert_close(resumed.state(), straight.state(), rtol=0, atol=0)
    drop = {"seconds"}
    stripped = [
        [{k: r[k] for k in r.keys() - drop} for r in h.records] for h in (history, expected)
    ]
    assert stripped[0] == stripped[1]
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.records


def test_ctrl_c_saves_where_it_was(make_line: MakeLine, draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fit(
            make_line(),
            draw,
            steps=10,
            rng=stream(0),
            checkpoint=path,
            checkpoint_every=100,
            on_step=_stop_at(3, KeyboardInterrupt()),
        )
    fit(
        make_line(),
        draw,
        steps=10,
        rng=stream(0),
        checkpoint=path,
        checkpoint_every=100,
        on_step=lambda progress: steps.append(progress.step),
    )
    assert steps == list(range(4, 11))


def test_ctrl_c_inside_a_step_loses_no_draw(
    make_line: MakeLine, draw: Draw, tmp_path: Path
) -> None:
    straight, cut = make_line(), make_line()
    fit(straight, draw, steps=10, rng=stream(0))
    path, calls = tmp_path / "c.safetensors", 0

    def broken(rng: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        batch = draw(rng)
        if calls == 5:
            cut.mean.add_(1)  # as if the statistics had moved when the key was pressed
            raise KeyboardInterrupt
        return batch

    with pytest.raises(KeyboardInterrupt):
        fit(cut, broken, steps=10, rng=stream(0), checkpoint=path)
    resumed = make_line()
    fit(resumed, draw, steps=10, rng=stream(0), checkpoint=path)
    assert_close(resumed.state(), straight.state(), rtol=0, atol=0)


_SCRIPT = """
import sys, torch
from pathlib import Path
from metawright.learners import LEARNERS
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training import fit
torch.set_num_threads(1)
spec = TaskSpec(Kind.REGRESSION, (1,), 1)
def draw(rng):
    x = torch.randn(8, 1, generator=rng)
    return [Task(Batch(x[:4], x[:4].sin()), Batch(x[4:], x[4:].sin()), spec)]
learner = LEARNERS["maml"](spec, stream(0))
fit(learner, draw, steps=int(sys.argv[2]), rng=stream(1), checkpoint=Path(sys.argv[1]),
    checkpoint_every=1, on_step=lambda p: print(p.step, flush=True), schedule=lambda step: 1.0)
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _SCRIPT, str(tmp_path / name), "40"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start("killed") as first:
        assert first.stdout is not None
        while int(first.stdout.readline()) < 10:
            pass
        first.kill()
    with start("killed") as second:
        assert second.stdout is not None
        resumed_at = int(second.stdout.readline())
        second.stdout.read()
    with start("straight") as third:
        assert third.stdout is not None
        third.stdout.read()
    assert 10 < resumed_at <= 40
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == third.returncode == 0

    files = [load_file(tmp_path / name) for name in ("killed", "straight")]
    assert_close(files[0], files[1], rtol=0, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_numbers_end_training_and_keep_what_is_good(
    bad: float, make_line: MakeLine, draw: Draw, tmp_path: Path
) -> None:
    line, path, states = make_line(), tmp_path / "c.safetensors", []

    def poisoned(rng: torch.Generator) -> Tensor:
        states.append(line.state())
        batch = draw(rng)
        return batch * bad if len(states) == 6 else batch

    with pytest.raises(
        MetawrightError, match=r"Training broke at step 6: .*weights are those of step 5"
    ):
        fit(line, poisoned, steps=10, rng=stream(0), checkpoint=path, checkpoint_every=2)
    good = {name: value for name, value in states[5].items() if name != "mean"}
    assert_close({name: line.state()[name] for name in good}, good, rtol=0, atol=0)
    steps: list[int] = []
    fit(
        make_line(),
        draw,
        steps=10,
        rng=stream(0),
        checkpoint=path,
        on_step=lambda progress: steps.append(progress.step),
    )
    assert steps[0] == 5  # the checkpoint of step 4 stands


def test_a_broken_loss_alone_is_seen(make_line: MakeLine, draw: Draw) -> None:
    class Broken:
        def __init__(self) -> None:
            self.line = make_line()
            self.named_parameters = self.line.named_parameters

        def gradients(self, batch: Any, rng: torch.Generator) -> Step:
            return Step(self.line.gradients(batch, rng).grads, {"loss": math.inf})

    with pytest.raises(MetawrightError, match="loss = inf"):
        fit(Broken(), draw, steps=1, rng=stream(0))


def test_a_parameter_without_gradient_stays(make_line: MakeLine, draw: Draw) -> None:
    line = make_line()
    gradients, bias = line.gradients, line.module.bias.detach().clone()
    line.gradients = lambda batch, rng: Step({"weight": gradients(batch, rng).grads["weight"]}, {})
    fit(line, draw, steps=3, rng=stream(0), weight_decay=0.1)
    assert_close(line.module.bias.detach(), bias, rtol=0, atol=0)


def test_frozen_parameters_stay(make_line: MakeLine, draw: Draw) -> None:
    line = make_line()
    gradients, weight = line.gradients, line.module.weight.detach().clone()
    line.gradients = lambda batch, rng: gradients(batch, rng)
    step = line.gradients(draw(stream(5)), stream(5))
    line.gradients = lambda batch, rng: step
    line.module.weight.requires_grad_(False)
    fit(line, draw, steps=3, rng=stream(0))
    assert_close(line.module.weight.detach(), weight, rtol=0, atol=0)


def test_progress_tells_where_it_stands(make_line: MakeLine, draw: Draw) -> None:
    seen: list[Progress] = []
    fit(make_line(), draw, steps=4, rng=stream(0), lr=0.2, schedule="linear", on_step=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert [progress.lr for progress in seen] == pytest.approx([0.2, 0.15, 0.1, 0.05])
    assert seen[-1].eta == 0.0
    assert {progress.steps for progress in seen} == {4}
    assert "loss" in seen[0].metrics


def test_refuses_what_makes_no_sense(make_line: MakeLine, draw: Draw) -> None:
    line = make_line()
    with pytest.raises(ValueError, match="`steps > 0` must hold, but got 0"):
        fit(line, draw, rng=stream(0), steps=0)
    with pytest.raises(ValueError, match="`log_every > 0` must hold, but got 0"):
        fit(line, draw, rng=stream(0), steps=1, log_every=0)
    with pytest.raises(ValueError, match="`checkpoint_every > 0` must hold, but got -1"):
        fit(line, draw, rng=stream(0), steps=1, checkpoint_every=-1)
    with pytest.raises(ValueError, match=r"`schedule` must be one of .*cosine.*, but got 'no'"):
        fit(line, draw, steps=1, rng=stream(0), schedule="no")
    with pytest.raises(ValueError, match="`optimiser` must be 'adam' or 'sgd', but got 'no'"):
        fit(line, draw, steps=1, rng=stream(0), optimiser=cast(Optimiser, "no"))
    line.gradients = lambda batch, rng: Step({"nobody": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"names of parameters, but got \['nobody'\]"):
        fit(line, draw, steps=1, rng=stream(0))


def test_refuses_the_checkpoint_of_another_call(
    make_line: MakeLine, draw: Draw, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    fit(make_line(), draw, steps=2, rng=stream(0), checkpoint=path)
    with pytest.raises(InputError, match=r"made with lr=0.001, but this run has 0.1"):
        fit(make_line(), draw, steps=2, rng=stream(0), checkpoint=path, lr=0.1)


def test_an_error_of_the_gradients_says_at_which_step() -> None:
    class Breaking:
        def __init__(self) -> None:
            self.weight = nn.Parameter(torch.zeros(1))
            self.calls = 0

        def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
            yield "weight", self.weight

        def gradients(self, batch: Any, rng: torch.Generator) -> Step:
            self.calls += 1
            if self.calls == 3:
                raise MetawrightError("Task 2 broke.")
            return Step({"weight": torch.ones(1)}, {})

    with pytest.raises(MetawrightError, match=r"at step 3: Task 2 broke. The weights are those"):
        fit(Breaking(), lambda rng: None, steps=5, rng=stream(0))
