"""What a verb on a finished run is given: the run's folder, and images to predict.

Both are checked here before anything heavy is loaded, so that a wrong path is answered at once;
this module imports no torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metawright.errors import InputError, VersionError
from metawright.store.files import read_json
from metawright.tasks.folder import find_images

__all__ = ["image_files", "read_run"]

_FORMAT = 1


def read_run(run: Path, *, model: bool = True) -> dict[str, Any]:
    """What `run.json` of a run folder holds.

    Arguments:
        model: whether the run must have a model already.

    Raises:
        InputError: no such folder, not the folder of a run, damaged, or without a model yet.
        VersionError: another version of metawright made it.
    """
    if not run.exists():
        raise InputError(
            f"There is no run '{run}': give the folder that `metawright generate` wrote."
        )
    if not (run / "run.json").is_file():
        what = "is not the folder of a run (it has no run.json)" if run.is_dir() else "is a file"
        raise InputError(f"'{run}' {what}: give the folder that `metawright generate` wrote.")
    told = read_json(run / "run.json")
    if not isinstance(told, dict) or "format" not in told:
        raise InputError(f"{run / 'run.json'} does not describe a run: check the path.")
    if told["format"] != _FORMAT:
        raise VersionError(
            f"The run '{run}' has format {told['format']}, but this metawright reads format "
            f"{_FORMAT}: use the metawright that made it, or generate again."
        )
    if model and str(told.get("kind", "")).startswith("fewshot"):
        raise InputError(
            f"'{run}' is a few-shot run: its learner adapts to tasks of its kind, from Python, by "
            "`metawright.load_fewshot` (docs/fewshot.md)."
        )
    if model and told.get("kind") == "table" and (run / "table.json").is_file():
        raise InputError(
            f"'{run}' is a run on a table: its rows are predicted by `metawright predict RUN "
            "new.csv`, from Python by `metawright.predict_table`."
        )
    if model and told.get("kind") == "search" and not (run / "model.json").is_file():
        raise InputError(
            f"The run '{run}' has no network to use: it is not done, its designs are no networks, "
            "or they are your own (then `metawright.load_found` loads it from Python)."
        )
    if model and not (run / "model.json").is_file():
        raise InputError(
            f"The run '{run}' has no model yet (its status is '{told.get('status', 'unknown')}'): "
            "wait for its first one, or run the same `metawright generate` to go on."
        )
    return told


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files that `paths` mean, in the order given; a folder means every image in it.

    Raises:
        InputError: no paths, a path that does not exist, or a folder without images.
    """
    if not paths:
        raise InputError("There is nothing to predict: give image files or folders of images.")
    missing = [path for path in paths if not path.exists()]
    if missing:
        more = f" (nor {len(missing) - 1} other paths)" if missing[1:] else ""
        raise InputError(f"There is no image or folder '{missing[0]}'{more}: check the path.")
    files: list[Path] = []
    for path in paths:
        found = find_images(path) if path.is_dir() else [path]
        if not found:
            raise InputError(f"The folder '{path}' holds no images: give one that does.")
        files += found
    return files
