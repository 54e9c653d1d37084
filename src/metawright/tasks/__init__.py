"""Sources of tasks. `SOURCES` is the table of those that are asked for by name.

Names load on first use, so that the table can be read without torch.
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes

if TYPE_CHECKING:
    from metawright.tasks.classes import Episode, ImageClasses, draw_episode, split_classes
    from metawright.tasks.digits import Digits
    from metawright.tasks.distort import Distortion
    from metawright.tasks.glyphs import Glyphs
    from metawright.tasks.images import ImageFolder
    from metawright.tasks.mixture import Mixture
    from metawright.tasks.omniglot import Omniglot
    from metawright.tasks.sinusoid import Sinusoid
    from metawright.tasks.task import Batch, Kind, Split, Task, TaskSource, TaskSpec

__all__ = [
    "SOURCES",
    "Batch",
    "Digits",
    "Distortion",
    "Episode",
    "Glyphs",
    "ImageClasses",
    "ImageFolder",
    "Kind",
    "Mixture",
    "Omniglot",
    "Sinusoid",
    "Split",
    "Task",
    "TaskSource",
    "TaskSpec",
    "draw_episode",
    "split_classes",
]

SOURCES = {
    "digits": "metawright.tasks.digits:Digits",
    "glyphs": "metawright.tasks.glyphs:Glyphs",
    "images": "metawright.tasks.images:ImageFolder",
    "omniglot": "metawright.tasks.omniglot:Omniglot",
    "sinusoid": "metawright.tasks.sinusoid:Sinusoid",
}

__getattr__ = attributes(
    __name__,
    dict.fromkeys(
        ("Episode", "ImageClasses", "draw_episode", "split_classes"), "metawright.tasks.classes"
    )
    | dict.fromkeys(
        ("Batch", "Kind", "Split", "Task", "TaskSource", "TaskSpec"), "metawright.tasks.task"
    )
    | {
        "Digits": "metawright.tasks.digits",
        "Distortion": "metawright.tasks.distort",
        "Glyphs": "metawright.tasks.glyphs",
        "ImageFolder": "metawright.tasks.images",
        "Mixture": "metawright.tasks.mixture",
        "Omniglot": "metawright.tasks.omniglot",
        "Sinusoid": "metawright.tasks.sinusoid",
    },
)
