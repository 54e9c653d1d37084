"""The space that generated image models come from: architecture and training in one design.

A design says what the features are (a convolutional network out of the shared weights, the pixels,
or both), which head reads them, how the network is adapted to the task, and how the support is
augmented.
"""

from metawright.spaces.space import Choice, Either, Integer, Real, Record, Space

__all__ = ["convolutional", "network_space"]


def network_space() -> Record:
    """Architectures of the network with shared weights: 144 of them."""
    return Record(
        {
            "depth": Integer(2, 4),
            "width": Choice((32, 48, 64)),
            "kernel": Choice((3, 5)),
            "normalisation": Choice(("group", "instance")),
            "pool": Choice(("max", "average")),
            "skip": Choice((False, True)),
        }
    )


def convolutional() -> Record:
    """Features, head, adaptation and augmentation of an image classifier.

    - `features`: "network" alone, "pixels" alone (smoothed to `side` x `side`), or "both" with
      `pixel_share` of the squared length for the pixels;
    - `adaptation`: "none" takes the shared weights as they are, "descent" makes `steps` steps of
      gradient descent on the whole network at rate `lr`;
    - `head`: nearest class mean, ridge regression, or kernel ridge regression;
    - `augmentation`: `copies` of every drawing, distorted by `strength` (1: as in meta-training).
    """
    adaptation = Either(
        {
            "none": Record({}),
            "descent": Record({"steps": Choice((2, 5)), "lr": Real(0.01, 1.0, log=True)}),
        }
    )
    network: dict[str, Space] = {"network": network_space(), "adaptation": adaptation}
    pixels: dict[str, Space] = {"side": Choice((8, 14, 28))}
    share: dict[str, Space] = {"pixel_share": Real(0.05, 0.6)}
    penalty: dict[str, Space] = {"penalty": Real(0.003, 3.0, log=True)}
    return Record(
        {
            "features": Either(
                {
                    "network": Record(network),
                    "both": Record(network | pixels | share),
                    "pixels": Record(pixels),
                }
            ),
            "head": Either(
                {
                    "prototypes": Record({}),
                    "ridge": Record(penalty),
                    "kernel": Record({"gamma": Real(0.2, 5.0, log=True)} | penalty),
                }
            ),
            "augmentation": Record(
                {"copies": Choice((0, 3, 8)), "strength": Choice((0.3, 0.6, 1.0))},
            ),
        }
    )
