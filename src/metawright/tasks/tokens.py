"""Texts as token ids, without a vocabulary: pieces of words are hashed.

Nothing is learned and nothing is kept: the same text has the same ids in every source, every run
and every program, so a model needs no tokeniser beside it, and an unseen word shares ids with the
words it resembles.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from metawright.errors import InputError

__all__ = ["TOKENS", "VOCABULARY", "TokenDropout", "token_ids", "tokenise"]

VOCABULARY = 4096  # ids, 0 for no token; a few collide, and neighbours tell them apart
TOKENS = 64  # of a text; about twelve words
_WORD = re.compile(r"\w+|[^\w\s]")
_PIECE = 3  # letters


def tokenise(
    texts: Sequence[str], *, tokens: int = TOKENS, vocabulary: int = VOCABULARY
) -> Tensor:
    """Ids of several texts, (texts, tokens) int64 in 0 .. vocabulary - 1; 0 fills up the end.

    Arguments:
        tokens: ids of a text; what a longer one has beyond them is cut off.
        vocabulary: how many ids there are.

    Example:
        >>> from metawright.tasks.tokens import tokenise
        >>> one, other = tokenise(["play Jazz!", "play jazz!"], tokens=8)
        >>> one.tolist() == other.tolist(), int((one > 0).sum())
        (True, 8)
    """
    if tokens < 1 or vocabulary < 2:
        raise InputError(
            "`tokens >= 1` and `vocabulary >= 2` must hold, but got "
            f"(tokens={tokens}, vocabulary={vocabulary})."
        )
    ids = torch.zeros(len(texts), tokens, dtype=torch.int64)
    for row, text in enumerate(texts):
        found = token_ids(text, vocabulary)[:tokens]
        ids[row, : len(found)] = torch.tensor(found, dtype=torch.int64)
    return ids


def token_ids(text: str, vocabulary: int = VOCABULARY) -> list[int]:
    """Ids 1 .. vocabulary - 1 of one text: every word's pieces of three letters, in reading order.

    Case and the several ways to write one character (Unicode NFKC) make no difference. A word is
    marked at both ends, so that "<in" (a beginning) and "in" within a word differ.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [piece for word in _WORD.findall(plain) for piece in _pieces(word, vocabulary)]


@lru_cache(maxsize=2**16)
def _pieces(word: str, vocabulary: int) -> tuple[int, ...]:
    marked = f"<{word}>"
    return tuple(
        1 + zlib.crc32(marked[start : start + _PIECE].encode()) % (vocabulary - 1)
        for start in range(len(marked) - _PIECE + 1)
    )


@dataclass(frozen=True)
class TokenDropout:
    """Leaves tokens out of texts at random, so that no model relies on a few of them.

    Arguments:
        share: of the tokens that is left out; their places hold 0.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(
                f"The share of tokens to drop must be in 0 <= share < 1, but got {self.share}."
            )

    def __call__(self, ids: Tensor, rng: torch.Generator) -> Tensor:
        """The ids with some of them 0."""
        return ids * (torch.rand(ids.shape, generator=rng, device=ids.device) >= self.share)
