"""Log-mel spectrograms: how strong a sound is in bands as the ear divides them, over time."""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["BANDS", "HIGH", "HOP", "LOW", "WINDOW", "frames_of", "log_mel", "mel_filters"]

WINDOW = 0.025  # seconds of a frame: some periods of a voice, short against a sound of speech
HOP = 0.01  # seconds from one frame to the next
BANDS = 40
LOW, HIGH = 50.0, 4000.0  # Hz; 4,000 is all that a recording at 8,000 samples a second holds
_RANGE = 8.0  # powers of ten below the loudest: 80 dB, what is softer counts as silence


def log_mel(samples: Tensor, rate: int, *, seconds: float = 1.0, bands: int = BANDS) -> Tensor:
    """Log-mel spectrogram of a sound, (bands, frames) float32 in -1 .. 1.

    Frames of 25 ms (Hann window) every 10 ms; bands are triangles between 50 and 4,000 Hz, evenly
    spaced in mel. 1 is the loudest value of the sound, -1 is 80 dB below it or less, or silence:
    how loud the whole was recorded makes no difference. Frames and bands are laid out in seconds
    and hertz, so sounds of different rates compare without resampling.

    Arguments:
        samples: (samples,) float, one channel.
        rate: samples a second.
        seconds: length; the middle of a longer sound is kept, a shorter one gets silence on both
            sides.

    References:
        Comparison of parametric representations for monosyllabic word recognition in continuously
        spoken sentences, Davis and Mermelstein, 1980, https://doi.org/10.1109/TASSP.1980.1163420
    """
    window, hop = round(WINDOW * rate), HOP * rate
    frames = frames_of(seconds)
    # Frames stand where the seconds say, also where 10 ms are no whole number of samples.
    starts = (torch.arange(frames, dtype=torch.float64) * hop).round().long()
    needed = int(starts[-1]) + window
    fitted = _fitted(samples.to(torch.float32), needed)
    pieces = fitted[starts[:, None] + torch.arange(window)]
    points = 2 * 2 ** math.ceil(math.log2(window))  # room for the narrow bands at low pitch
    shaped = pieces * torch.hann_window(window)
    power = torch.fft.rfft(shaped, n=points).abs().square() / window
    mel = power @ mel_filters(rate, points, bands).T
    share = mel / mel.max().clamp(min=torch.finfo(mel.dtype).tiny)
    level: Tensor = share.clamp(min=10**-_RANGE).log10() * (2 / _RANGE) + 1
    return level.T.contiguous()


def frames_of(seconds: float) -> int:
    """How many frames a spectrogram of that length has."""
    return max(round(seconds / HOP), 1)


@lru_cache(maxsize=8)
def mel_filters(rate: int, points: int, bands: int) -> Tensor:
    """Weights of each frequency in each band, (bands, points // 2 + 1).

    Example:
        >>> from metawright.tasks.spectrogram import mel_filters
        >>> mel_filters(8000, 512, 40).shape
        torch.Size([40, 257])
    """
    edges = _hertz(torch.linspace(_mel(LOW), _mel(HIGH), bands + 2, dtype=torch.float64))
    frequencies = torch.arange(points // 2 + 1, dtype=torch.float64) * rate / points
    rise = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0).float()


def _fitted(samples: Tensor, needed: int) -> Tensor:
    """The middle `needed` samples, or the whole in the middle of silence."""
    if len(samples) >= needed:
        start = (len(samples) - needed) // 2
        return samples[start : start + needed]
    missing = needed - len(samples)
    return functional.pad(samples, (missing // 2, missing - missing // 2))


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)
