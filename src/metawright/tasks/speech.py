"""Spoken words and other short sounds by class, as log-mel spectrograms (`tasks.spectrogram`)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.data_folder import data_file, read_arrays
from metawright.tasks.episode import Distort, Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.parts import Parts, assign_classes, in_thirds
from metawright.tasks.spectrogram import BANDS, log_mel
from metawright.tasks.task import Split, Task
from metawright.tasks.waves import find_waves, read_wave

__all__ = ["Sounds", "SpokenDigits"]

_FILE = "fsdd_8khz_int16.npz"
_DIGITS = tuple("0123456789")

Disjoint = Literal["digits", "speakers"]


class SpokenDigits:
    """Tasks of telling spoken digits apart, out of 10 classes.

    Arguments:
        root: folder with `fsdd_8khz_int16.npz` (900 clips of 5 speakers); default: `fsdd` in the
            folder METAWRIGHT_DATA.
        ways, shots, queries, balanced: see `Episode`.
        disjoint: what the parts do not share. "digits": each digit is in one part, all speakers
            are in each, and a part has three or four ways. "speakers": each speaker is in one
            part, all ten digits are in each: not new classes, but new voices.
        splits: digits, or names of speakers, of each part, or one part for all. Default: digits 0
            to 3 for training, 4 to 6 for validation, 7 to 9 for test; or three speakers (george,
            jackson, lucas), one (nicolas) and one (theo).
        seconds, bands: of the spectrograms; see `log_mel`.
        distort: distortion of the drawn spectrograms (default none).
        device: where the spectrograms are held.

    Raises:
        InputError: the file is missing or damaged, or `splits` names others.

    References:
        Free Spoken Digit Dataset, Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset
    """

    name = "spoken-digits"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 3,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        disjoint: Disjoint = "digits",
        splits: Parts | None = None,
        seconds: float = 1.0,
        bands: int = BANDS,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if disjoint not in ("digits", "speakers"):
            raise InputError(f"`disjoint` must be 'digits' or 'speakers', but got '{disjoint}'.")
        _check_form(seconds, bands)
        self.episode = Episode(ways, shots, queries, balanced)
        clips = _clips(data_file(root, "fsdd", _FILE), seconds, bands)
        divide = _by_digit if disjoint == "digits" else _by_speaker
        self.table = divide(clips, splits).to(device)
        self.distort = distort

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of digits of `split`, or of its speakers."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


class Sounds:
    """Tasks drawn from a folder with one sub-folder of .wav files a class.

    Arguments:
        root: the folder; plain PCM of any rate, 8 to 32 bits, channels are averaged.
        ways, shots, queries, balanced: see `Episode`.
        validation, test: shares of the classes held out (drawn at random by `seed`).
        splits: names of the classes of each part, or one part for all, instead of shares.
        seconds, bands: of the spectrograms; see `log_mel`.
        distort: distortion of the drawn spectrograms (default none).
        device: where the spectrograms are held.

    Raises:
        InputError: the folder is missing, has fewer than two classes, or a file cannot be read.
    """

    name = "sounds"

    def __init__(
        self,
        root: Path | str,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        validation: float = 0.15,
        test: float = 0.15,
        splits: Parts | None = None,
        seconds: float = 1.0,
        bands: int = BANDS,
        seed: int = 0,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        _check_form(seconds, bands)
        self.episode = Episode(ways, shots, queries, balanced)
        found = find_waves(Path(root))
        names = tuple(found)
        if len(names) < 2:
            raise InputError(
                f"'{root}' has one class only ('{names[0]}'), so there is nothing to tell apart: "
                "add a second sub-folder with sounds of another class."
            )
        if splits is None:
            rng = stream(seed, "sounds", "split")
            parts = split_classes(len(names), rng, validation=validation, test=test)
        else:
            parts = assign_classes(names, splits)
        sounds = [read_wave(path) for files in found.values() for path in files]
        made = [
            log_mel(torch.from_numpy(samples), rate, seconds=seconds, bands=bands)
            for samples, rate in sounds
        ]
        counts = tuple(len(files) for files in found.values())
        self.table = ImageClasses(torch.stack(made), counts, names, parts).to(device)
        self.distort = distort

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of classes of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


class _Clips(NamedTuple):
    """Spectrograms (clips, bands, frames), and who says which digit in each."""

    x: Tensor
    digits: np.ndarray
    speakers: np.ndarray
    names: tuple[str, ...]


@lru_cache(maxsize=2)
def _clips(path: Path, seconds: float, bands: int) -> _Clips:
    audio, offsets, digits, speakers, names, rate = read_arrays(
        path, ("audio", "offsets", "digit", "speaker", "speakers", "rate")
    )
    clips = np.split(audio.astype(np.float32) / 2**15, offsets[1:-1])
    made = [
        log_mel(torch.from_numpy(clip), int(rate), seconds=seconds, bands=bands) for clip in clips
    ]
    present = tuple(str(names[number]) for number in np.unique(speakers))
    return _Clips(torch.stack(made), digits, np.unique(speakers, return_inverse=True)[1], present)


def _by_digit(clips: _Clips, splits: Parts | None) -> ImageClasses:
    order = np.argsort(clips.digits, kind="stable")
    return ImageClasses(
        clips.x[torch.from_numpy(order)],
        tuple(np.bincount(clips.digits, minlength=10).tolist()),
        _DIGITS,
        assign_classes(_DIGITS, in_thirds(_DIGITS) if splits is None else splits),
    )


def _by_speaker(clips: _Clips, splits: Parts | None) -> ImageClasses:
    """Ten classes for each part, which hold that part's speakers only."""
    parts = assign_classes(clips.names, _voices(clips.names) if splits is None else splits)
    rows: list[np.ndarray] = []
    counts: list[int] = []
    classes: dict[Split, Tensor] = {}
    for split, voices in parts.items():
        inside = np.isin(clips.speakers, voices.numpy())
        each = [np.flatnonzero(inside & (clips.digits == digit)) for digit in range(10)]
        begin = len(counts)
        classes[split] = torch.arange(begin, begin + (10 if len(voices) else 0))
        if len(voices):
            rows += each
            counts += [len(found) for found in each]
    names = _DIGITS * (len(counts) // 10)
    order = torch.from_numpy(np.concatenate(rows))
    return ImageClasses(clips.x[order], tuple(counts), names, classes)


def _voices(names: tuple[str, ...]) -> dict[Split, tuple[str, ...]]:
    return {
        Split.TRAIN: names[:-2],
        Split.VALIDATION: names[-2:-1],
        Split.TEST: names[-1:],
    }


def _check_form(seconds: float, bands: int) -> None:
    if not 0 < seconds < 3600 or bands < 1:
        raise InputError(
            "`0 < seconds < 3600` and `bands >= 1` must hold, but got "
            f"(seconds={seconds}, bands={bands})."
        )
