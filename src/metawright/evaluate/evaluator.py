"""What a search asks for a design's worth: a function from a design to an `Evaluation`.

An evaluator holds all that it needs (data, space, budget of a training) and can be sent to another
process; it keeps no memory of the designs that it saw. `metawright.evaluate.supervised` trains
networks and pipelines; tables of measured architectures are evaluators too.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from metawright.errors import InputError
from metawright.params import Params
from metawright.spaces.design import Design
from metawright.spaces.space import Space

__all__ = ["Evaluation", "Evaluator", "check_fidelity"]


class Evaluation(NamedTuple):
    """What came of trying a design; `Trial` holds the same under the same names.

    `scores`: quality by name, higher is better but for errors ("accuracy", "log_loss", "r2" ...).
    `cost`: price by name: "parameters", "flops" and "latency" of predicting one example, "bytes"
    of the weights, "energy" in joules, "seconds" of trying.
    `evidence`: plain JSON that explains the scores ("fidelity", "curve", "epochs" ...).
    `params`: trained weights by name; None where there are none to keep.
    """

    scores: Mapping[str, float]
    cost: Mapping[str, float]
    evidence: Mapping[str, Any]
    params: Params | None = None


class Evaluator(Protocol):
    """Anything that can judge the designs of its space; must be picklable."""

    @property
    def space(self) -> Space:
        """Of the designs that it can judge."""
        ...

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """The worth of `design`, tried at a share `fidelity` (0..1) of the full effort; the same
        seed gives the same scores.

        Raises:
            MetawrightError: the design could not be judged, such as a training that diverged.
        """
        ...


def check_fidelity(fidelity: float) -> float:
    """`fidelity`, if it is a share.

    Raises:
        InputError: it is not above 0 and at most 1.
    """
    if not 0 < fidelity <= 1:
        raise InputError(f"`0 < fidelity <= 1` must hold, but got (fidelity={fidelity}).")
    return fidelity
