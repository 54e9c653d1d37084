"""Spoken digits and a user's sounds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.spectrogram import log_mel
from metawright.tasks.speech import Sounds, SpokenDigits
from metawright.tasks.task import Split


def test_clips_lie_under_their_digit(spoken_digits_root: Path) -> None:
    table = SpokenDigits(spoken_digits_root).table
    assert table.counts == (30,) * 10
    assert [table.size(split) for split in Split] == [4, 3, 3]
    pitch = table.images.amax(2).argmax(1).reshape(10, 30)  # the loudest band of each clip
    assert bool((pitch == pitch[:, :1]).all())
    assert sorted(set(pitch[:, 0].tolist())) == pitch[:, 0].tolist()
    with np.load(spoken_digits_root / "fsdd_8khz_int16.npz", allow_pickle=False) as arrays:
        first = int(np.flatnonzero(arrays["digit"] == 6)[0])
        start, end = arrays["offsets"][first : first + 2]
        clip = torch.from_numpy(arrays["audio"][start:end].astype(np.float32)) / 2**15
    assert torch.equal(table.images[6 * 30], log_mel(clip, 8000))


def test_speakers_can_be_what_the_parts_do_not_share(spoken_digits_root: Path) -> None:
    """A clip of speaker s lasts 400 + 20 s samples, which shows in how many frames sound."""
    source = SpokenDigits(spoken_digits_root, ways=10, queries=5, disjoint="speakers")
    everything = SpokenDigits(spoken_digits_root).table.images
    assert len({one.numpy().tobytes() for one in everything}) == 50  # ten digits, five voices
    seen: dict[Split, set[bytes]] = {}
    for split in Split:
        task = source.draw(split, stream(0))
        assert sorted(task.spec.classes) == list("0123456789")
        table = source.table
        rows = torch.cat(
            [torch.arange(table.counts[k]) + table.starts[k] for k in table.splits[split].tolist()]
        )
        seen[split] = {one.numpy().tobytes() for one in table.images[rows]}
    assert [len(seen[split]) for split in Split] == [30, 10, 10]
    assert len(set().union(*seen.values())) == 50
    chosen = SpokenDigits(
        spoken_digits_root, disjoint="speakers", splits={"train": ["ann"], "test": ["eve", "dan"]}
    ).table
    assert [chosen.size(split) for split in Split] == [10, 0, 10]
    assert chosen.counts == (6,) * 10 + (12,) * 10


def test_what_is_refused(spoken_digits_root: Path) -> None:
    with pytest.raises(InputError, match="`disjoint` must be 'digits' or 'speakers', but got 'x'"):
        SpokenDigits(spoken_digits_root, disjoint="x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"out of ann, bob, .*'zoe', that does not exist"):
        SpokenDigits(spoken_digits_root, disjoint="speakers", splits={"test": ["zoe"]})
    for seconds, bands in ((0.0, 40), (1.0, 0)):
        with pytest.raises(InputError, match=r"`0 < seconds < 3600` and `bands >= 1`"):
            SpokenDigits(spoken_digits_root, seconds=seconds, bands=bands)
    with pytest.raises(
        InputError, match=r"task of 4 classes .* test part of 'spoken-digits' has 3"
    ):
        SpokenDigits(spoken_digits_root, ways=4).draw(Split.TEST, stream(0))


def test_a_folder_of_sounds(sounds_root: Path, tmp_path: Path) -> None:
    source = Sounds(sounds_root, ways=3, queries=2, seconds=0.2, bands=16)
    task = source.draw(Split.TEST, stream(0))
    assert task.query.x.shape == (6, 16, 20) and task.spec.features == (16, 20)
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.wav").write_bytes((sounds_root / "tone 00" / "0.wav").read_bytes())
    with pytest.raises(InputError, match=r"has one class only \('only'\)"):
        Sounds(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"Sound '.*b.wav' cannot be read"):
        Sounds(tmp_path)


def test_the_real_digits(data: Callable[[str], Path]) -> None:
    table = SpokenDigits(data("fsdd")).table
    assert table.images.shape == (900, 40, 100) and table.counts == (90,) * 10
    digits = table.images.reshape(10, 90, 40, 100)
    # "six" begins and ends with a hiss: more in the high bands, against the low, than any other.
    hiss = digits[:, :, 35:].mean((1, 2, 3)) - digits[:, :, :10].mean((1, 2, 3))
    assert int(hiss.argmax()) == 6
