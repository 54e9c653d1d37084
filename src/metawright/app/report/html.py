"""Pieces of the page. Whatever comes from the data goes through `text`, and so is never markup."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from metawright.app.plain import plain
from metawright.app.report.drawing import Picture, svg

__all__ = ["definitions", "figure", "items", "page", "section", "table", "text", "two_sizes"]


def text(value: object) -> str:
    """Any value as text of the page; a number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=%|s\b|points\b)", "&nbsp;", escape(plain(value)))


def section(heading: str, *parts: str) -> str:
    """A section with its heading; nothing where it has no content."""
    body = "".join(parts)
    return f"<section><h2>{text(heading)}</h2>{body}</section>" if body else ""


def items(sentences: Iterable[object], kind: str) -> str:
    """A list of plain sentences; nothing where there are none."""
    rows = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    return f'<ul class="{kind}">{rows}</ul>' if rows else ""


def definitions(rows: Mapping[str, object]) -> str:
    """Names and values."""
    body = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows.items())
    return f"<dl>{body}</dl>" if body else ""


def figure(picture: Picture | None, caption: str = "", *, heading: str = "") -> str:
    """A picture in its own size, which a small screen moves sideways."""
    if picture is None:
        return ""
    return _figure(f'<div class="scroll">{svg(picture)}</div>', caption, heading)


def two_sizes(
    wide: Picture | None, narrow: Picture | None, caption: str = "", *, heading: str = ""
) -> str:
    """A picture that was drawn for large and for small screens."""
    if wide is None or narrow is None:
        return ""
    both = f'<div class="wide">{svg(wide)}</div><div class="narrow">{svg(narrow)}</div>'
    return _figure(both, caption, heading)


def _figure(body: str, caption: str, heading: str) -> str:
    above = f'<figcaption class="above">{text(heading)}</figcaption>' if heading else ""
    # HTML allows one caption: the heading is it, and the rest a paragraph.
    tag = "p" if heading else "figcaption"
    below = f'<{tag} class="muted">{text(caption)}</{tag}>' if caption else ""
    return f"<figure>{above}{body}{below}</figure>"


def table(heads: Sequence[tuple[str, str]], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table; `heads`: (name, class of the column), rows: (class of the row, cells as markup)."""
    top = "".join(f'<th scope="col" class="{kind}">{text(name)}</th>' for name, kind in heads)
    body = "".join(
        f'<tr class="{row_kind}">'
        + "".join(
            f'<td class="{kind}">{cell}</td>' for cell, (_, kind) in zip(cells, heads, strict=True)
        )
        + "</tr>"
        for row_kind, cells in rows
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def page(title: str, style: str, body: str, *, images: bool = False) -> str:
    """The whole page; its policy forbids scripts and anything from the network.

    Arguments:
        images: whether it shows images that are written into the page itself.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'" + ("; img-src data:" * images)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
