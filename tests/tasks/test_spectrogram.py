"""Log-mel spectrograms against torch.stft, tones of known pitch, and other rates."""

import math

import pytest
import torch
from torch.testing import assert_close

from metawright.rng import stream
from metawright.tasks.spectrogram import BANDS, HIGH, LOW, frames_of, log_mel, mel_filters


def _centre(band: int, bands: int = BANDS) -> float:
    """Hertz in the middle of a band, from the definition of mel."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (LOW, HIGH))
    return float(700 * (10 ** ((low + (band + 1) * (high - low) / (bands + 1)) / 2595) - 1))


def _tone(hertz: float, rate: int, seconds: float = 1.2) -> torch.Tensor:
    times = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * hertz * times)


@pytest.mark.parametrize("band", [0, 3, 20, 39])
@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_tone_is_in_its_band_at_every_rate(band: int, rate: int) -> None:
    mel = log_mel(_tone(_centre(band), rate), rate)
    assert mel.shape == (40, 100)
    assert set(mel.argmax(0).tolist()) == {band}
    if 3 < band < 36:
        assert float(mel[band].mean()) > 0.9 and float(mel[band + 3 :].max()) < 0.5


def test_is_that_of_torchs_transform() -> None:
    samples = torch.randn(9000, generator=stream(0))
    middle = samples[(9000 - 8120) // 2 :][:8120]  # 99 steps of 80 and a window of 200
    # torch.stft centres the window in its 512 points, so its frames begin 156 samples later.
    frames = torch.stft(
        torch.cat([torch.zeros(156), middle, torch.zeros(156)]),
        512,
        80,
        200,
        torch.hann_window(200),
        center=False,
        return_complex=True,
    )
    mel = (mel_filters(8000, 512, 40) @ frames.abs().square()).log10()
    expected = (mel - mel.max()).clamp(min=-8) / 4 + 1
    assert_close(log_mel(samples, 8000), expected, rtol=1e-4, atol=1e-4)


def test_filters_are_triangles_that_overlap_by_half() -> None:
    filters = mel_filters(8000, 2**16, 40)
    assert bool((filters.amax(1) > 0.98).all())
    hertz = torch.arange(filters.shape[1]) * 8000 / 2**16
    peaks = hertz[filters.argmax(1)]
    assert_close(peaks, torch.tensor([_centre(k) for k in range(40)]), rtol=0.01, atol=0.2)
    inner = filters[:, (hertz > _centre(0)) & (hertz < _centre(39))].sum(0)
    assert_close(inner, torch.ones_like(inner), rtol=0, atol=1e-4)
    assert bool((mel_filters(8000, 512, 40).amax(1) > 0.2).all())  # none falls between two points


def test_loudness_makes_no_difference_and_silence_is_kept_around() -> None:
    short = _tone(1000, 8000, seconds=0.5)
    mel = log_mel(short, 8000)
    assert_close(log_mel(0.01 * short, 8000), mel)
    assert bool((mel[:, :20] == -1).all()) and bool((mel[:, -20:] == -1).all())
    assert float(mel.max()) == 1
    assert bool((log_mel(torch.zeros(100), 8000) == -1).all())


def test_the_middle_of_a_long_sound_is_kept() -> None:
    long = torch.cat([torch.zeros(8000), _tone(500, 8000, seconds=1.1), torch.zeros(8000)])
    assert float(log_mel(long, 8000).amax(0).min()) > 0.9
    assert log_mel(long, 8000, seconds=0.5, bands=8).shape == (8, 50)
    assert frames_of(0.001) == 1
