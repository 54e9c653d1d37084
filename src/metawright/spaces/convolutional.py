"""The space that generated image models come from: architecture and training in one design.

A design says what the features are (a convolutional network out of the shared weights, the pixels,
or both), which head reads them, how the network is adapted to the task, and how the support is
augmented.
"""

from metawright.spaces.space import Choice, Either, Integer, Real, Record

__all__ = ["convolutional", "network_space"]


def network_space() -> Record:
    """Architectures of the network with shared weights: 96 of them."""
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
    - `adaptation`: `steps` of gradient descent on the whole network at rate `lr` from the shared
      weights (0: the shared weights as they are);
    - `head`: nearest class mean, ridge regression, or kernel ridge regression;
    - `augmentation`: `copies` of every drawing, distorted by `strength` (1: as in meta-training).
    """
    adaptation = Record({"steps": Choice((0, 3, 8)), "lr": Real(0.003, 0.3, log=True)})
    return Record(
        {
            "features": Either(
                {
                    "network": Record({"network": network_space(), "adaptation": adaptation}),
                    "both": Record(
                        {
                            "network": network_space(),
                            "adaptation": adaptation,
                            "side": Choice((8, 14)),
                            "pixel_share": Real(0.05, 0.6),
                        }
                    ),
                    "pixels": Record({"side": Choice((8, 14, 28))}),
                }
            ),
            "head": Either(
                {
                    "prototypes": Record({}),
                    "ridge": Record({"penalty": Real(0.003, 3.0, log=True)}),
                    "kernel": Record(
                        {
                            "gamma": Real(0.2, 5.0, log=True),
                            "penalty": Real(0.003, 3.0, log=True),
                        }
                    ),
                }
            ),
            "augmentation": Record(
                {"copies": Choice((0, 4, 8, 16)), "strength": Real(0.2, 1.2)},
            ),
        }
    )
