"""What can be seen of data and space at once: a wrong name is refused before torch loads."""

from pathlib import Path

from metawright.errors import InputError, did_you_mean
from metawright.recipes.search.asked import OWN, USUAL_SPACE, Asked, Limits, is_file
from metawright.recipes.search.own_file import from_file
from metawright.spaces import TRAINABLE
from metawright.tasks import SOURCES
from metawright.tasks.contents import source_of

__all__ = ["TABLES", "check_limits", "check_problem", "check_used", "is_table"]

TABLES = ("hpobench", "hpolib", "nasbench-graph", "nasbench-macro", "nasbench201")
"""First halves of the names of tables of measured architectures, such as "nasbench201/cifar10"."""

_OWN_SOURCES = ("images", "sounds", "texts")
_MANY_TASKS = ("ambiguous-shapes", "navigation", "sinusoid", "sinusoid-or-line")


def check_problem(asked: Asked) -> None:
    """Refuses what cannot become a search.

    Raises:
        InputError: a name that means nothing, a folder or file that holds no examples, a space
            that cannot be trained, a Python file without a space, or an argument that would
            change nothing.
    """
    evaluated = is_file(asked.space) and "evaluate" in from_file(Path(asked.space))
    check_used(asked, evaluated=evaluated)
    if is_table(asked.data):
        return
    if asked.data == OWN:
        if not evaluated and asked.space != OWN:
            raise InputError(
                "Give DATA to search on, or a --space in a Python file with `evaluate`."
            )
        return
    if not evaluated:
        _check_data(asked.data)
    if not is_file(asked.space) and asked.space not in (*TRAINABLE, OWN):
        raise InputError(
            f"The space '{asked.space}' cannot be trained on data by itself: choose one of "
            f"{', '.join(TRAINABLE)}."
        )


def check_used(asked: Asked, *, given: bool = False, evaluated: bool = False) -> None:
    """Refuses arguments that would change nothing.

    Arguments:
        given: whether the data is an object (arrays, a task) and not read from somewhere.
        evaluated: whether the user's own function judges designs.

    Raises:
        InputError: there is one.
    """
    every = ("epochs", "examples", "size", "channels")
    if is_table(asked.data):
        own = f"'{asked.data}' is a table of trainings that were made"
        reasons = dict.fromkeys(every, own)
        if asked.space not in (USUAL_SPACE, OWN):
            raise InputError(f"--space would change nothing, because {own}: leave it out.")
    elif evaluated:
        reasons = dict.fromkeys(every, "`evaluate` judges designs as it likes")
    else:
        reasons = {}
        if asked.space == "pipelines":
            reasons["epochs"] = "pipelines are fitted, not trained by epochs"
        if given:
            reasons["examples"] = "the arrays or the task already hold what is to be used"
        if given or not _is_image_folder(asked.data):
            read = "only images of a folder are read at a size"
            reasons |= dict.fromkeys(("size", "channels"), read)
    for name, reason in reasons.items():
        if getattr(asked, name) is not None:
            raise InputError(f"--{name} would change nothing, because {reason}: leave it out.")


def check_limits(limits: Limits) -> None:
    """Refuses limits that nobody could enforce.

    Raises:
        InputError: there are no workers to be stopped.
    """
    wanted = {"trial-seconds": limits.trial_seconds, "memory": limits.memory}
    for name, most in wanted.items():
        if not limits.workers and most is not None:
            raise InputError(
                f"--{name} needs --workers of at least 1: what runs in this process cannot be "
                "stopped (a function must stand at the top of a file to be sent to a worker)."
            )


def is_table(data: str) -> bool:
    """Whether data names a table of measured architectures."""
    return data.partition("/")[0] in TABLES and not Path(data).exists()


def _is_image_folder(data: str) -> bool:
    return Path(data).exists() and source_of(Path(data)) == "images"


def _check_data(data: str) -> None:
    if Path(data).exists():
        source_of(Path(data))
    elif data in _OWN_SOURCES:
        raise InputError(f"'{data}' is a folder of yours: give its path.")
    elif data in _MANY_TASKS:
        raise InputError(
            f"'{data}' is a source of many small tasks, not of one: give digits, mnist, cifar10, "
            "a folder with one sub-folder a class, or a table of texts."
        )
    elif data not in SOURCES:
        known = [name for name in SOURCES if name not in (*_OWN_SOURCES, *_MANY_TASKS)]
        hint = did_you_mean(data, [*known, *(f"{name}/..." for name in TABLES)])
        raise InputError(f"There is no source, folder or file '{data}': {hint}")
