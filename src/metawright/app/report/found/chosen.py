"""The section on the chosen design: its network, its cells as graphs, its decisions in words."""

from typing import Any

from metawright.app.report.architecture import architecture
from metawright.app.report.drawing import Picture
from metawright.app.report.flow import flow_of
from metawright.app.report.found.facts import SearchFacts
from metawright.app.report.found.graph import cell_legend, cell_picture
from metawright.app.report.found.words import cells_of, design_parts, in_order
from metawright.app.report.html import definitions, figure, section, text
from metawright.errors import InputError
from metawright.models.architectures import ARCHITECTURES, network_blueprint
from metawright.spaces.design import Design
from metawright.spaces.space import Cell, Record, Space
from metawright.tasks.task import TaskSpec

__all__ = ["cell_pictures", "design_section", "network_picture"]

_HALVES = ("architecture", "training")


def network_picture(facts: SearchFacts) -> Picture | None:
    """The layers of the chosen network; None where the design is no network that is known here."""
    trial, name = facts.best, facts.asked.get("space")
    spec = facts.told.get("spec")
    if trial is None or spec is None or name not in ARCHITECTURES or name == "generator":
        return None
    try:
        spec = TaskSpec.from_json(spec)
        flow = flow_of(network_blueprint(str(name), trial.design, spec), spec)
    except (InputError, KeyError, TypeError):
        return None  # the design is of another version of the space
    titles = ", ".join(layer.title for layer in (*flow.before, *flow.after))
    return architecture(flow, title=f"Architecture: {titles}")


def cell_pictures(facts: SearchFacts) -> list[tuple[str, str, Picture]]:
    """A heading, a caption and a picture for each cell of the chosen design."""
    if facts.best is None:
        return []
    found = []
    for name, cell, nodes in cells_of(facts.space, facts.best.design):
        outputs, words = _outputs(facts, cell)
        file = "cell" if name == "cell" else f"cell-{name.replace(' ', '-')}"
        picture = cell_picture(cell, nodes, name=file, outputs=outputs)
        caption = ". ".join(part for part in (words, cell_legend(cell, nodes)) if part) + "."
        found.append((_heading(name), caption, picture))
    return found


def _heading(name: str) -> str:
    return "The cell" if name in ("cell", "nodes") else f"Cell “{name.replace('_', ' ')}”"


def _outputs(facts: SearchFacts, cell: Cell) -> tuple[list[int], str]:
    """Which nodes a cell gives, and what its nodes are, as far as that is known of the space."""
    own = list(range(cell.inputs, cell.nodes))
    name = facts.asked.get("space")
    if name == "darts":
        return own, (
            "Node 0 is the cell before the last, node 1 the last one; the output is all other "
            "nodes side by side"
        )
    if name == "recurrent":
        return [0, *own], (
            "Node 0 joins input and state, each other one changes the node that it reads, through "
            "a gate; the new state is the mean of all"
        )
    if cell.fan_in is None and cell.inputs == 1:
        return own[-1:], f"Node 0 is the input, node {cell.nodes - 1} the output"
    return [], ""


def design_section(facts: SearchFacts) -> str:
    """The pictures, and all decisions."""
    trial = facts.best
    if trial is None:
        return ""
    network = network_picture(facts)
    cells = "".join(
        figure(picture, caption, heading=heading)
        for heading, caption, picture in cell_pictures(facts)
    )
    words = _decisions(trial.design, facts.space)
    words = f'<div class="text">{cells}{words}</div>'
    drawn = figure(network, "Shapes are those of one example.", heading="The network")
    number = facts.numbers[trial.id]
    head = f'<p class="muted">Number {number} of {len(facts.trials)} trainings.</p>'
    return section("The chosen design", head, f'<div class="two">{drawn}{words}</div>')


def _decisions(design: Design, space: Space | None) -> str:
    """Every decision in words, the architecture apart from the training."""
    fields: Any = space.fields if isinstance(space, Record) else {}
    if not all(isinstance(design.get(half), Design) for half in _HALVES):
        inside = design.get("architecture")
        if len(design) == 1 and isinstance(inside, Design):
            design, space = inside, fields.get("architecture")
        return f"<h3>Decisions</h3>{definitions(design_parts(design, space))}"
    parts = [
        f"<h3>{text(half.capitalize())}</h3>"
        f"{definitions(design_parts(design[half], fields.get(half)))}"
        for half, _ in in_order(design, space)
        if isinstance(design[half], Design)
    ]
    loose = Design({name: v for name, v in design.items() if not isinstance(v, Design)})
    rest = f"<h3>Others</h3>{definitions(design_parts(loose, space))}" if loose else ""
    return "".join(parts) + rest
