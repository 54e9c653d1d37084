"""What every test stands on: one thread, a home of its own, the public data where there is any."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run in parallel processes; threads inside them would only get in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home and a cache folder for this run only, so that no test touches the user's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        patch.setenv("METAWRIGHT_CACHE", str(home / "cache"))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        yield home


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """`data("mnist")`: that folder of the public data, or the test is skipped.

    The data is looked for where `METAWRIGHT_DATA` says, else in `shared/data` beside the project.
    """

    def folder(name: str) -> Path:
        root = os.environ.get("METAWRIGHT_DATA") or PROJECT.parent / "shared" / "data"
        path = Path(root) / name
        if not path.exists():
            pytest.skip(f"{name} not found: set METAWRIGHT_DATA")
        return path

    return folder
