"""Short texts by class: the intents of CLINC150, and a user's own tables and folders.

Tasks hold token ids only (`tasks.tokens`); the texts themselves stay behind.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.data_folder import data_file
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.parts import Parts, assign_classes
from metawright.tasks.task import Split, Task
from metawright.tasks.text_files import read_texts
from metawright.tasks.tokens import TOKENS, VOCABULARY, TokenDropout, tokenise

__all__ = ["Clinc150", "Texts", "text_classes"]

DROP = 0.5  # of the tokens of a training text; without, the networks learn the training classes

_FILE = "clinc150_full.csv.gz"
_OUT_OF_SCOPE = "oos"  # not an intent, but whatever is none


class Clinc150:
    """Tasks of telling intents of short requests apart, out of 150 classes of 150 texts.

    All of an intent's texts are used, whatever part of the original data they were in; texts
    without an intent ("oos") are left out.

    Arguments:
        root: folder with `clinc150_full.csv.gz` (columns `text`, `intent`); default: `text` in the
            folder METAWRIGHT_DATA.
        ways, shots, queries, balanced: see `Episode`.
        splits: names of the classes of each part, or one part for all. Default: a random split by
            `seed`, 90 classes for training, 20 for validation and 40 for test.
        tokens, vocabulary: see `tokenise`.
        drop: share of the tokens that is left out of each text of a training task, at random.
        seed: of the random split.
        device: where the texts are held.

    Raises:
        InputError: the file is missing or damaged, or `splits` names other classes.

    References:
        An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, Larson et al.,
        2019, https://arxiv.org/abs/1909.02027
    """

    name = "clinc150"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        splits: Parts | None = None,
        tokens: int = TOKENS,
        vocabulary: int = VOCABULARY,
        drop: float = DROP,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        self.dropout = TokenDropout(drop)
        ids, counts, names = _intents(data_file(root, "text", _FILE), tokens, vocabulary)
        if splits is None:
            rng = stream(seed, "clinc150", "split")
            parts = split_classes(len(names), rng, validation=20 / 150, test=40 / 150)
        else:
            parts = assign_classes(names, splits)
        self.table = ImageClasses(ids, counts, names, parts, vocabulary=vocabulary).to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of intents of `split`."""
        return _draw(self, split, rng)


class Texts:
    """Tasks drawn from a table of texts with labels, or from a folder of .txt files.

    Arguments:
        root: a .csv, .tsv or .jsonl file (also compressed, .gz), one text a row; or a folder with
            one sub-folder of .txt files a class, or with one .txt file a class, one text a line.
        text, label: columns of a table that hold the text and its class.
        ways, shots, queries, balanced: see `Episode`.
        validation, test: shares of the classes held out (drawn at random by `seed`).
        splits: names of the classes of each part, or one part for all, instead of shares.
        tokens, vocabulary: see `tokenise`.
        drop: share of the tokens that is left out of each text of a training task, at random.
        device: where the texts are held.

    Raises:
        InputError: the file or folder is missing, empty, not UTF-8, lacks a column or a text, or
            has fewer than two classes.
    """

    name = "texts"

    def __init__(
        self,
        root: Path | str,
        *,
        text: str = "text",
        label: str = "label",
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        validation: float = 0.15,
        test: float = 0.15,
        splits: Parts | None = None,
        tokens: int = TOKENS,
        vocabulary: int = VOCABULARY,
        drop: float = DROP,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        self.dropout = TokenDropout(drop)
        found = read_texts(Path(root), text=text, label=label)
        if len(found) < 2:
            raise InputError(
                f"'{root}' has one class only ('{next(iter(found))}'), so there is nothing to "
                "tell apart: add texts of another class."
            )
        names = tuple(found)
        if splits is None:
            rng = stream(seed, "texts", "split")
            parts = split_classes(len(names), rng, validation=validation, test=test)
        else:
            parts = assign_classes(names, splits)
        self.table = text_classes(found, parts, tokens=tokens, vocabulary=vocabulary).to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of classes of `split`."""
        return _draw(self, split, rng)


def text_classes(
    texts: Mapping[str, Sequence[str]],
    splits: Mapping[Split, Tensor],
    *,
    tokens: int = TOKENS,
    vocabulary: int = VOCABULARY,
) -> ImageClasses:
    """Texts by class as a table of token ids, (texts, tokens) int64."""
    return ImageClasses(
        tokenise(
            [one for members in texts.values() for one in members],
            tokens=tokens,
            vocabulary=vocabulary,
        ),
        tuple(len(members) for members in texts.values()),
        tuple(texts),
        splits,
        vocabulary=vocabulary,
    )


def _draw(source: Clinc150 | Texts, split: Split, rng: torch.Generator) -> Task:
    """One task; tokens are dropped in training only."""
    distort = source.dropout if split is Split.TRAIN and source.dropout.share else None
    return draw_episode(
        source.table, source.episode, split, rng, distort=distort, source=source.name
    )


@lru_cache(maxsize=2)
def _intents(
    path: Path, tokens: int, vocabulary: int
) -> tuple[Tensor, tuple[int, ...], tuple[str, ...]]:
    texts = read_texts(path, label="intent")
    texts.pop(_OUT_OF_SCOPE, None)
    table = text_classes(texts, {}, tokens=tokens, vocabulary=vocabulary)
    return table.images, table.counts, table.names
