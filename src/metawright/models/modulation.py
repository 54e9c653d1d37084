"""Networks with a place for what is special about a task: a context vector, or a scale and shift.

Both leave the network of `models.backbones` as it is and change its parameters on the way in, so
they run a stack of tasks wherever it does, with the same normalisation and the same second
derivatives. A scale and shift of channels (FiLM) folds into the parameters exactly:
$s (W x + b) + t = (s W) x + (s b + t)$ for a linear layer, and the same for the scale and shift
that follow a normalisation.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from metawright.models.backbones import MLP, ConvNet, backbone
from metawright.params import Params, params_of
from metawright.tasks.task import TaskSpec

__all__ = [
    "ContextFiLM",
    "ContextInput",
    "FiLM",
    "context_network",
    "film_network",
    "modulate",
    "sites",
]

_NET = "net."


class ContextInput(nn.Module):
    """A perceptron that gets a context vector beside every example.

    Arguments:
        net: takes the entries of an example and then those of the context.
        context: entries of the context, which starts at zero: the parameter `context`.

    References:
        Fast Context Adaptation via Meta-Learning, Zintgraf et al., 2019,
        https://arxiv.org/abs/1810.03642 (section 3; 40-40 hidden units and 5 context parameters
        for waves).

    Example:
        >>> import torch
        >>> from metawright.models.backbones import MLP
        >>> from metawright.models.modulation import ContextInput
        >>> from metawright.rng import stream
        >>> net = ContextInput(MLP(1 + 5, 1, rng=stream(0, "doc")), 5)
        >>> net(torch.zeros(3, 1)).shape, tuple(net.context.shape)
        (torch.Size([3, 1]), (5,))
    """

    def __init__(self, net: MLP, context: int) -> None:
        super().__init__()
        width = net.get_parameter("weight0").shape[1]
        if not 0 < context < width:
            raise ValueError(
                "`0 < context` must hold and the network must take the example and the context, "
                f"but it takes {width} entries and the context has {context}."
            )
        self.context = nn.Parameter(torch.zeros(context))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(examples, *features) to (examples, outputs)."""
        return self.forward_tasks(_stack_of_one(self), x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        x = x.flatten(2)
        context = params["context"].to(x).unsqueeze(1).expand(-1, x.shape[1], -1)
        return self.net.forward_tasks(_inner(params), torch.cat([x, context], 2))


class ContextFiLM(nn.Module):
    r"""A network whose channels a context vector scales and shifts.

    At every site the scale is $1 + A c$ and the shift $B c$, with the context $c$ and matrices
    $A$, $B$ that all tasks share. The context starts at zero, where the network is the plain one;
    the authors' layer has biases of its own instead, which the network's own scale and shift make
    superfluous here.

    Arguments:
        net: the network; its channels after each block or hidden layer are the sites.
        context: entries of the context: the parameter `context`.
        rng: draws the matrices: normal, variance one over the entries of the context.
        at: numbers of the sites; None for all. The authors' code uses the third of four.

    References:
        Fast Context Adaptation via Meta-Learning, Zintgraf et al., 2019,
        https://arxiv.org/abs/1810.03642
    """

    def __init__(
        self,
        net: MLP | ConvNet,
        context: int,
        *,
        rng: torch.Generator,
        at: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if context < 1:
            raise ValueError(f"`context >= 1` must hold, but got {context}.")
        widths = sites(net)
        self.at = tuple(range(len(widths)) if at is None else at)
        if not self.at or not set(self.at) <= set(range(len(widths))):
            raise ValueError(
                f"`at` must name sites of 0..{len(widths) - 1}, but got {list(self.at)}."
            )
        self.context = nn.Parameter(torch.zeros(context))
        for site in self.at:
            for part in ("scale", "shift"):
                weight = torch.randn(widths[site], context, generator=rng) / math.sqrt(context)
                self.register_parameter(f"to_{part}{site}", nn.Parameter(weight))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(examples, *features) to (examples, outputs)."""
        return self.forward_tasks(_stack_of_one(self), x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        context = params["context"].to(params[f"to_scale{self.at[0]}"]).unsqueeze(2)
        scales = {s: 1 + (params[f"to_scale{s}"] @ context).squeeze(2) for s in self.at}
        shifts = {s: (params[f"to_shift{s}"] @ context).squeeze(2) for s in self.at}
        return self.net.forward_tasks(modulate(self.net, _inner(params), scales, shifts), x)


class FiLM(nn.Module):
    """A network with a scale and a shift of its own for every channel, one and zero at first.

    They are the parameters `modulation.scale0`, `modulation.shift0` and so on: a task that adapts
    them alone moves every channel, and no filter.

    Arguments:
        net: the network; its channels after each block or hidden layer are scaled and shifted.

    References:
        FiLM: Visual Reasoning with a General Conditioning Layer, Perez et al., 2018,
        https://arxiv.org/abs/1709.07871 (there a network computes them; here they are parameters,
        as in FiT: Parameter Efficient Few-shot Transfer Learning, Shysheya et al., 2023,
        https://arxiv.org/abs/2206.08671).
    """

    def __init__(self, net: MLP | ConvNet) -> None:
        super().__init__()
        widths = sites(net)
        values = {f"scale{site}": torch.ones(width) for site, width in enumerate(widths)}
        values |= {f"shift{site}": torch.zeros(width) for site, width in enumerate(widths)}
        self.modulation = nn.ParameterDict(values)
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(examples, *features) to (examples, outputs)."""
        return self.forward_tasks(_stack_of_one(self), x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        numbers = range(len(self.modulation) // 2)
        scales = {site: params[f"modulation.scale{site}"] for site in numbers}
        shifts = {site: params[f"modulation.shift{site}"] for site in numbers}
        return self.net.forward_tasks(modulate(self.net, _inner(params), scales, shifts), x)


def sites(net: MLP | ConvNet) -> tuple[int, ...]:
    """Channels at each place that can be scaled and shifted: hidden layers, or blocks."""
    own = params_of(net)
    name = "bias" if isinstance(net, MLP) else "scale"
    return tuple(len(own[f"{name}{site}"]) for site in range(_sites(net)))


def modulate(
    net: MLP | ConvNet,
    params: Params,
    scales: Mapping[int, Tensor],
    shifts: Mapping[int, Tensor],
) -> Params:
    """Parameters with which `net` scales and then shifts its channels before each ReLU.

    Arguments:
        net: which network they belong to.
        params: its parameters for a stack of tasks, each (tasks, *shape).
        scales: by number of the site, (tasks, channels).
        shifts: for the same sites.
    """
    changed = dict(params)
    for site, scale in scales.items():
        if isinstance(net, MLP):
            changed[f"weight{site}"] = params[f"weight{site}"] * scale.unsqueeze(-1)
            shift = f"bias{site}"
        else:
            changed[f"scale{site}"] = params[f"scale{site}"] * scale
            shift = f"shift{site}"
        changed[shift] = params[shift] * scale + shifts[site]
    return changed


def context_network(spec: TaskSpec, rng: torch.Generator) -> ContextInput | ContextFiLM:
    """The papers' backbone for tasks of `spec` with a context, as CAVIA has it: for images 100
    entries that scale and shift the channels, for everything else 5 beside the input.

    Raises:
        ValueError: the tasks are texts, whose tokens nothing can be put beside.
    """
    if spec.vocabulary:
        raise ValueError("A context must stand beside numbers, but the examples are tokens.")
    if len(spec.features) == 3:
        return ContextFiLM(_modulable(backbone(spec, rng, head="mean")), 100, rng=rng)
    return ContextInput(MLP(math.prod(spec.features) + 5, spec.outputs, rng=rng), 5)


def film_network(spec: TaskSpec, rng: torch.Generator) -> FiLM:
    """The papers' backbone for tasks of `spec` with a scale and shift for every channel."""
    return FiLM(_modulable(backbone(spec, rng, head="mean")))


def _modulable(net: nn.Module) -> MLP | ConvNet:
    if not isinstance(net, MLP | ConvNet):
        raise ValueError(
            "Only the backbones of images and of plain numbers are modulated, but that of these "
            f"tasks is {type(net).__name__}."
        )
    return net


def _sites(net: MLP | ConvNet) -> int:
    return net.layers - 1 if isinstance(net, MLP) else net.blocks


def _stack_of_one(module: nn.Module) -> Params:
    return {name: value[None] for name, value in params_of(module).items()}


def _inner(params: Params) -> Params:
    """The parameters of the network inside."""
    return {n.removeprefix(_NET): value for n, value in params.items() if n.startswith(_NET)}
