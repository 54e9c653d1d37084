"""What the user reads when something goes wrong: one sentence and an exit code.

A foreseen error (`MetawrightError`) already is a sentence. A few of the operating system's errors
are the user's to mend and get one here. Everything else is a bug of ours and says so.
"""

import errno

from metawright.errors import MetawrightError

__all__ = ["BUG", "INTERRUPTED", "USAGE", "explain"]

BUG = 1
USAGE = 2
INTERRUPTED = 130

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def explain(error: BaseException) -> tuple[str, int]:
    """The sentence to print for `error`, and the exit code.

    Example:
        >>> from metawright.errors import InputError
        >>> explain(InputError("No folder 'a': give one that exists."))
        ("Error: No folder 'a': give one that exists.", 2)
        >>> explain(KeyboardInterrupt())
        ('Interrupted; run the same command to go on.', 130)
    """
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; run the same command to go on.", INTERRUPTED
    if isinstance(error, MetawrightError):
        return f"Error: {_one_line(str(error))}", error.exit_code
    if isinstance(error, OSError) and (sentence := _of_system(error)):
        return f"Error: {sentence}", USAGE
    if isinstance(error, MemoryError):
        return "Error: Not enough memory: close other programs or give less data.", USAGE
    what = _one_line(f"{type(error).__name__}: {error}")
    return f"Error: {what} (this is a bug; run again with --debug and report it).", BUG


def _of_system(error: OSError) -> str | None:
    where = f" at '{_one_line(str(error.filename))}'" if error.filename is not None else ""
    if error.errno in _FULL:
        return f"The disk is full{where}: free some space, then run the same command to go on."
    if error.errno in _FORBIDDEN:
        return f"No permission{where}: choose another place or change its permissions."
    return None


def _one_line(text: str) -> str:
    """`text` without line breaks and without control codes (a file's name may hold any)."""
    joined = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)
