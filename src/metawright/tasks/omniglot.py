"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

Found in the data folder (`METAWRIGHT_DATA`), else downloaded once: the official files, checked.
"""

import logging
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
import pooch
import torch
from PIL import Image
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses
from metawright.tasks.episode import Distort, Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.task import Split, Task

__all__ = ["DownloadProgress", "Omniglot", "omniglot_classes"]

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_PACKED = "omniglot_28x28.npz"
_FILES = {
    "images_background.zip": "md5:68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "md5:6b91aef0f799c5bb55b94e3f2daec811",
}
PROTOCOLS = ("random", "official")
DRAWERS = 20  # people who drew each character


class DownloadProgress(Protocol):
    """Is told how far a download has come; what pooch and tqdm call a progress bar."""

    total: int

    def update(self, by: int, /) -> object:
        """`by` more bytes are there."""
        ...

    def reset(self) -> object:
        """Back to none; once more before the last `update`, which is by all bytes."""
        ...

    def close(self) -> object:
        """The file is there."""
        ...


class Omniglot:
    """Tasks of telling handwritten characters apart.

    Arguments:
        root: folder with `omniglot_28x28.npz` or with the official zip files; default: the folder
            `omniglot` of `METAWRIGHT_DATA`, else the cache, where the files are downloaded once.
        ways, shots, queries, balanced: see `Episode`.
        protocol: "random" splits 1,200 training from 423 test characters at random as the papers
            do (50 of the 1,200 are kept for validation); "official" trains on the 30 background
            alphabets (every tenth character kept for validation) and tests on the 20 evaluation
            alphabets, which is harder.
        rotations: whether turns by 90, 180 and 270 degrees count as further classes.
        seed: of the random protocol's split.
        distort: distortion of the drawn images (default none, as in the papers).
        device: where images are held.
        progress: is told how a download comes on.

    Raises:
        InputError: the folder has no Omniglot, the files are damaged, or the download failed.

    References:
        Human-level concept learning through probabilistic program induction, Lake, Salakhutdinov
        and Tenenbaum 2015, https://doi.org/10.1126/science.aab3050
        One-shot Learning with Memory-Augmented Neural Networks, Santoro et al. 2016,
        https://arxiv.org/abs/1605.06065 (the 1,200/423 split and rotations as classes).
    """

    name = "omniglot"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        protocol: str = "random",
        rotations: bool = True,
        seed: int = 0,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
        progress: DownloadProgress | None = None,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise InputError(f"`protocol` must be one of {PROTOCOLS}, but got '{protocol}'.")
        self.episode = Episode(ways, shots, queries, balanced)
        self.distort = distort
        folder = _folder(root, progress)
        self.table = omniglot_classes(folder, protocol, rotations, seed).to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of characters of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


@lru_cache(maxsize=4)
def omniglot_classes(
    folder: Path, protocol: str = "random", rotations: bool = True, seed: int = 0
) -> ImageClasses:
    """All drawings with the split of `protocol`: images (32460, 1, 28, 28), ink = 255."""
    images, names, background = _read(folder)
    return ImageClasses(
        torch.from_numpy(images).flatten(0, 1)[:, None],
        (images.shape[1],) * len(images),
        names,
        _split(torch.from_numpy(background), protocol, seed),
        rotations=4 if rotations else 1,
        native_size=105,
    )


def _split(background: Tensor, protocol: str, seed: int) -> dict[Split, Tensor]:
    if protocol == "official":
        inside, outside = background.nonzero()[:, 0], (~background).nonzero()[:, 0]
        held = torch.arange(len(inside)) % 10 == 9
        return {
            Split.TRAIN: inside[~held],
            Split.VALIDATION: inside[held],
            Split.TEST: outside,
        }
    order = torch.randperm(len(background), generator=stream(seed, "omniglot", "split"))
    return {
        Split.TRAIN: order[:1150],
        Split.VALIDATION: order[1150:1200],
        Split.TEST: order[1200:],
    }


def _folder(root: Path | str | None, progress: DownloadProgress | None) -> Path:
    if root is not None:
        folder = Path(root)
        if not folder.is_dir():
            raise InputError(f"There is no folder '{folder}' to read Omniglot from.")
        return folder
    data = os.environ.get("METAWRIGHT_DATA")
    if data and (Path(data) / "omniglot").is_dir():
        return Path(data) / "omniglot"
    cache = Path(os.environ.get("METAWRIGHT_CACHE") or pooch.os_cache("metawright"))
    folder = cache / "omniglot"
    if not (folder / _PACKED).exists():
        for name, known_hash in _FILES.items():
            _download(_URL + name, known_hash, folder / name, progress)
    return folder


def _download(url: str, known_hash: str, target: Path, progress: DownloadProgress | None) -> None:
    """The file at `url`, unless it is there already; nothing stays of one that is not whole."""
    pooch.get_logger().setLevel(logging.WARNING)  # it would tell stderr of every file
    advice = "try again, or set METAWRIGHT_DATA to a folder that holds omniglot/"
    try:
        pooch.retrieve(
            url, known_hash, fname=target.name, path=target.parent, progressbar=progress or False
        )
    except OSError as error:  # every error of the network, and a disk that is full
        raise InputError(
            f"{url} could not be downloaded to '{target.parent}' ({type(error).__name__}): "
            f"check the network and the disk and {advice}."
        ) from error
    except ValueError as error:  # what pooch raises for another checksum
        raise InputError(
            f"What came from {url} is not the official file (its checksum differs): {advice}."
        ) from error


def _read(folder: Path) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Images (classes, 20, 28, 28) uint8 with ink = 255, names, and which are background."""
    packed = folder / _PACKED
    if packed.exists():
        try:
            with packed.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                data = dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"'{packed}' is damaged: delete it and run again.") from error
    else:
        data = _unpacked(folder)
        _save(data, packed)
    try:
        pairs = zip(data["class_alphabet"], data["class_character"], strict=True)
        names = tuple(f"{data['alphabet_names'][alphabet]} {number}" for alphabet, number in pairs)
        return data["images"], names, data["class_is_background"].astype(bool)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{packed}' does not hold Omniglot: delete it and run again.") from error


def _unpacked(folder: Path) -> dict[str, np.ndarray]:
    """What the official zip files hold, as the arrays that are kept."""
    images, alphabets, characters, background = [], [], [], []
    names: list[str] = []
    for name in _FILES:
        if not (folder / name).exists():
            raise InputError(f"'{folder}' holds neither {_PACKED} nor the official {name}.")
        try:
            with zipfile.ZipFile(folder / name) as archive:
                for alphabet, character, drawings in _characters(archive):
                    if alphabet not in names:
                        names.append(alphabet)
                    images.append(drawings)
                    alphabets.append(names.index(alphabet))
                    characters.append(character)
                    background.append("background" in name)
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(
                f"'{folder / name}' is not the official file or is damaged: delete it and run "
                "again."
            ) from error
    return {
        "images": np.array(images, np.uint8),
        "alphabet_names": np.array(names),
        "class_alphabet": np.array(alphabets, np.uint8),
        "class_character": np.array(characters, np.uint8),
        "class_is_background": np.array(background),
    }


def _characters(archive: zipfile.ZipFile) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    """Alphabet, number and drawings of each character, in order.

    Files are called `images_background/Greek/character01/0394_01.png`.
    """
    members = sorted(name for name in archive.namelist() if name.endswith(".png"))
    for folder, files in groupby(members, key=lambda name: name.rpartition("/")[0]):
        _, alphabet, character = folder.split("/")
        drawings = [_shrink(archive, file) for file in files]
        if len(drawings) != DRAWERS:
            raise ValueError(f"{folder} must have {DRAWERS} drawings, but has {len(drawings)}.")
        yield alphabet, int(character.removeprefix("character")), drawings


def _shrink(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        image = Image.open(file).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
    return 255 - np.asarray(image)


def _save(data: dict[str, np.ndarray], target: Path) -> None:
    """The arrays as one file, so that the next start is quick; where that is impossible (a full
    disk, a folder that is read-only), it is done without."""
    partial = target.with_suffix(f".{os.getpid()}.npz")
    try:
        np.savez_compressed(partial, allow_pickle=False, **data)
        partial.replace(target)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
