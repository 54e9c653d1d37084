"""Public data sets that the user holds: one folder, named by METAWRIGHT_DATA, one sub-folder each.

Nothing is downloaded here; what is missing is named, with the place where it was looked for.
"""

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metawright.errors import InputError

__all__ = ["data_file", "read_arrays"]


def data_file(root: Path | str | None, folder: str, name: str) -> Path:
    """The file `name` of a data set.

    Arguments:
        root: the folder that holds it; None for the sub-folder `folder` of METAWRIGHT_DATA.

    Raises:
        InputError: there is no such file; says what was looked for and how to set the folder.
    """
    if root is not None:
        path = Path(root) / name
        if not path.is_file():
            raise InputError(f"There is no file '{path}': give the folder that holds {name}.")
        return path
    data = os.environ.get("METAWRIGHT_DATA")
    if not data:
        raise InputError(
            f"{folder}/{name} is needed, but METAWRIGHT_DATA is not set: set it to the folder "
            f"that holds {folder}/."
        )
    path = Path(data) / folder / name
    if not path.is_file():
        raise InputError(
            f"There is no file '{path}': set METAWRIGHT_DATA (now '{data}') to the folder that "
            f"holds {folder}/{name}."
        )
    return path


def read_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Arrays of an `.npz` file, in the order of `names`.

    Raises:
        InputError: the file is damaged, or lacks one of them.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in names if name not in arrays]
            if missing:
                raise InputError(
                    f"'{path}' must hold the array '{missing[0]}', but holds "
                    f"{', '.join(arrays) or 'none'}: it is another file."
                )
            return [arrays[name] for name in names]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"'{path}' is damaged or no .npz file: fetch it again.") from error
