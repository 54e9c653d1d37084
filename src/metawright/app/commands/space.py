"""The verb `space`: which spaces there are, and what one of them holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metawright.errors import InputError
from metawright.store.files import write_bytes, write_text

if TYPE_CHECKING:
    from metawright.app.space_tree import Branch

__all__ = ["space"]


def space(
    show: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[show] [NAME]",
            help="A named space, a Python file that defines `space`, a JSON file of one, or the "
            "folder of a search. Without it, the named spaces are listed.",
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Show a random design too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random design.")] = 0,
    png: Annotated[Path | None, typer.Option(help="Write the tree as a picture.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the tree as a page.")] = None,
) -> None:
    """List the spaces that can be searched, or draw one and count its designs."""
    words = list(show or [])
    if words[:1] == ["show"]:
        words = words[1:]
        if not words:
            raise InputError("Say which space to show, such as `metawright space show cells`.")
    if len(words) > 1:
        raise InputError(f"One space can be shown at a time, but got {' '.join(words)}.")
    if not words and (sample or png is not None or html is not None):
        raise InputError("Say which space, such as `metawright space cells --sample`.")
    # NumPy loads from here on.
    from metawright.app import space_words

    if not words:
        typer.echo("\n".join(space_words.listed()))
        return
    tree, found = space_words.opened(words[0])
    told = [*space_words.about(words[0]), *space_words.sizes(found)]
    shown = [*space_words.lines(tree), "", *told]
    if sample:
        shown += ["", "A random design:", *space_words.sampled(found, seed)]
    typer.echo("\n".join(shown))
    _draw(tree, told, png, html)


def _draw(tree: "Branch", told: list[str], png: Path | None, html: Path | None) -> None:
    if png is not None:
        from metawright.app.report.png import png as content
        from metawright.app.report.spaces import space_picture

        write_bytes(png, content(space_picture(tree)))
        typer.echo(f"Picture: {png}")
    if html is not None:
        from metawright.app.report.spaces import space_page

        write_text(html, space_page(tree, told))
        typer.echo(f"Page:    {html}")
