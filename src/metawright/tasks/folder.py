"""Image files on disk: finding them by class and reading them into arrays, without torch.

A folder that cannot be used must be refused at once, so this module stays light.
"""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from metawright.errors import InputError

__all__ = ["ClassFolder", "find_images", "native_size", "read_image", "scan_classes"]

# What Pillow's readers raise on damaged files; a decompression bomb is none of the usual kinds.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    struct.error,
    Image.DecompressionBombError,
)
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}  # not read by Pillow


@dataclass(frozen=True)
class ClassFolder:
    """A folder with one sub-folder of images a class.

    Arguments:
        path: the folder.
        files: the image files of each class, by class name, both in sorted order.
        notes: sentences about what was left out (empty: nothing).
    """

    path: Path
    files: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in label order."""
        return tuple(self.files)


def scan_classes(path: Path, *, least: int = 2) -> ClassFolder:
    """The classes of a folder and their readable images.

    Every file is opened and decoded once, so that a damaged image is known before any training.
    Damaged images are left out with a note; a class without any readable image is an error.

    Raises:
        InputError: no such folder, no class, fewer than `least` classes, a class without images.
    """
    folders = _class_folders(path)
    files: dict[str, tuple[Path, ...]] = {}
    damaged: list[str] = []
    for folder in folders:
        found = find_images(folder)
        readable = [p for p in found if _is_sound(p, damaged)]
        if not readable:
            what = _counted(len(found)) + (", none of them readable" if found else "")
            raise InputError(
                f"Class folder '{folder}' has {what}: add some, or remove the folder."
            )
        files[folder.name] = tuple(readable)
    if len(files) < least:
        raise InputError(
            f"'{path}' has one class only ('{next(iter(files))}'), so there is nothing to tell "
            "apart: add a second sub-folder with images of another class."
        )
    return ClassFolder(path, files, _notes(damaged))


def find_images(path: Path, *, recursive: bool = True) -> list[Path]:
    """Files under `path` with an ending that Pillow reads, sorted; hidden ones are left out."""
    endings = Image.registered_extensions()
    known = {ending for ending, kind in endings.items() if kind not in _NO_PICTURES}
    found = path.rglob("*") if recursive else path.glob("*")
    return sorted(
        p
        for p in found
        if p.suffix.lower() in known
        and not any(part.startswith(".") for part in p.relative_to(path).parts)
        and p.is_file()
    )


def read_image(path: Path, *, channels: int, size: int) -> np.ndarray:
    """One image as (channels, size, size) float32 in 0..1.

    Any mode and size: turned as its EXIF says, transparency laid on white, padded to a square with
    the colour of its border, resized with antialiasing.

    Raises:
        InputError: the file is missing, not an image, or truncated.
    """
    try:
        image = _decoded(path, "L" if channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise InputError(f"There is no image '{path}'{_nearest(path)}") from error
    except _UNREADABLE as error:
        raise InputError(f"Image '{path}' cannot be read: {_reason(error)}.") from error
    pixels = _square(image).resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(pixels, np.float32) / np.float32(255)
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def native_size(paths: Sequence[Path]) -> int:
    """The median of the larger sides of some images, in pixels."""
    sides = []
    for path in paths[:: max(len(paths) // 50, 1)]:
        with Image.open(path) as image:
            sides.append(max(image.size))
    return int(np.median(sides))


def _class_folders(path: Path) -> list[Path]:
    """The sub-folders that stand for classes, sorted."""
    try:
        if not path.exists():
            raise InputError(f"There is no folder '{path}'{_nearest(path)}")
        if not path.is_dir():
            raise InputError(
                f"'{path}' is a file, but a folder with one sub-folder a class is needed."
            )
        whole = path.resolve()
        # A link back to the folder or to what it lies in would hold every class at once.
        folders = [
            p
            for p in sorted(path.iterdir())
            if not p.name.startswith(".") and p.is_dir() and not whole.is_relative_to(p.resolve())
        ]
        loose = 0 if folders else len(find_images(path, recursive=False))
    except OSError as error:
        raise InputError(
            f"The folder '{path}' cannot be read: {error.strerror or error}."
        ) from error
    if not folders:
        raise InputError(
            f"'{path}' has no classes: put the images of each class into a sub-folder named after "
            f"it (it holds {_counted(loose)} and no sub-folders)."
        )
    return folders


def _decoded(path: Path, mode: str) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large images; whether one is usable shows by itself.
        warnings.simplefilter("ignore")
        with Image.open(path) as file:
            return _flat(ImageOps.exif_transpose(file), mode)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16- and 32-bit grey: stretch to the full range, a plain convert() would clip it.
        values = np.nan_to_num(np.asarray(image, np.float64))
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
        return Image.fromarray(scaled.astype(np.uint8)).convert(mode)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert(mode)


def _square(image: Image.Image) -> Image.Image:
    side = max(image.size)
    if image.size == (side, side):
        return image
    values = np.asarray(image)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    colour = np.median(border, axis=0)
    fill = int(colour) if image.mode == "L" else tuple(int(c) for c in colour)
    square = Image.new(image.mode, (side, side), fill)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _is_sound(path: Path, damaged: list[str]) -> bool:
    """Whether an image can be read; if not, it is added to `damaged` with the reason."""
    try:
        _decoded(path, "RGB")
    except _UNREADABLE as error:
        damaged.append(f"{path} ({_reason(error)})")
        return False
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    text = str(error).rstrip(".")
    return "the file is truncated" if "truncated" in text else text or type(error).__name__


def _counted(images: int) -> str:
    return f"{images or 'no'} image{'' if images == 1 else 's'}"


def _notes(damaged: Sequence[str]) -> tuple[str, ...]:
    if not damaged:
        return ()
    shown = "; ".join(damaged[:3]) + (f"; and {len(damaged) - 3} more" if damaged[3:] else "")
    are = "is" if len(damaged) == 1 else "are"
    return (f"{_counted(len(damaged))} could not be read and {are} left out: {shown}.",)


def _nearest(path: Path) -> str:
    """The end of a sentence on a missing path: a neighbour with a similar name, or a full stop."""
    parent = path.parent
    if not parent.is_dir():
        return f" (nor '{parent}')."
    names = get_close_matches(path.name, [p.name for p in parent.iterdir()], 1, 0.6)
    return f": did you mean '{parent / names[0]}'?" if names else "."
