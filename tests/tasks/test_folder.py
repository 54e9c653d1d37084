"""Folders and image files as users have them: odd, damaged, missing; each gives one sentence."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metawright.errors import InputError
from metawright.tasks.folder import find_images, native_size, read_image, scan_classes

SaveImage = Callable[..., Path]


def _array(image: Image.Image, path: Path) -> np.ndarray:
    image.save(path)
    read: np.ndarray = read_image(path, channels=1, size=image.width)[0]
    return read


# --- folders ---


def test_classes_and_files_are_sorted(tmp_path: Path, save: SaveImage) -> None:
    for name in ("b/2.png", "b/1.PNG", "a/deep/3.png", "a/x.jpeg", "c/1.webp"):
        save(tmp_path / name)
    folder = scan_classes(tmp_path)
    assert folder.classes == ("a", "b", "c")
    assert [path.name for path in folder.files["a"]] == ["3.png", "x.jpeg"]
    assert [path.name for path in folder.files["b"]] == ["1.PNG", "2.png"]
    assert folder.notes == ()


def test_missing_folder_suggests_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"no folder '.*digts': did you mean '.*/digits'\?$"):
        scan_classes(tmp_path / "digts")
    with pytest.raises(InputError, match=r"no folder '.*zzz'\.$"):
        scan_classes(tmp_path / "zzz")
    with pytest.raises(InputError, match=r"no folder '.*b' \(nor '.*nowhere'\)\.$"):
        scan_classes(tmp_path / "nowhere" / "b")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no classes: put .* \(it holds no images and no"):
        scan_classes(tmp_path)


def test_images_without_sub_folders(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"has no classes: .* \(it holds 1 image and no sub"):
        scan_classes(tmp_path)


def test_file_instead_of_a_folder(tmp_path: Path, save: SaveImage) -> None:
    with pytest.raises(InputError, match=r"'.*1\.png' is a file, but a folder with one"):
        scan_classes(save(tmp_path / "1.png"))


def test_one_class(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "cat" / "1.png")
    with pytest.raises(InputError, match=r"has one class only \('cat'\)"):
        scan_classes(tmp_path)
    assert scan_classes(tmp_path, least=1).classes == ("cat",)


def test_class_without_images_and_class_with_one(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match=r"Class folder '.*dog' has no images: add some, or"):
        scan_classes(tmp_path)
    save(tmp_path / "dog" / "1.png")
    assert [len(files) for files in scan_classes(tmp_path).files.values()] == [1, 1]


def test_damaged_images_are_left_out_with_a_note(tmp_path: Path, save: SaveImage) -> None:
    whole = save(tmp_path / "a" / "0.png", size=(60, 60)).read_bytes()
    save(tmp_path / "b" / "0.png")
    (tmp_path / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "2.jpg").write_text("no image at all")
    (tmp_path / "a" / "3.gif").write_bytes(b"")
    folder = scan_classes(tmp_path)
    assert [path.name for path in folder.files["a"]] == ["0.png"]
    (note,) = folder.notes
    assert note.startswith("3 images could not be read and are left out: ")
    assert "1.png (the file is truncated)" in note
    assert "2.jpg (not an image that Pillow knows)" in note
    (tmp_path / "b" / "1.png").write_bytes(b"")
    (tmp_path / "b" / "2.png").write_bytes(b"")
    assert scan_classes(tmp_path).notes[0].endswith("; and 2 more.")


def test_class_with_damaged_images_only(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "a" / "0.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"folder '.*b' has 1 image, none of them readable"):
        scan_classes(tmp_path)


def test_other_and_hidden_files_are_ignored(tmp_path: Path, save: SaveImage) -> None:
    for name in ("a/1.png", "b/1.png", ".git/1.png", "a/.thumbnails/1.png", "a/._1.png"):
        save(tmp_path / name)
    for name in ("notes.txt", "a/labels.csv", "a/paper.pdf", "b/Thumbs.db"):
        (tmp_path / name).write_text("1")
    (tmp_path / "b" / "folder.png").mkdir()
    folder = scan_classes(tmp_path)
    assert {name: len(files) for name, files in folder.files.items()} == {"a": 1, "b": 1}
    assert folder.notes == ()


@pytest.mark.parametrize("name", ["ü ñ 漢字", "a, b", "1;2", 'it\'s "x"', "{braces}", "nine%"])
def test_any_name_is_a_class(name: str, tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / name / "1.png")
    save(tmp_path / "zz" / "1.png")
    assert name in scan_classes(tmp_path).classes
    (tmp_path / name / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of them readable"):
        scan_classes(tmp_path)


def test_links(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "elsewhere" / "1.png")
    root = tmp_path / "root"
    save(root / "a" / "1.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "up").symlink_to(root)
    (root / "further up").symlink_to(tmp_path)
    (root / "itself").symlink_to(root / "itself")
    (root / "gone").symlink_to(root / "nowhere")
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "a" / "dead.png").symlink_to(root / "nowhere.png")
    assert {n: len(f) for n, f in scan_classes(root).files.items()} == {"a": 1, "b": 1}
    with pytest.raises(InputError, match="There is no folder"):
        scan_classes(root / "itself")


def test_a_path_that_no_system_can_open() -> None:
    with pytest.raises(InputError, match=r"The folder '.*' cannot be read: File name too long\."):
        scan_classes(Path("x" * 5000))


def test_scanning_is_quick(images_root: Path) -> None:
    began = time.process_time()
    assert len(scan_classes(images_root).classes) == 20
    assert time.process_time() - began < 1.0  # 160 files; a hundredth of that is usual a file


def test_scanning_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from metawright.errors import InputError\n"
        "from metawright.tasks.folder import scan_classes\n"
        "try:\n"
        f"    scan_classes(pathlib.Path({str(tmp_path)!r}))\n"
        "except InputError:\n"
        "    print('refused', 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["refused", "False"]


# --- images ---


def test_values_shape_and_range(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    read = _array(Image.fromarray(values), tmp_path / "x.png")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, values / 255, atol=1e-6)
    colour = read_image(tmp_path / "x.png", channels=3, size=8)
    assert colour.shape == (3, 8, 8)
    assert colour.flags.c_contiguous
    np.testing.assert_allclose(colour, np.broadcast_to(read, (3, 8, 8)), atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        *[(mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
        *[(mode, "tiff") for mode in ("1", "L", "I", "I;16", "F", "CMYK", "RGBA", "LA")],
        *[(mode, "jpg") for mode in ("L", "RGB", "CMYK")],
        *[("RGB", ending) for ending in ("bmp", "gif", "webp", "ppm", "tga", "jp2")],
    ],
)
def test_every_mode_shows_the_same_picture(mode: str, ending: str, tmp_path: Path) -> None:
    values = np.full((16, 16), 255, np.uint8)
    values[4:12, 6:10] = 0
    image = Image.fromarray(values)
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 257)
    elif mode in ("I", "F"):
        image = Image.fromarray(values.astype(np.int32 if mode == "I" else np.float32) * 1000)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    image.save(tmp_path / f"x.{ending}")
    for channels in (1, 3):
        read = read_image(tmp_path / f"x.{ending}", channels=channels, size=16)
        assert read.shape == (channels, 16, 16)
        assert np.abs(read - values / 255).mean() < 0.03


def test_sixteen_bits_are_stretched_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(10_000, 40_000, 64).astype(np.uint16).reshape(8, 8)
    read = _array(Image.fromarray(ramp), tmp_path / "x.png")
    np.testing.assert_allclose(read.ravel(), np.linspace(0, 1, 64), atol=0.01)
    flat = _array(Image.fromarray(np.full((8, 8), 999, np.uint16)), tmp_path / "flat.png")
    assert float(flat.max()) == 0


def test_numbers_that_are_none_do_no_harm(tmp_path: Path) -> None:
    values = np.array([[np.nan, 0], [1, np.nan]], np.float32)
    read = _array(Image.fromarray(values), tmp_path / "x.tiff")
    np.testing.assert_allclose(read, [[0, 0], [1, 0]])


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2:6, 2:6, 3] = 255  # opaque black in a transparent black frame
    expected = np.ones((8, 8))
    expected[2:6, 2:6] = 0
    image = Image.fromarray(rgba)
    np.testing.assert_allclose(_array(image, tmp_path / "rgba.png"), expected)
    np.testing.assert_allclose(_array(image.convert("LA"), tmp_path / "la.png"), expected)
    paletted = Image.fromarray((1 - expected).astype(np.uint8), "L").convert("P")
    paletted.putpalette([200, 200, 200, 0, 0, 0])
    paletted.save(tmp_path / "p.png", transparency=0)
    np.testing.assert_allclose(read_image(tmp_path / "p.png", channels=1, size=8)[0], expected)


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    upright = np.zeros((8, 8), np.uint8)
    upright[0, :] = 255
    for orientation, turn in ((3, 2), (6, 1), (8, 3)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.ascontiguousarray(np.rot90(upright, turn))
        Image.fromarray(stored).save(tmp_path / "x.png", exif=exif)
        read = read_image(tmp_path / "x.png", channels=1, size=8)[0]
        np.testing.assert_allclose(read, upright / 255)


@pytest.mark.parametrize("ground", [0, 255])
def test_padded_to_a_square_with_the_colour_of_the_border(ground: int, tmp_path: Path) -> None:
    values = np.full((10, 20), ground, np.uint8)
    values[4:6, 8:12] = 255 - ground
    Image.fromarray(values).save(tmp_path / "x.png")
    read = read_image(tmp_path / "x.png", channels=1, size=20)[0]
    expected = np.full((20, 20), ground / 255)
    expected[9:11, 8:12] = 1 - ground / 255
    np.testing.assert_allclose(read, expected)
    colour = read_image(tmp_path / "x.png", channels=3, size=20)
    np.testing.assert_allclose(colour, np.broadcast_to(expected, (3, 20, 20)))


def test_shrinking_keeps_thin_strokes(tmp_path: Path) -> None:
    values = np.zeros((280, 280), np.uint8)
    values[:, 100:103] = 255
    Image.fromarray(values).save(tmp_path / "x.png")
    read = read_image(tmp_path / "x.png", channels=1, size=28)[0]
    np.testing.assert_allclose(read.mean(), 3 / 280, rtol=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (3, 400), (2000, 3)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path, save: SaveImage) -> None:
    path = save(tmp_path / "x.png", mode="RGB", size=size)
    for channels in (1, 3):
        assert read_image(path, channels=channels, size=28).shape == (channels, 28, 28)


def test_what_cannot_be_read(tmp_path: Path, save: SaveImage) -> None:
    whole = save(tmp_path / "drawing.png", size=(60, 60)).read_bytes()
    with pytest.raises(
        InputError, match=r"no image '.*drawin\.png': did you mean '.*drawing\.png"
    ):
        read_image(tmp_path / "drawin.png", channels=1, size=8)
    for name, content, reason in (
        ("half.png", whole[: len(whole) // 2], r"the file is truncated"),
        ("text.png", b"hello", "not an image that Pillow knows"),
        ("empty.png", b"", "not an image that Pillow knows"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"Image '.*{name}' cannot be read: {reason}\.$"):
            read_image(tmp_path / name, channels=1, size=8)
    with pytest.raises(InputError, match=r"Image '.*' cannot be read"):
        read_image(tmp_path, channels=1, size=8)


def test_a_decompression_bomb_is_refused(
    tmp_path: Path, save: SaveImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a" / "x.png", size=(30, 30))
    save(tmp_path / "a" / "ok.png", size=(5, 5))
    save(tmp_path / "b" / "ok.png", size=(5, 5))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # refused above twice that
    with pytest.raises(InputError, match="cannot be read: Image size"):
        read_image(path, channels=1, size=8)
    assert "1 image could not be read and is left out" in scan_classes(tmp_path).notes[0]


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tiff", "webp", "dds", "pcx"])
def test_no_damage_gives_anything_but_an_input_error(
    ending: str, tmp_path: Path, save: SaveImage
) -> None:
    whole = save(tmp_path / f"whole.{ending}", mode="RGB").read_bytes()
    noise = np.random.default_rng(0)
    path, refused = tmp_path / f"x.{ending}", 0
    for _ in range(60):
        content = bytearray(whole[: int(noise.integers(1, len(whole) + 1))])
        for _ in range(int(noise.integers(0, 8))):
            content[int(noise.integers(min(len(content), 120)))] = int(noise.integers(256))
        path.write_bytes(bytes(content))
        try:
            read_image(path, channels=1, size=8)
        except InputError:
            refused += 1
    assert refused > 20


def test_native_size_is_the_median_of_the_larger_sides(tmp_path: Path, save: SaveImage) -> None:
    sizes = [(10, 20), (30, 8), (100, 100)]
    paths = [save(tmp_path / f"{i}.png", size=size) for i, size in enumerate(sizes)]
    assert native_size(paths) == 30
    assert native_size([paths[0]] * 90 + [paths[1]] * 120 + [paths[2]] * 90) == 30


def test_find_images_can_stay_at_the_top(tmp_path: Path, save: SaveImage) -> None:
    top, deep = save(tmp_path / "b.png"), save(tmp_path / "a" / "b.png")
    assert find_images(tmp_path) == [deep, top]
    assert find_images(tmp_path, recursive=False) == [top]
