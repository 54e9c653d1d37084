"""Loading and using an exported model with torch alone (Pillow too, for image files).

`metawright export` writes the text of `layers.py` followed by the text of this file as `model.py`:
hence no import of anything but torch, the standard library and, where it is there, Pillow, and a
reader of safetensors files of its own. It reads images exactly as `metawright predict` does.
"""

import hashlib
import json
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metawright.models.layers import assemble

try:
    from PIL import Image, ImageOps

    _PILLOW = True
except ImportError:
    _PILLOW = False

# What Pillow's readers raise on damaged files.
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
)

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def describe(folder: str | Path) -> dict[str, Any]:
    """What `model.json` of the folder says: classes, input, score, provenance and layers."""
    described: dict[str, Any] = json.loads((Path(folder) / "model.json").read_bytes())
    return described


def load(folder: str | Path) -> nn.Module:
    """The model of the folder: what `describe(folder)["input"]` says, such as images (images,
    channels, height, width) in 0..1, to logits or targets."""
    described = describe(folder)
    path = Path(folder) / described["weights"]
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != described["sha256"]:
        raise ValueError(f"{path} is damaged or of another export: export the model again.")
    with torch.device("meta"):
        module = assemble(described["blueprint"])
    module.load_state_dict(read_safetensors(data), assign=True)
    return module.eval().requires_grad_(False)


def read_safetensors(data: bytes) -> dict[str, Tensor]:
    """Tensors by name: 8 bytes with the header's length, a JSON header, the raw numbers."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            raw = torch.frombuffer(bytearray(data[start:end] or b"\0"), dtype=torch.uint8)
            flat = raw[: end - start].view(_DTYPES[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def read_image(path: str | Path, channels: int, size: int) -> Tensor:
    """An image file as (channels, size, size) in 0..1.

    Turned as its EXIF says, transparency laid on white, padded to a square with the colour of its
    border, resized with antialiasing.
    """
    if not _PILLOW:
        raise ImportError("Reading image files needs Pillow: pip install pillow")
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large images; whether one is usable shows by itself.
        warnings.simplefilter("ignore")
        image = _open(path, channels)
    image = _square(image).resize((size, size), Image.Resampling.BILINEAR)
    return _pixels(image).permute(2, 0, 1).float() / 255


def _open(path: str | Path, channels: int) -> Any:
    with Image.open(path) as file:
        return _flat(ImageOps.exif_transpose(file), "L" if channels == 1 else "RGB")


def _pixels(image: Any) -> Tensor:
    """(height, width, channels) uint8."""
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.reshape(image.height, image.width, -1)


def _flat(image: Any, mode: str) -> Any:
    if image.mode.startswith("I") or image.mode == "F":
        # 16- and 32-bit grey: stretch to the full range, a plain convert() would clip it.
        dtype = torch.float32 if image.mode == "F" else torch.int32
        wide = image.convert("F" if image.mode == "F" else "I")
        values = torch.frombuffer(bytearray(wide.tobytes()), dtype=dtype).double().nan_to_num()
        low, high = values.min(), values.max()
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
        grey = bytes(scaled.to(torch.uint8).tolist())
        return Image.frombytes("L", image.size, grey).convert(mode)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert(mode)


def _square(image: Any) -> Any:
    side = max(image.size)
    if image.size == (side, side):
        return image
    values = _pixels(image)
    border = torch.cat([values[0], values[-1], values[:, 0], values[:, -1]]).double()
    fill = tuple(int(colour) for colour in border.quantile(0.5, 0))
    square = Image.new(image.mode, (side, side), fill[0] if image.mode == "L" else fill)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def main(paths: list[str]) -> int:
    """Prints file, class and probability for each image file; the exit code."""
    folder = Path(__file__).resolve().parent
    described = describe(folder)
    if not _PILLOW:
        sys.stderr.write(
            "Reading image files needs Pillow (pip install pillow). Without it: "
            "`from model import load`, then load(folder)(images).\n"
        )
        return 2
    if not paths:
        sys.stderr.write("usage: python model.py IMAGE...\n")
        return 2
    shape = described["input"]
    if "channels" not in shape or not described["classes"]:
        sys.stderr.write(
            "This model does not tell images apart: `from model import load`, then "
            f"load(folder)(examples) with examples of shape {shape}.\n"
        )
        return 2
    model, failed = load(folder), 0
    for path in paths:
        try:
            image = read_image(path, shape["channels"], shape["width"])
        except (*_UNREADABLE, Image.DecompressionBombError) as error:
            sys.stderr.write(f"{path} cannot be read: {error}\n")
            failed = 2
            continue
        probability, best = model(image[None]).softmax(1)[0].max(0)
        sys.stdout.write(f"{path}\t{described['classes'][int(best)]}\t{float(probability):.4f}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
