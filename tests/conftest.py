"""What every test stands on: one thread, a home of its own, the public data where there is any,
and a bundle and pictures that are made in a second."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from metawright.generators.bundle import Bundle, load_bundle, save_bundle
from metawright.generators.profile import PROFILE
from metawright.generators.proposal import Experience, fit_proposal_model
from metawright.models.shared import shared_params
from metawright.rng import stream
from metawright.spaces import Design
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample

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
        patch.setenv("METAWRIGHT_STORE", "none")
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


# --- a bundle and pictures that are made in a second ---------------------------------------------


def tiny_experience() -> list[Experience]:
    """Trials on ten tasks that never ran: pixels do best, descent costs, level differs by task."""
    rng = stream(0, "tiny experience")
    space, tried = convolutional(), []
    for number in range(10):
        designs = [sample(space, rng) for _ in range(6)]
        single = number % 2 == 0
        profile = torch.randn(len(PROFILE), generator=rng, dtype=torch.float64)
        profile[1] = 0.0 if single else 1.5
        noise = torch.randn(2, 6, generator=rng, dtype=torch.float64).numpy()
        truth = 0.7 + 0.01 * number + 0.1 * np.array([_worth(design) for design in designs])
        truth = truth + 0.01 * noise[0]
        tried.append(Experience(profile.numpy(), designs, truth, truth + 0.05 * noise[1], 20))
    return tried


def _worth(design: Design) -> float:
    features = design["features"]
    slow = features["kind"] != "pixels" and features["adaptation"]["kind"] == "descent"
    return float(features["kind"] == "pixels") - float(slow)


@pytest.fixture(scope="session")
def tiny_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights and a proposal model of made-up experience; not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    rng = stream(0, "tiny bundle")
    shared = shared_params(1, rng) | {"log_scale": torch.tensor(10.0).log()}
    model = fit_proposal_model(convolutional(), tiny_experience())
    elites = tuple(sample(convolutional(), rng) for _ in range(3))
    provenance = {"sources": ["nothing"], "seed": 0, "commit": "abc"}
    save_bundle(folder, Bundle("tiny", 1, 28, True, shared, model, elites, provenance))
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_bundle_folder: Path) -> Bundle:
    return load_bundle(tiny_bundle_folder)


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder of three classes of drawings, four of each, at 20 x 20 pixels."""
    return draw_shapes(tmp_path / "shapes", {"bar": 4, "ring": 4, "slope": 4})


@pytest.fixture(scope="session")
def draw_shapes_in() -> Callable[..., Path]:
    """`draw_shapes_in(folder, {class: drawings})`: bars, rings, slopes, crosses by class name."""
    return draw_shapes


def draw_shapes(folder: Path, drawings: Mapping[str, int]) -> Path:
    for name, count in drawings.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = Image.new("L", (20, 20))
            _draw(ImageDraw.Draw(image), name, number)
            image.save(folder / name / f"{number}.png")
    return folder


def _draw(pen: ImageDraw.ImageDraw, name: str, number: int) -> None:
    near, far = 3 + number % 4, 16 - number % 3
    if name.startswith("bar"):
        pen.line((10, near, 10, far), 255, 2)
    elif name.startswith("ring"):
        pen.ellipse((near, near, far, far), outline=255, width=2)
    elif name.startswith("slope"):
        pen.line((near, far, far, near), 255, 2)
    else:
        pen.line((10, near, 10, far), 255, 2)
        pen.line((near, 10, far, 10), 255, 2)
