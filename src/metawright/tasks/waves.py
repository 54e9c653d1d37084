"""WAV files on disk: finding them by class and reading their samples, without torch."""

import wave
from pathlib import Path

import numpy as np

from metawright.errors import InputError

__all__ = ["find_waves", "read_wave"]


def find_waves(path: Path) -> dict[str, tuple[Path, ...]]:
    """The .wav files of each sub-folder, by its name; both in sorted order.

    Raises:
        InputError: no such folder, no sub-folder, or one without a .wav file.
    """
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(
            f"'{path}' {what}, but a folder with one sub-folder of .wav files a class is needed."
        )
    found: dict[str, tuple[Path, ...]] = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = tuple(
            p
            for p in sorted(folder.iterdir())
            if p.suffix.lower() == ".wav" and not p.name.startswith(".")
        )
        if not files:
            raise InputError(f"Class folder '{folder}' has no .wav files: add some, or remove it.")
        found[folder.name] = files
    if not found:
        raise InputError(
            f"'{path}' has no classes: put the .wav files of each class into a sub-folder named "
            "after it."
        )
    return found


def read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Samples (samples,) float32 in -1 .. 1, the mean of the channels, and samples a second.

    Plain PCM of 8, 16, 24 or 32 bits is read.

    Raises:
        InputError: names the file that is missing, empty, no WAV file, or compressed.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            stored = file.readframes(file.getnframes())
    except FileNotFoundError as error:
        raise InputError(f"There is no sound '{path}'.") from error
    except (wave.Error, EOFError, OSError) as error:
        raise InputError(
            f"Sound '{path}' cannot be read ({str(error) or 'it breaks off'}): save it as plain "
            "PCM .wav of 8, 16, 24 or 32 bits."
        ) from error
    if width not in (1, 2, 3, 4) or channels < 1 or rate < 1:
        raise InputError(
            f"Sound '{path}' has {8 * width} bits, {channels} channels and {rate} samples a "
            "second: save it as plain PCM .wav of 8, 16, 24 or 32 bits."
        )
    samples = _samples(stored, width)
    whole = len(samples) // channels
    if not whole:
        raise InputError(f"Sound '{path}' is empty: record it again, or delete it.")
    return samples[: whole * channels].reshape(whole, channels).mean(1, dtype=np.float32), rate


def _samples(stored: bytes, width: int) -> np.ndarray:
    """Little-endian integers of `width` bytes as float32 in -1 .. 1."""
    data = np.frombuffer(stored, np.uint8)
    data = data[: len(data) // width * width]
    if width == 1:  # the only width that WAV files hold unsigned
        return (data.astype(np.float32) - 128) / 128
    # Into the upper bytes of 32 bits, so that the sign comes along.
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = data.reshape(-1, width)
    return (wide.view("<i4")[:, 0] / 2**31).astype(np.float32)
