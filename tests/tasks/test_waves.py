"""WAV files of every width, and those that cannot be read."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.tasks.waves import find_waves, read_wave

SaveWave = Callable[..., None]
VALUES = np.array([0.0, 0.5, -0.5, 0.99, -1.0, 0.25])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width(width: int, tmp_path: Path, save_wave_file: SaveWave) -> None:
    whole = np.round(VALUES * 2 ** (8 * width - 1)).astype(np.int64)
    if width == 1:
        stored = (whole + 128).astype(np.uint8)
    else:
        stored = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    save_wave_file(tmp_path / "a.wav", np.ascontiguousarray(stored), rate=11025, width=width)
    samples, rate = read_wave(tmp_path / "a.wav")
    assert rate == 11025 and samples.dtype == np.float32
    np.testing.assert_allclose(samples, VALUES, atol=2.0 ** (1 - 8 * width))


def test_channels_are_averaged(tmp_path: Path, save_wave_file: SaveWave) -> None:
    both = np.array([[100, 300], [-50, 50], [0, 2]], np.int16)
    save_wave_file(tmp_path / "a.wav", both, channels=2)
    np.testing.assert_allclose(read_wave(tmp_path / "a.wav")[0] * 2**15, [200, 0, 1])


def test_what_is_refused(tmp_path: Path, save_wave_file: SaveWave) -> None:
    with pytest.raises(InputError, match=r"There is no sound '.*none.wav'"):
        read_wave(tmp_path / "none.wav")
    save_wave_file(tmp_path / "empty.wav", np.zeros(0, np.int16))
    with pytest.raises(InputError, match=r"Sound '.*empty.wav' is empty"):
        read_wave(tmp_path / "empty.wav")
    save_wave_file(tmp_path / "good.wav", np.zeros(50, np.int16))
    good = (tmp_path / "good.wav").read_bytes()
    floats = good[:20] + struct.pack("<H", 3) + good[22:]
    for name, content in (("noise", b"no sound at all"), ("none", b""), ("head", good[:30]),
                          ("float", floats)):  # fmt: skip
        (tmp_path / f"{name}.wav").write_bytes(content)
        with pytest.raises(InputError, match=rf"Sound '.*{name}.wav' cannot be read \(.+\): save"):
            read_wave(tmp_path / f"{name}.wav")
    (tmp_path / "cut.wav").write_bytes(good[:-31])
    assert len(read_wave(tmp_path / "cut.wav")[0]) == 34  # what is there is used


def test_folders(tmp_path: Path, sounds_root: Path) -> None:
    found = find_waves(sounds_root)
    assert list(found)[:2] == ["tone 00", "tone 01"] and len(found["tone 07"]) == 8
    with pytest.raises(InputError, match=r"nowhere' does not exist, but a folder"):
        find_waves(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no classes: put the \.wav files"):
        find_waves(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"Class folder '.*a' has no .wav files"):
        find_waves(tmp_path)
