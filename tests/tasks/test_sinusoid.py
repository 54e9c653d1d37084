"""Sine waves against their closed form."""

import math

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Split


def _fitted(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float, float]:
    """Amplitude, phase and residual of the wave through some points: linear in sin and cos."""
    basis = torch.cat([torch.sin(x), -torch.cos(x)], 1).double()
    weights = torch.linalg.lstsq(basis, y.double()).solution
    residual = float((basis @ weights - y).abs().max())
    sine, cosine = weights[:, 0].tolist()
    return math.hypot(sine, cosine), math.atan2(cosine, sine), residual


def test_support_and_query_lie_on_one_wave_of_the_papers_ranges() -> None:
    source = Sinusoid(shots=5, queries=20)
    amplitudes, phases = [], []
    for seed in range(200):
        task = source.draw(Split.TRAIN, stream(seed))
        x = torch.cat([task.support.x, task.query.x])
        amplitude, phase, residual = _fitted(
            x, torch.cat([task.support.labels, task.query.labels])
        )
        assert residual < 1e-4
        assert -5 <= float(x.min()) <= float(x.max()) <= 5
        amplitudes.append(amplitude)
        phases.append(phase)
    assert 0.099 < min(amplitudes) < 0.5
    assert 4.6 < max(amplitudes) < 5.001
    assert -0.001 < min(phases) < 0.3
    assert math.pi - 0.3 < max(phases) < math.pi + 0.001


def test_noise_is_on_the_support_only_and_changes_nothing_else() -> None:
    clean = Sinusoid(shots=500).draw(Split.TRAIN, stream(0))
    noisy = Sinusoid(shots=500, noise=0.3).draw(Split.TRAIN, stream(0))
    assert torch.equal(clean.query.labels, noisy.query.labels)
    difference = noisy.support.labels - clean.support.labels
    assert 0.25 < float(difference.std()) < 0.35


@pytest.mark.parametrize("arguments", [{"shots": 0}, {"queries": -1}, {"noise": -0.1}])
def test_arguments_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(arguments))):
        Sinusoid(**arguments)
