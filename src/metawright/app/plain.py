"""Texts from outside (names of files, classes, data) made safe to show on a terminal or a page."""

__all__ = ["plain"]


def plain(value: object) -> str:
    """Any value as text on one line; control codes and bytes that are no text are spelled out.

    Example:
        >>> plain("half" + chr(27) + "[31m.png")
        'half\\\\x1b[31m.png'
    """
    text = " ".join(str(value).splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
