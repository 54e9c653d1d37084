"""The verb `search`: a design for data out of a space, the front, and what the find is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metawright.app import console
from metawright.app.age import process_age
from metawright.app.search_table import SearchTable
from metawright.engine.budget import parse_duration
from metawright.errors import InputError
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import (
    KIND,
    OWN,
    USUAL_SPACE,
    Asked,
    Limits,
    is_file,
    parse_amount,
    usual_workers,
)

if TYPE_CHECKING:
    from metawright.recipes.search.found import Found

__all__ = ["search"]

BUDGET = "5m"


def search(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on in it.")],
    data: Annotated[
        str,
        typer.Argument(
            help="A source (digits, mnist, ...), a folder with one sub-folder of images, .txt or "
            ".wav files a class, a table of texts, or a table of measured architectures. Not "
            "needed where --space is a Python file with `evaluate`.",
            show_default=False,
        ),
    ] = OWN,
    space: Annotated[
        str,
        typer.Option(help="cells, macro, dense, ... (`metawright space`), or a Python file."),
    ] = USUAL_SPACE,
    strategy: Annotated[
        str, typer.Option(help="evolution, random, tpe, gp, nsga2, predictor, ...")
    ] = "evolution",
    objective: Annotated[
        str, typer.Option(help="What to be good at, such as accuracy or accuracy,latency.")
    ] = "accuracy",
    choose: Annotated[
        str | None,
        typer.Option(help="Of several objectives: best in the first (best), or the knee."),
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(help="Parameters at most, such as 100k or 1.5M.")
    ] = None,
    max_flops: Annotated[
        str | None, typer.Option(help="FLOPs of predicting one example at most, such as 10M.")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Time to predict one example at most, such as 2ms.")
    ] = None,
    max_bytes: Annotated[str | None, typer.Option(help="Bytes of the weights at most.")] = None,
    budget: Annotated[
        str | None, typer.Option(help=f"How long it may take, such as 90s or 1h ({BUDGET}).")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="How many designs to try, instead of a time (up to 12 more are compared with)."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Designs tried at once (default: a worker a core, 1 to 4).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of the training of a design.")] = None,
    examples: Annotated[int | None, typer.Option(help="To use at most.")] = None,
    trial_seconds: Annotated[
        str | None, typer.Option(help="That one design may take, such as 30s.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="That one worker may hold, such as 2G (Linux).")
    ] = None,
    max_failures: Annotated[
        float, typer.Option(help="Share of failed designs at which the search stops.")
    ] = 0.5,
    size: Annotated[int | None, typer.Option(help="Side of a folder's images in pixels.")] = None,
    channels: Annotated[
        int | None, typer.Option(help="Of a folder's images: 1 for grey, 3 for colour.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="A store shared by runs: earlier tasks in it say what to try first."),
    ] = None,
    controls: Annotated[
        bool, typer.Option(help="Also try what a search must be compared with.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of data, proposals and trainings.")] = 0,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Search a space for the best design on your data, and say how sure that is."""
    # NumPy and Pillow load from here on.
    from metawright.recipes.search.check import check_limits, check_problem, is_table

    if is_file(space):
        space = str(Path(space).resolve())  # the run must be loadable from anywhere
    goals = tuple(part.strip() for part in objective.split(",") if part.strip())
    most = {
        "parameters": max_params, "flops": max_flops, "latency": max_latency, "bytes": max_bytes
    }  # fmt: skip
    asked = Asked(
        data, OWN if is_table(data) and space == USUAL_SPACE else space, strategy, goals,
        tuple((name, parse_amount(text, f"--max-{_SHORT.get(name, name)}"))
              for name, text in most.items() if text is not None),
        choose or ("best" if len(goals) == 1 else "knee"),
        epochs, examples, size, channels, controls, seed,
    )  # fmt: skip
    limits = Limits(
        _seconds(budget, trials),
        trials,
        usual_workers() if workers is None else workers,
        None if trial_seconds is None else parse_duration(trial_seconds, name="--trial-seconds"),
        None if memory is None else int(parse_amount(memory, "--memory")),
        max_failures,
    )
    check_limits(limits)
    check_problem(asked)
    check_folder(out, asked.to_json(), KIND)
    until = f"{limits.trials} trials" if limits.seconds is None else budget or BUDGET
    console.message(f"Loading (budget {until}) ...")

    # torch loads from here on: everything that can be refused at once has been.
    import torch

    from metawright.recipes.search.problem import pose
    from metawright.recipes.search.run import search_run

    torch.set_num_threads(1)  # the workers have the cores
    problem = pose(asked)
    for note in problem.notes:
        console.message(note)
    with SearchTable(asked.objectives, limits.seconds, limits.trials) as table:
        found = search_run(
            problem, asked, limits, out, store=store, spent=process_age(), watch=table
        )
    lines = _lines(found)
    if report:
        from metawright.app.report.found.page import write_search_report

        lines.append(f"Report:  {write_search_report(out)}")
    typer.echo("\n".join(lines))


_SHORT = {"parameters": "params"}


def _seconds(budget: str | None, trials: int | None) -> float | None:
    if trials is not None and budget is not None:
        raise InputError("Give --trials or --budget, not both: how long to search.")
    return None if trials is not None else parse_duration(budget or BUDGET)


def _lines(found: "Found") -> list[str]:
    """What was found, and what it must be compared with."""
    from metawright.recipes.search.words import verdict

    return [str(found), *verdict(found.record), f"Run:     {found.run}"]
