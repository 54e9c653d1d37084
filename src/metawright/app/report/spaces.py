"""A space as a picture and as a page: its tree, with what each decision may be."""

from metawright import __version__
from metawright.app.report.drawing import Line, Picture, Role, Shape, Text
from metawright.app.report.html import figure, items, page, section, text
from metawright.app.report.style import style_sheet
from metawright.app.space_tree import Branch

__all__ = ["space_page", "space_picture"]

_ROW, _INDENT, _TOP = 26.0, 26.0, 18.0
_LETTER, _SMALL = 8.2, 7.2  # widths of a letter of names and of words


def space_picture(tree: Branch) -> Picture:
    """The tree, a line a part: names on the left, what they may be on the right."""
    rows = list(_rows(tree, 0))
    column = max(depth * _INDENT + len(part.name) * _LETTER for depth, part in rows) + 26
    width = column + max(len(part.words) for _, part in rows) * _SMALL + 12
    shapes: list[Shape] = []
    above: dict[int, float] = {}
    for index, (depth, part) in enumerate(rows):
        y = _TOP + index * _ROW
        x = 6 + depth * _INDENT
        if depth:
            elbow = x - _INDENT / 2 - 2
            shapes.append(Line(((elbow, above[depth]), (elbow, y), (x - 4, y)), "line", 1))
        # The next on this level is joined to this one, the first below it to its lower edge.
        above |= {depth: y, depth + 1: y + 10}
        shapes.append(Text(x, y, part.name, 13, "ink", bold=bool(part.parts) or not depth))
        if part.words:
            role: Role = "muted" if part.parts else "accent"
            shapes.append(Text(column, y, part.words, 12.5, role))
    title = f"The space {tree.name}: {', '.join(part.name for part in tree.parts)}"
    return Picture("space", title, width, _TOP * 2 + (len(rows) - 1) * _ROW, tuple(shapes))


def _rows(branch: Branch, depth: int) -> list[tuple[int, Branch]]:
    rows = [(depth, branch)]
    for part in branch.parts:
        rows += _rows(part, depth + 1)
    return rows


def space_page(tree: Branch, sentences: list[str]) -> str:
    """A page that needs no other file.

    Arguments:
        sentences: what there is to say about the space beside its tree.
    """
    body = (
        f'<header><p class="brow">metawright space</p><h1>{text(tree.name)}</h1></header>'
        f"{items(sentences, 'why')}"
        f"{section('Its decisions', figure(space_picture(tree)))}"
        f"<footer>Made by metawright {text(__version__)}; needs no other file.</footer>"
    )
    return page(f"The space {tree.name} – metawright", style_sheet(), body)
