"""Data on disk as users have it: folders of images, texts and sounds, Omniglot's official files,
and small files in the form of the public data sets."""

import gzip
import io
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SaveImage = Callable[..., Path]


def drawing(number: int, variant: int, *, side: int = 105) -> Image.Image:
    """Dark strokes on white: the same strokes for one number, moved a little by the variant."""
    strokes = np.random.default_rng(number).integers(15, 90, (3, 2, 2))
    moved = strokes + np.random.default_rng((number, variant)).integers(-3, 4, strokes.shape)
    image = Image.new("1", (105, 105), 1)
    for start, end in moved.tolist():
        ImageDraw.Draw(image).line([tuple(start), tuple(end)], fill=0, width=3)
    return image.resize((side, side))


def official_zip(top: str, alphabets: dict[str, int], *, drawers: int = 20) -> bytes:
    """A zip file built as Omniglot's: `top/Alphabet/character01/0001_01.png`."""
    target, number = io.BytesIO(), 0
    with zipfile.ZipFile(target, "w") as archive:
        for alphabet, characters in alphabets.items():
            for character in range(1, characters + 1):
                number += 1
                for drawer in range(1, drawers + 1):
                    png = io.BytesIO()
                    drawing(100 * len(top) + number, drawer).save(png, "PNG")
                    name = f"{top}/{alphabet}/character{character:02}/{number:04}_{drawer:02}.png"
                    archive.writestr(name, png.getvalue())
    return target.getvalue()


@pytest.fixture(scope="session")
def official_files() -> dict[str, bytes]:
    """The two zip files by name: 20 background and 6 evaluation characters."""
    return {
        "images_background.zip": official_zip("images_background", {"Greek": 12, "Latin": 8}),
        "images_evaluation.zip": official_zip("images_evaluation", {"Mongolian": 6}),
    }


@pytest.fixture(scope="session")
def omniglot_root(
    official_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the two zip files."""
    folder = tmp_path_factory.mktemp("omniglot")
    for name, content in official_files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def images_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 classes of eight small PNG files."""
    root = tmp_path_factory.mktemp("images")
    for number in range(20):
        folder = root / f"class {number:02}"
        folder.mkdir()
        for variant in range(8):
            drawing(number, variant, side=20).save(folder / f"{variant}.png")
    return root


@pytest.fixture
def save() -> SaveImage:
    """`save(path, mode="L", size=(12, 10))` writes an image with some noise, folders and all."""

    def write(path: Path, *, mode: str = "L", size: tuple[int, int] = (12, 10)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(path)
        return path

    return write


# --- small files in the form of the public data sets ---------------------------------------------


@pytest.fixture(scope="session")
def mnist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten digits, 20 + 5 images each, shuffled; the first pixel is ten times the digit."""
    root, rng = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, each in (("train", 20), ("test", 5)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), each))
        images = rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        images[:, 0, 0] = 10 * labels
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    np.savez(root / "mnist_28x28_15k_4k.npz", allow_pickle=False, **arrays)
    return root


@pytest.fixture(scope="session")
def cifar10_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes, 20 + 5 photographs each, of one colour: red is 20 times the class."""
    root, rng = tmp_path_factory.mktemp("cifar10"), np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"class_names": np.array([f"thing {k}" for k in range(10)])}
    for part, each in (("train", 20), ("test", 5)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), each))
        files = [_jpeg(20 * int(label), number) for number, label in enumerate(labels)]
        arrays |= {
            f"{part}_jpeg": np.frombuffer(b"".join(files), np.uint8),
            f"{part}_offsets": np.cumsum([0, *map(len, files)]),
            f"{part}_labels": labels,
        }
    np.savez(root / "cifar10_subset_jpeg.npz", allow_pickle=False, **arrays)
    return root


def _jpeg(red: int, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (red, number, 200)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture(scope="session")
def gtsrb_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """43 classes of 5 to 15 tracks of two frames; pixel (0, 0) holds class, track and frame."""
    root, rng = tmp_path_factory.mktemp("gtsrb"), np.random.default_rng(0)
    rows = [
        (label, track, frame)
        for label in range(43)
        for track in range(5 + label % 11)
        for frame in (0, 1)
    ]
    order = rng.permutation(len(rows))
    chosen = np.array(rows, np.uint8)[order]
    images = rng.integers(0, 256, (len(rows), 32, 32, 3), dtype=np.uint8)
    images[:, 0, 0] = chosen
    np.savez(
        root / "gtsrb_32x32.npz",
        allow_pickle=False,
        images=images,
        labels=chosen[:, 0],
        tracks=chosen[:, 1].astype(np.uint16),
    )
    return root


@pytest.fixture(scope="session")
def clinc150_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 intents of eight texts, in two parts, and some texts without an intent."""
    root = tmp_path_factory.mktemp("text")
    rows = ["text,intent,split"]
    for number in range(30):
        rows += [f'"ask {number}, the {word}",intent {number},train' for word in _WORDS]
    rows += [f"nothing of the kind {word},oos,oos_train" for word in _WORDS]
    with gzip.open(root / "clinc150_full.csv.gz", "wt", encoding="utf-8", newline="") as file:
        file.write("\n".join(rows))
    return root


@pytest.fixture(scope="session")
def texts_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 files of eight lines, one a class."""
    root = tmp_path_factory.mktemp("texts")
    for number in range(20):
        lines = "\n".join(f"{word} of kind {number}" for word in _WORDS)
        (root / f"kind {number:02}.txt").write_text(lines, encoding="utf-8")
    return root


_WORDS = ("bank", "train", "music", "weather", "recipe", "alarm", "money", "travel")


@pytest.fixture(scope="session")
def spoken_digits_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers more than need be, ten digits, six takes: tones whose pitch is the digit."""
    root, rng = tmp_path_factory.mktemp("fsdd"), np.random.default_rng(0)
    rows = [(d, s, take) for d in range(10) for s in range(5) for take in range(6)]
    order = rng.permutation(len(rows))
    chosen = np.array(rows, np.uint8)[order]
    clips = [tone(300 + 300 * int(d), 400 + 20 * int(s), rate=8000) for d, s, _ in chosen]
    np.savez(
        root / "fsdd_8khz_int16.npz",
        allow_pickle=False,
        audio=np.concatenate(clips),
        offsets=np.cumsum([0, *map(len, clips)]),
        digit=chosen[:, 0],
        speaker=chosen[:, 1],
        take=chosen[:, 2],
        speakers=np.array(["ann", "bob", "cleo", "dan", "eve", "fay"]),
        rate=np.int64(8000),
    )
    return root


def tone(pitch: float, samples: int, *, rate: int) -> np.ndarray:
    """A sine wave, (samples,) int16."""
    wave_of = np.sin(2 * np.pi * pitch * np.arange(samples) / rate)
    return np.round(20000 * wave_of).astype(np.int16)


@pytest.fixture(scope="session")
def sounds_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 classes of eight short tones."""
    root = tmp_path_factory.mktemp("sounds")
    for number in range(20):
        (root / f"tone {number:02}").mkdir()
        for variant in range(8):
            path = root / f"tone {number:02}" / f"{variant}.wav"
            save_wave(path, tone(200 + 150 * number, 500 + 50 * variant, rate=8000), rate=8000)
    return root


def save_wave(
    path: Path, samples: np.ndarray, *, rate: int = 8000, channels: int = 1, width: int = 2
) -> None:
    """Writes the bytes of `samples` as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="session")
def save_wave_file() -> Callable[..., None]:
    """`save_wave_file(path, samples, rate=8000, channels=1, width=2)`."""
    return save_wave
