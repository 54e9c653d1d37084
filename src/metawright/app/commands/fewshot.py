"""The verb `fewshot`: meta-train a learner on tasks, judge it on new ones, report."""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from metawright.app import console
from metawright.engine.budget import parse_duration
from metawright.errors import InputError
from metawright.recipes.asking import check_folder
from metawright.recipes.fewshot.asked import COMPARISON, KIND, Asked, is_own

if TYPE_CHECKING:
    from metawright.recipes.fewshot.compare import Comparison
    from metawright.recipes.fewshot.run import FewShot

__all__ = ["fewshot"]

BUDGET = "5m"
QUICK = {"steps": 60, "tasks": 40}


def fewshot(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on in it.")],
    source: Annotated[
        list[str],
        typer.Option(
            help="A source (see `metawright sources`) or a folder with one sub-folder of images, "
            ".txt or .wav files a class; given several times, their tasks are mixed."
        ),
    ],
    learner: Annotated[str, typer.Option(help="Who learns: maml, reptile, ...")] = "maml",
    compare: Annotated[
        str, typer.Option(help="Several learners instead, such as maml,reptile: a table.")
    ] = "",
    ways: Annotated[int, typer.Option(help="Classes of a task.")] = 5,
    shots: Annotated[
        int | None,
        typer.Option(help="Examples a class to adapt to (default 1; of regression 10 in all)."),
    ] = None,
    queries: Annotated[int, typer.Option(help="Examples a class to be judged on.")] = 15,
    budget: Annotated[
        str | None,
        typer.Option(help=f"Time for meta-training, each learner: 30s, 5m, 1h ({BUDGET})."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Meta-steps, instead of a time: repeatable to the bit.")
    ] = None,
    tasks: Annotated[int, typer.Option(help="Test tasks.")] = 600,
    quick: Annotated[
        bool, typer.Option("--quick", help="The whole road in a minute: few steps, few tasks.")
    ] = False,
    inner_lr: Annotated[float | None, typer.Option(help="Rate of adaptation.")] = None,
    inner_steps: Annotated[int | None, typer.Option(help="Steps of adaptation.")] = None,
    lr: Annotated[float | None, typer.Option(help="Rate of meta-training.")] = None,
    tasks_per_step: Annotated[int | None, typer.Option(help="Tasks of a meta-step.")] = None,
    normalisation: Annotated[
        str | None,
        typer.Option(help="Statistics of a query: transductive, support, per-step or running."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of images in pixels.")] = None,
    channels: Annotated[
        int | None, typer.Option(help="Of a folder's images: 1 for grey, 3 for colour.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and tasks.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")] = "cpu",
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Meta-train a few-shot learner, judge it on tasks of new classes, and report."""
    if quick:
        steps = QUICK["steps"] if steps is None and budget is None else steps
        tasks = min(tasks, QUICK["tasks"])
    if steps is not None and budget is not None:
        raise InputError("Give --steps or --budget, not both: how long to meta-train.")
    seconds = None if steps is not None else parse_duration(budget or BUDGET)
    asked = Asked(
        compare or learner, tuple(source), ways=ways, shots=shots, queries=queries, steps=steps,
        budget=seconds, tasks=tasks, inner_lr=inner_lr, inner_steps=inner_steps, lr=lr,
        tasks_per_step=tasks_per_step, normalisation=normalisation, size=size,
        channels=channels, seed=seed,
    )  # fmt: skip
    check_folder(out, asked.to_json(), COMPARISON if compare else KIND)
    for name in source:
        if is_own(name):
            # NumPy and Pillow load from here on.
            from metawright.recipes.fewshot.folders import check_classes

            check_classes(Path(name), asked)
    console.message(
        f"Loading ({f'{steps} steps' if seconds is None else console.duration(seconds)}) ..."
    )

    # torch loads from here on: everything that can be refused at once has been.
    from metawright.recipes.fewshot.compare import compare_runs
    from metawright.recipes.fewshot.run import fewshot_run

    _few_threads()
    with _Stages() as stages:
        if compare:
            table = compare_runs(asked, out, device=device, watch=stages)
            lines = _comparison(table)
        else:
            made = fewshot_run(asked, out, device=device, watch=stages)
            lines = _figures(made)
    if report:
        from metawright.app.report.fewshot.page import write_fewshot_report

        lines.append(f"Report:  {write_fewshot_report(out)}")
    typer.echo("\n".join(lines))


class _Stages:
    """A line of progress for each stage, the one before it closed."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stage = ""
        self._job: console.Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def __call__(self, stage: str, done: float, total: float, note: str) -> None:
        if stage != self._stage or self._job is None:
            self._stack.close()
            self._stage = stage
            self._job = self._stack.enter_context(console.progress(stage, total))
        self._job.reach(done, note)


def _few_threads() -> None:
    """More threads than a few wait for each other on tasks as small as these."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(4, cores)))


def _figures(made: "FewShot") -> list[str]:
    """The result of a run: the learner above what it must beat."""
    told = made.record
    test, asked = told["test"], told["asked"]
    measure = test["measure"]
    shots = asked["shots"] or (1 if measure == "accuracy" else 10)
    shape = f"{asked['ways']}-way {shots}-shot" if measure == "accuracy" else f"{shots}-shot"
    title = "Accuracy" if measure == "accuracy" else "Mean squared error"
    lines = [f"{title} on {test['tasks']} test tasks of {told['data']['name']}, {shape} (95 %):"]
    own = asked["learner"]
    rows = [(f"{own}, each query alone (inductive)", test["inductive"])]
    if not test["independent"]:
        rows.append((f"{own}, queries together (transductive)", test["transductive"]))
    rows += [(row["name"], row) for row in told["baselines"]]
    lines += _rows(rows, measure)
    if len(test["sources"]) > 1:
        lines.append("By source:")
        lines += _rows([*test["sources"].items()], measure)
    if (found := test["calibration"]) is not None:
        lines.append(
            f"Calibration: expected error {100 * found['ece']:.1f} %, log loss {found['nll']:.3f}."
        )
    lines += told["data"]["notes"]
    lines.append(
        f"Trained: {told['trained']['steps']} steps in "
        f"{console.duration(told['training_seconds'])}."
    )
    return [*lines, f"Learner: {made.run}"]


def _comparison(table: "Comparison") -> list[str]:
    """Learners and baselines, the best first."""
    measure = next(iter(table.runs.values())).record["test"]["measure"]
    tasks = table.record["asked"]["tasks"]
    title = "Accuracy" if measure == "accuracy" else "Mean squared error"
    lines = [f"{title} on the same {tasks} test tasks, each query alone (95 %):"]
    rows = []
    for row in table.record["rows"]:
        more = ""
        if row["learner"] and not row["independent"]:
            more = f"   together {_value(row['transductive'], measure)}"
        rows.append((row["name"], row["inductive"], more))
    lines += _rows(rows, measure)
    lines += [*table.record["broken"].values()]
    return [*lines, f"Runs:    {table.run}"]


def _rows(rows: Any, measure: str) -> list[str]:
    width = max(len(row[0]) for row in rows)
    return [
        f"  {name:<{width}}  {_value(found, measure)}{''.join(more)}"
        for name, found, *more in rows
    ]


def _value(found: dict[str, Any], measure: str) -> str:
    mean, ci95 = found["mean"], found["ci95"]
    if mean is None or mean != mean:  # JSON knows no such number
        return "no number"
    if measure == "accuracy":
        return f"{100 * mean:6.2f} %" + (f" ± {100 * ci95:.2f}" if ci95 else "")
    return f"{mean:8.4f} ± {ci95 or 0.0:.4f} (median {found['median']:.4f})"
