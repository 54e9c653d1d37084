"""Sources of tasks. `SOURCES` is the table of those that are asked for by name.

Names load on first use, so that the table can be read without torch.
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes

if TYPE_CHECKING:
    from metawright.tasks.ambiguous import AmbiguousShapes, OpenTask, SinusoidOrLine
    from metawright.tasks.classes import ImageClasses, split_classes
    from metawright.tasks.digits import Digits
    from metawright.tasks.distort import Distortion
    from metawright.tasks.episode import Episode, draw_episode
    from metawright.tasks.glyphs import Glyphs
    from metawright.tasks.images import ImageFolder
    from metawright.tasks.imbalance import META_DATASET, Imbalance
    from metawright.tasks.mixture import Mixture
    from metawright.tasks.mnist import MNIST
    from metawright.tasks.navigation import Navigation
    from metawright.tasks.omniglot import Omniglot
    from metawright.tasks.photos import CIFAR10, TrafficSigns
    from metawright.tasks.sinusoid import Sinusoid
    from metawright.tasks.speech import Sounds, SpokenDigits
    from metawright.tasks.task import Batch, Kind, Split, Task, TaskSource, TaskSpec
    from metawright.tasks.text import Clinc150, Texts

__all__ = [
    "CIFAR10",
    "META_DATASET",
    "MNIST",
    "SOURCES",
    "AmbiguousShapes",
    "Batch",
    "Clinc150",
    "Digits",
    "Distortion",
    "Episode",
    "Glyphs",
    "ImageClasses",
    "ImageFolder",
    "Imbalance",
    "Kind",
    "Mixture",
    "Navigation",
    "Omniglot",
    "OpenTask",
    "Sinusoid",
    "SinusoidOrLine",
    "Sounds",
    "Split",
    "SpokenDigits",
    "Task",
    "TaskSource",
    "TaskSpec",
    "Texts",
    "TrafficSigns",
    "draw_episode",
    "split_classes",
]

SOURCES = {
    "ambiguous-shapes": "metawright.tasks.ambiguous:AmbiguousShapes",
    "cifar10": "metawright.tasks.photos:CIFAR10",
    "clinc150": "metawright.tasks.text:Clinc150",
    "digits": "metawright.tasks.digits:Digits",
    "glyphs": "metawright.tasks.glyphs:Glyphs",
    "gtsrb": "metawright.tasks.photos:TrafficSigns",
    "images": "metawright.tasks.images:ImageFolder",
    "mnist": "metawright.tasks.mnist:MNIST",
    "navigation": "metawright.tasks.navigation:Navigation",
    "omniglot": "metawright.tasks.omniglot:Omniglot",
    "sinusoid": "metawright.tasks.sinusoid:Sinusoid",
    "sinusoid-or-line": "metawright.tasks.ambiguous:SinusoidOrLine",
    "sounds": "metawright.tasks.speech:Sounds",
    "spoken-digits": "metawright.tasks.speech:SpokenDigits",
    "texts": "metawright.tasks.text:Texts",
}

__getattr__ = attributes(
    __name__,
    dict.fromkeys(("ImageClasses", "split_classes"), "metawright.tasks.classes")
    | dict.fromkeys(("Episode", "draw_episode"), "metawright.tasks.episode")
    | dict.fromkeys(
        ("Batch", "Kind", "Split", "Task", "TaskSource", "TaskSpec"), "metawright.tasks.task"
    )
    | dict.fromkeys(
        ("AmbiguousShapes", "OpenTask", "SinusoidOrLine"), "metawright.tasks.ambiguous"
    )
    | dict.fromkeys(("CIFAR10", "TrafficSigns"), "metawright.tasks.photos")
    | dict.fromkeys(("Clinc150", "Texts"), "metawright.tasks.text")
    | dict.fromkeys(("Imbalance", "META_DATASET"), "metawright.tasks.imbalance")
    | dict.fromkeys(("Sounds", "SpokenDigits"), "metawright.tasks.speech")
    | {
        "Digits": "metawright.tasks.digits",
        "Distortion": "metawright.tasks.distort",
        "Glyphs": "metawright.tasks.glyphs",
        "ImageFolder": "metawright.tasks.images",
        "MNIST": "metawright.tasks.mnist",
        "Mixture": "metawright.tasks.mixture",
        "Navigation": "metawright.tasks.navigation",
        "Omniglot": "metawright.tasks.omniglot",
        "Sinusoid": "metawright.tasks.sinusoid",
    },
)
