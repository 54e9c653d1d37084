"""What can go wrong in a user's hands, as one clear sentence each.

An error here says what is wrong, where, and what to do. The command line prints the sentence and
exits with `exit_code`; from Python they are ordinary exceptions.
"""

from collections.abc import Sequence
from difflib import get_close_matches

__all__ = [
    "BusyError",
    "InputError",
    "MetawrightError",
    "MissingExtraError",
    "VersionError",
    "did_you_mean",
]


class MetawrightError(Exception):
    """Root of all errors that are meant to be read by the user."""

    exit_code = 2


class InputError(MetawrightError, ValueError):
    """A file, folder, flag or value given by the user cannot be used."""


class VersionError(InputError):
    """A bundle, run or store was written by an incompatible version."""


class BusyError(MetawrightError):
    """Another process is writing the same run."""


class MissingExtraError(MetawrightError, ImportError):
    """An optional package is needed for what was asked.

    Arguments:
        package: import name of the missing package.
        extra: the extra of metawright that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package '{package}': install it with "
            f"`pip install 'metawright[{extra}]'`."
        )


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint at what was probably meant, or all there is.

    Example:
        >>> did_you_mean("mamal", ["maml", "reptile"])
        "did you mean 'maml'?"
        >>> did_you_mean("x", ["maml", "reptile"])
        'use one of maml, reptile.'
    """
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"use one of {', '.join(sorted(known))}."
