"""The verb `meta-train`: a bundle from many tasks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metawright.app import console
from metawright.app.flags import refuse_flags
from metawright.errors import InputError
from metawright.generators.header import check_place
from metawright.tasks.tables.files import is_table, table_file

if TYPE_CHECKING:
    from metawright.training.fit import Progress

__all__ = ["meta_train"]


_OF_IMAGES = ("steps", "method", "tasks", "designs", "channels", "size")


def meta_train(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            help="glyphs, omniglot, or folders with one sub-folder of images a class; or keel, or "
            "files of tables."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the bundle; the same command goes on in it.")
    ],
    steps: Annotated[int, typer.Option(help="Meta-steps for the shared weights.")] = 5000,
    method: Annotated[str, typer.Option(help="maml or reptile.")] = "maml",
    tasks: Annotated[int, typer.Option(help="Tasks to gather experience on.")] = 48,
    designs: Annotated[int, typer.Option(help="Designs to try on each of them.")] = 12,
    channels: Annotated[int, typer.Option(help="1 for grey images, 3 for colour.")] = 1,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 28,
    seed: Annotated[int, typer.Option(help="Of weights, tasks and designs.")] = 0,
    commit: Annotated[str, typer.Option(help="Version of the code, for the provenance.")] = "",
    target: Annotated[
        str, typer.Option(help="Of files of tables: the column to be predicted.")
    ] = "last",
) -> None:
    """Learn from many tasks: shared weights, experience, and a first proposal model. From tables:
    which pipelines suit which of them."""
    tables = [source == "keel" or is_table(source) for source in sources]
    if any(tables):
        if not all(tables):
            other = sources[tables.index(False)]
            raise InputError(f"Tables and other sources cannot be mixed: leave '{other}' out.")
        refuse_flags(context, _OF_IMAGES, "for images, and these are tables")
        _from_tables(sources, out, target, seed, commit)
        return
    refuse_flags(context, ("target",), "for tables, and these are images")
    for source in sources:
        if source not in ("glyphs", "omniglot") and not Path(source).is_dir():
            raise InputError(
                f"There is no source '{source}' to meta-train on: use glyphs, omniglot, or the "
                "path of a folder with one sub-folder of images a class."
            )
    if method not in ("maml", "reptile"):
        raise InputError(f"--method must be maml or reptile, but got '{method}'.")
    if channels not in (1, 3):
        raise InputError(f"--channels must be 1 or 3, but got {channels}.")
    for name, value, least in (
        ("steps", steps, 1),
        ("tasks", tasks, 10),
        ("designs", designs, 2),
        ("size", size, 16),
    ):
        if value < least:
            raise InputError(f"--{name} must be at least {least}, but got {value}.")
    check_place(out)
    console.message("Loading ...")

    # torch loads from here on: everything that can be refused at once has been.
    from metawright.recipes.experience import ExperienceRecipe
    from metawright.recipes.meta_train import WeightRecipe
    from metawright.recipes.meta_train import meta_train as train

    inner = (0, 1) if method == "maml" else (3, 3)
    with (
        console.progress("Shared weights", float(steps)) as first,
        console.progress("Experience", float(tasks * designs)) as second,
    ):

        def on_step(progress: "Progress") -> None:
            first.reach(
                float(progress.step), f"accuracy {100 * progress.metrics['accuracy']:.0f} %"
            )

        bundle = train(
            sources,
            out,
            weights=WeightRecipe(steps=steps, method=method, inner_steps=inner, seed=seed),
            experience=ExperienceRecipe(tasks=tasks, designs=designs, seed=seed),
            channels=channels,
            size=size,
            commit=commit,
            on_step=on_step,
            on_trial=lambda done, total: second.reach(float(done), f"{done} of {total} trials"),
        )
    model = bundle.proposal
    typer.echo(
        f"Bundle: {out} (proposal model from {model.trials} trials on {model.tasks} tasks "
        f"explains {100 * model.explained:.0f} % of the differences between designs on new tasks)"
    )


def _from_tables(sources: list[str], out: Path, target: str, seed: int, commit: str) -> None:
    for source in sources:
        if source != "keel":
            table_file(source)  # a missing one is refused at once
    check_place(out)
    console.message("Loading ...")
    from metawright.recipes.tables.gather import meta_train_tables

    done = set[str]()
    with console.progress("Experience", float(len(sources))) as job:

        def watch(name: str, tried: int, total: int) -> None:
            if tried == total:
                done.add(name)
            job.reach(float(min(len(done), len(sources))), f"{name}: {tried} of {total} designs")

        made = meta_train_tables(
            sources, out, target=target, seed=seed, commit=commit, on_trial=watch
        )
    for kind, found in made.items():
        typer.echo(f"{len(found.designs)} designs on {len(found.names)} tasks of {kind.value}.")
    typer.echo(f"Bundle: {out} (use it with `metawright generate data.csv --bundle {out}`)")
