"""The verb `search`, from Python."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metawright.engine.budget import parse_duration
from metawright.errors import InputError
from metawright.recipes.search.asked import OWN, USUAL_SPACE, Asked, Limits, usual_workers
from metawright.recipes.search.check import check_limits
from metawright.recipes.search.found import Found
from metawright.recipes.search.problem import Build, pose
from metawright.recipes.search.run import Watch, search_run
from metawright.spaces.space import Space

__all__ = ["search"]

BUDGET = 300.0


def search(
    data: Any = None,
    *,
    space: str | Path | Space = USUAL_SPACE,
    strategy: str = "evolution",
    objectives: str | Sequence[str] | None = None,
    constraints: Mapping[str, float] | None = None,
    choose: str | None = None,
    budget: str | float | None = None,
    trials: int | None = None,
    build: Build | None = None,
    evaluate: Callable[..., Any] | None = None,
    epochs: int | None = None,
    examples: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    workers: int | None = None,
    trial_seconds: float | None = None,
    memory: int | None = None,
    max_failures: float = 0.5,
    controls: bool = True,
    out: Path | str | None = None,
    store: Path | str | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Found:
    """The best design of a space for some data, its trained network, and what the find is worth.

    Arguments:
        data: a source (digits, mnist, ...), a folder with one sub-folder of images, .txt or .wav
            files a class, a table of texts, a pair of arrays (x, y), a `Task`, or the name of a
            table of measured architectures; None where `evaluate` needs none.
        space: a name of `SPACES`, a space of your own, or a Python file that defines `space` and
            `build` or `evaluate`.
        strategy: a name of `STRATEGIES`: evolution, random, tpe, gp, nsga2, predictor, ...
        objectives: what to be good at, the most important first: accuracy, log_loss, r2,
            parameters, flops, latency, bytes, ... (default: accuracy, or what `evaluate` gives).
        constraints: the most that measures may be, such as {"parameters": 1e5}.
        choose: of several objectives, "best" in the first or the "knee" of the front (default).
        budget: seconds, or a text such as "5m" (the default).
        trials: how many designs to try, instead of a time.
        build: `(design, spec) -> nn.Module` for a space of your own.
        evaluate: `(design) -> number or scores by name`, in place of data and training; it may
            also take `fidelity` and `seed`.
        epochs: of a design's training (default: as many as let 40 designs be tried).
        examples: to use at most.
        size, channels: of images from folders.
        workers: designs tried at once, each in a process with one thread (default: one a core, 4
            at most; 0 tries them in this process, where no limit can be enforced).
        trial_seconds, memory: seconds and bytes that one design may take.
        max_failures: share of failed designs at which the search stops.
        controls: whether to also try what a search must be compared with.
        out: folder of the run, in which the same call goes on; None keeps nothing.
        store: folder of a store shared by runs: what did best on its other tasks is tried first.
        seed: of the division of the data, of proposals and of trainings.
        watch: called after every trial.

    Raises:
        InputError: something that was given cannot be used, or no design meets the constraints.
        MetawrightError: too many designs failed.

    Example:
        >>> import metawright
        >>> from metawright.spaces import Integer, Record
        >>> space = Record({"x": Integer(0, 99), "y": Integer(0, 99)})
        >>> found = metawright.search(
        ...     space=space,
        ...     evaluate=lambda design: -abs(design["x"] - 70) - abs(design["y"] - 20),
        ...     trials=100,
        ...     workers=0,
        ... )
        >>> found.trial.scores["score"] > -30, len(found.trials) >= 100
        (True, True)
    """
    own = not isinstance(space, str | Path)
    goals = (objectives,) if isinstance(objectives, str) else objectives
    asked = Asked(
        str(data) if isinstance(data, str | Path) else OWN,
        OWN if own else str(space),
        strategy,
        tuple(goals or (("score",) if evaluate is not None else ("accuracy",))),
        tuple((constraints or {}).items()),
        choose or ("knee" if goals is not None and len(goals) > 1 else "best"),
        epochs,
        examples,
        size,
        channels,
        controls,
        seed,
    )
    seconds = parse_duration(budget, name="`budget`") if isinstance(budget, str) else budget
    if seconds is not None and trials is not None:
        raise InputError("Give `budget` or `trials`, not both: how long to search.")
    limits = Limits(
        BUDGET if seconds is None and trials is None else seconds,
        trials,
        _workers(workers, build, evaluate),
        trial_seconds,
        memory,
        max_failures,
    )
    check_limits(limits)
    problem = pose(
        asked,
        None if isinstance(data, str | Path) else data,
        space=space if isinstance(space, Space) else None,
        build=build,
        evaluate=evaluate,
    )
    shared = None if store is None else Path(store)
    if out is not None:
        return search_run(problem, asked, limits, Path(out), store=shared, watch=watch)
    folder = Path(tempfile.mkdtemp(prefix="metawright-"))
    try:
        found = search_run(problem, asked, limits, folder / "run", store=shared, watch=watch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(found, run=None)


def _workers(wanted: int | None, *functions: Callable[..., Any] | None) -> int:
    """How many workers, and none for functions that another process could not import."""
    if wanted is not None:
        return wanted
    interactive = not hasattr(sys.modules.get("__main__"), "__file__")
    for function in functions:
        name = getattr(function, "__qualname__", "")
        typed = interactive and getattr(function, "__module__", "") == "__main__"
        if "<lambda>" in name or "<locals>" in name or typed:
            return 0
    return usual_workers()
