"""The verbs of the command line, from Python."""

from pathlib import Path
from typing import Any

from metawright.engine.budget import Budget, parse_duration
from metawright.errors import InputError
from metawright.generators.bundle import Bundle, load_bundle
from metawright.recipes.data import GENERATED, array_task, folder_task, source_task
from metawright.recipes.generate import Generated, Watch, generate_model, generate_run
from metawright.tasks.tables.files import is_table
from metawright.tasks.task import Task

__all__ = ["generate"]


def generate(
    data: Any,
    *,
    budget: str | float = "30s",
    trials: int | None = None,
    out: Path | str | None = None,
    bundle: Bundle | Path | str | None = None,
    seed: int = 0,
    shots: int = 5,
    ways: int = 10,
    queries: int = 50,
    store: Path | str | None = None,
    on_trial: Watch | None = None,
) -> Generated:
    """A model for a new task: design and weights, from a few labelled examples.

    Arguments:
        data: a folder with one sub-folder of images a class; a source (digits, glyphs, omniglot);
            a pair of arrays (images, labels); or a `Task`.
        budget: seconds, or a text such as "30s" or "5m".
        trials: how many designs to try, instead of a time; makes the result repeatable.
        out: folder of the run, in which the same call goes on; None keeps all in memory.
        bundle: a meta-trained bundle or its folder (default: the one that is shipped).
        seed: of the drawn task and of all designs.
        shots, ways, queries: of a task drawn from a source.
        store: folder of a further store that gets a copy of every trial.
        on_trial: called after every trial.

    Raises:
        InputError: the data, the budget, the bundle or the folder cannot be used.

    Example:
        >>> import metawright
        >>> from sklearn.datasets import load_digits
        >>> digits = load_digits()
        >>> made = metawright.generate((digits.images[:60], digits.target[:60]), trials=1)
        >>> made.module.eval().__class__.__name__, len(made.spec.classes)
        ('Classifier', 10)
    """
    limit = Budget(trials=trials) if trials is not None else Budget(seconds=_seconds(budget))
    known = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    task, name, notes = _task(data, known, ways, shots, queries, seed)
    if out is None:
        if store is not None:
            raise InputError("`store` needs `out`: trials are stored by runs that have a folder.")
        return generate_model(task, known, limit, seed=seed, on_trial=on_trial)
    return generate_run(
        task,
        known,
        limit,
        Path(out),
        name=name,
        notes=notes,
        seed=seed,
        store=None if store is None else Path(store),
        on_trial=on_trial,
    )


def _seconds(budget: str | float) -> float:
    return parse_duration(budget, name="`budget`") if isinstance(budget, str) else float(budget)


def _task(
    data: Any, bundle: Bundle, ways: int, shots: int, queries: int, seed: int
) -> tuple[Task, str, tuple[str, ...]]:
    if isinstance(data, Task):
        return data, data.spec.source or "task", ()
    if isinstance(data, tuple) and len(data) == 2:
        return array_task(*data), "arrays", ()
    if isinstance(data, str) and data in GENERATED and not Path(data).is_dir():
        return source_task(data, ways=ways, shots=shots, queries=queries, seed=seed), data, ()
    if type(data).__name__ == "DataFrame" or (isinstance(data, str | Path) and is_table(data)):
        raise InputError(
            "A table is for `metawright.generate_from_table`, with the name of the column to be "
            "predicted."
        )
    if not isinstance(data, str | Path):
        raise InputError(
            "`data` must be a folder, the name of a source, a pair (images, labels) or a Task, "
            f"but got {type(data).__name__}."
        )
    task, notes = folder_task(Path(data), channels=bundle.channels, size=bundle.size)
    return task, str(data), notes
