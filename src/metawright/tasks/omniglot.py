"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

Found in the data folder (`METAWRIGHT_DATA`), else downloaded once: the official files, checked.
"""

import os
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import Distort, Episode, ImageClasses, draw_episode
from metawright.tasks.task import Split, Task

__all__ = ["Omniglot", "omniglot_classes"]

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_FILES = {
    "images_background.zip": "md5:68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "md5:6b91aef0f799c5bb55b94e3f2daec811",
}
PROTOCOLS = ("random", "official")


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
        shots: int | tuple[int, int] = 1,
        queries: int = 15,
        balanced: bool = True,
        protocol: str = "random",
        rotations: bool = True,
        seed: int = 0,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if protocol not in PROTOCOLS:
            raise InputError(f"`protocol` must be one of {PROTOCOLS}, but got '{protocol}'.")
        self.episode = Episode(ways, shots, queries, balanced)
        self.distort = distort
        folder = None if root is None else str(root)
        self.table = omniglot_classes(folder, protocol, rotations, seed).to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of characters of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


@lru_cache(maxsize=4)
def omniglot_classes(
    root: str | None, protocol: str = "random", rotations: bool = True, seed: int = 0
) -> ImageClasses:
    """All drawings with the split of `protocol`: images (32460, 1, 28, 28), ink = 255."""
    images, names, background = _read(_folder(root))
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


def _folder(root: str | None) -> Path:
    if root is not None:
        folder = Path(root)
        if not folder.is_dir():
            raise InputError(f"There is no folder '{folder}' to read Omniglot from.")
        return folder
    data = os.environ.get("METAWRIGHT_DATA")
    if data and (Path(data) / "omniglot").is_dir():
        return Path(data) / "omniglot"
    return _download()


def _download() -> Path:
    # pooch is imported here because only this path needs it, and it brings a network client.
    import pooch

    folder = Path(os.environ.get("METAWRIGHT_CACHE") or pooch.os_cache("metawright")) / "omniglot"
    try:
        for name, known_hash in _FILES.items():
            pooch.retrieve(_URL + name, known_hash, fname=name, path=folder, progressbar=False)
    except Exception as error:
        raise InputError(
            f"Omniglot could not be downloaded to '{folder}' ({type(error).__name__}): check the "
            "network, or set METAWRIGHT_DATA to a folder that holds omniglot/."
        ) from error
    return folder


def _read(folder: Path) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Images (classes, 20, 28, 28) uint8 with ink = 255, names, and which are background."""
    packed = folder / "omniglot_28x28.npz"
    if not packed.exists():
        _pack(folder, packed)
    try:
        with np.load(packed, allow_pickle=False) as data:
            names = tuple(
                f"{data['alphabet_names'][alphabet]} {character}"
                for alphabet, character in zip(
                    data["class_alphabet"], data["class_character"], strict=True
                )
            )
            return data["images"], names, data["class_is_background"].astype(bool)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"'{packed}' is damaged: delete it and run again.") from error


def _pack(folder: Path, target: Path) -> None:
    """The official zip files read once into one array file."""
    images, alphabets, characters, background = [], [], [], []
    names: list[str] = []
    for name in _FILES:
        if not (folder / name).exists():
            raise InputError(
                f"'{folder}' holds neither omniglot_28x28.npz nor the official {name}."
            )
        with zipfile.ZipFile(folder / name) as archive:
            members = sorted(m for m in archive.namelist() if m.endswith(".png"))
            for start in range(0, len(members), 20):
                _, alphabet, character, _ = members[start].split("/")
                if alphabet not in names:
                    names.append(alphabet)
                images.append([_shrink(archive, m) for m in members[start : start + 20]])
                alphabets.append(names.index(alphabet))
                characters.append(int(character.removeprefix("character")))
                background.append("background" in name)
    partial = target.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(
        partial,
        images=np.array(images, np.uint8),
        alphabet_names=np.array(names),
        class_alphabet=np.array(alphabets, np.uint8),
        class_character=np.array(characters, np.uint8),
        class_is_background=np.array(background),
    )
    partial.replace(target)


def _shrink(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        image = Image.open(file).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
    return 255 - np.asarray(image)
