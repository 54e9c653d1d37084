"""A recurrent policy over the decisions of a space: how likely it takes which design.

It reads the decisions one after the other, as they were taken, and gives the chances of the next
one. It is a function of its parameters, which are plain tensors by name, so that whoever trains it
(`reinforce.py`, `ppo.py`, or something that has tasks to condition it on) keeps them as a value.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metawright.params import Params
from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Integer, Scalar, from_unit, size, to_unit
from metawright.spaces.points import read, write
from metawright.spaces.space import Point, Space

__all__ = ["Policy"]

# The number that stands for a decision that is not in play.
_NONE = -1


class Policy:
    """An LSTM whose input is the option taken last and whose outputs are the chances of the next.

    A number is one of `bins` parts of its scale, all equally wide, and uniform within it; an
    integer of no more values is a choice. Decisions that are not in play are passed over.

    Arguments:
        space: a space of designs.
        bins: parts of a number's scale.
        width: units of the recurrent layer.

    References:
        Neural Architecture Search with Reinforcement Learning, Zoph and Le, 2017,
        https://arxiv.org/abs/1611.01578
        Efficient Neural Architecture Search via Parameter Sharing, Pham, Guan, Zoph, Le and Dean,
        2018, https://arxiv.org/abs/1802.03268
    """

    def __init__(self, space: Space, *, bins: int = 8, width: int = 32) -> None:
        self.space = space
        self.bins = bins
        self.width = width
        self._flat = decisions(space)
        sizes = [self._options(decision) for decision in self._flat]
        self._first = [sum(sizes[:at]) for at in range(len(sizes) + 1)]

    def parameters(self, rng: torch.Generator) -> Params:
        """New parameters; all options are about equally likely under them.

        - `inputs`: (options of all decisions + 1, width), what was taken last; the last row is
          what stands before the first decision;
        - `cell.*`: of the recurrent cell;
        - `outputs`, `bias`: (options, width) and (options,), the logits.
        """
        options, wide = self._first[-1], self.width
        shapes = {
            "inputs": (options + 1, wide),
            "cell.input": (4 * wide, wide),
            "cell.hidden": (4 * wide, wide),
            "cell.bias": (4 * wide,),
            "outputs": (options, wide),
            "bias": (options,),
        }
        return {
            # Small numbers, as in ENAS.
            name: 0.2 * torch.rand(shape, generator=rng, device=rng.device) - 0.1
            for name, shape in shapes.items()
        }

    def sample(self, params: Params, rng: torch.Generator) -> Design:
        """A design drawn from the policy."""
        values: list[Scalar] = []
        hidden = self._begin(1)
        last = torch.tensor([self._first[-1]])
        with torch.no_grad():
            for at, decision in enumerate(self._flat):
                if not active(decision, values):
                    values.append(None)
                    continue
                hidden = self._step(params, last, hidden)
                chances = self._log_chances(params, at, hidden[0]).exp()
                taken = torch.multinomial(chances, 1, generator=rng)[0]
                last = taken + self._first[at]
                within = float(torch.rand((), generator=rng, dtype=torch.float64))
                values.append(self._value(decision, int(taken), within))
        return read(self.space, tuple(values))

    def numbers(self, designs: Sequence[Design]) -> Tensor:
        """(designs, decisions): the number of each decision's option, -1 where not in play."""
        points = [write(self.space, design) for design in designs]
        rows = [[self._number(at, point) for at in range(len(self._flat))] for point in points]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(self._flat))

    def judge(self, params: Params, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """How likely the policy takes designs, and how undecided it is on the way.

        Arguments:
            params: of the policy.
            numbers: (designs, decisions), from `numbers`.

        Returns:
            log_probabilities: (designs,), summed over the decisions in play.
            entropies: (designs,), likewise.
        """
        count = len(numbers)
        log_probabilities = entropies = params["bias"].new_zeros(count)
        hidden = self._begin(count)
        last = torch.full((count,), self._first[-1])
        for at in range(len(self._flat)):
            playing = numbers[:, at] != _NONE
            if not bool(playing.any()):
                continue
            stepped = self._step(params, last, hidden)
            hidden = (
                torch.where(playing[:, None], stepped[0], hidden[0]),
                torch.where(playing[:, None], stepped[1], hidden[1]),
            )
            log_chances = self._log_chances(params, at, hidden[0])
            taken = numbers[:, at].clamp(min=0)
            chosen = log_chances.gather(1, taken[:, None])[:, 0]
            spread = -(log_chances.exp() * log_chances).sum(1)
            log_probabilities = log_probabilities + torch.where(playing, chosen, 0.0)
            entropies = entropies + torch.where(playing, spread, 0.0)
            last = torch.where(playing, taken + self._first[at], last)
        return log_probabilities, entropies

    def _begin(self, count: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(count, self.width), torch.zeros(count, self.width)

    def _step(
        self, params: Params, last: Tensor, hidden: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        gates = (
            params["inputs"][last] @ params["cell.input"].T
            + hidden[0] @ params["cell.hidden"].T
            + params["cell.bias"]
        )
        entry, forget, new, leave = gates.chunk(4, dim=1)
        memory = forget.sigmoid() * hidden[1] + entry.sigmoid() * new.tanh()
        return leave.sigmoid() * memory.tanh(), memory

    def _log_chances(self, params: Params, at: int, hidden: Tensor) -> Tensor:
        """(designs, options) of decision `at`."""
        part = slice(self._first[at], self._first[at + 1])
        logits: Tensor = hidden @ params["outputs"][part].T + params["bias"][part]
        return logits.log_softmax(1)

    def _options(self, decision: Decision) -> int:
        domain = decision.domain
        values = size(domain)
        return int(values) if isinstance(domain, Choice) else int(min(values, self.bins))

    def _value(self, decision: Decision, number: int, within: float) -> Scalar:
        """The option's value; a number lies at `within` (0..1) of its part of the scale."""
        domain = decision.domain
        if isinstance(domain, Choice):
            return domain.options[number]
        if isinstance(domain, Integer) and size(domain) <= self.bins:
            return domain.low + number
        return from_unit(domain, (number + within) / self._options(decision))

    def _number(self, at: int, point: Point) -> int:
        decision, value = self._flat[at], point[at]
        domain = decision.domain
        if not active(decision, point):
            return _NONE
        if isinstance(domain, Choice):
            return domain.options.index(value)
        assert isinstance(value, int | float)
        if isinstance(domain, Integer) and size(domain) <= self.bins:
            return int(value) - domain.low
        options = self._options(decision)
        return min(int(to_unit(domain, value) * options), options - 1)
