"""The classic networks of few-shot learning: four convolution blocks, and a small perceptron.

Both hold plain parameters and are written once, for a stack of weights: `forward_tasks` runs every
task with its own copy (a grouped convolution, a batched matrix product), `forward` is the stack of
one. So a learner may adapt many tasks in one call, and the two paths cannot drift apart.

Normalisation is the fused layer without scale and shift, which are then applied by hand: second
derivatives of the fused affine layer are wrong under `torch.func.vmap` (pytorch/functorch#534).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.models.convolution import convolve, folded
from metawright.models.encoders import sequence_model
from metawright.models.normalisation import normalise, observed
from metawright.params import Params, params_of
from metawright.tasks.task import TaskSpec

__all__ = [
    "MLP",
    "ConvNet",
    "Head",
    "LinearHead",
    "Reduction",
    "Statistics",
    "TaskBatched",
    "backbone",
    "fitting_blocks",
]

Statistics = Literal["batch", "running"]
Reduction = Literal["stride", "pool"]
Head = Literal["flat", "mean"]
_EPSILON = 1e-5
_MOMENTUM = 0.1
_FEW = 4  # channels of an image whose patches are few enough for `folded`


@runtime_checkable
class TaskBatched(Protocol):
    """A model that can run many tasks at once, each with its own weights."""

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Outputs (tasks, examples, outputs) of `params`, each of shape (tasks, *shape), on
        `x` of shape (tasks, examples, *features)."""
        ...


@runtime_checkable
class LinearHead(Protocol):
    """A `TaskBatched` model that ends in a matrix and a bias, with as many outputs as they have
    rows: with the rows of several heads, all of them run on features computed once."""

    @property
    def linear_head(self) -> tuple[str, str]:
        """Names of the matrix (outputs, features) and of the bias (outputs,)."""
        ...


class ConvNet(nn.Module):
    """Blocks of 3x3 convolution, batch normalisation, ReLU and halving of the sides; then a head.

    With `reduction="pool"` the block ends in 2x2 max pooling (Vinyals et al., Snell et al.), with
    `"stride"` the convolution itself has stride 2 (Finn et al. on Omniglot), a quarter
    of the work.

    Arguments:
        channels: channels of the input.
        size: (height, width) of the input.
        outputs: width of the linear head; 0 gives the features themselves.
        rng: draws the first weights.
        filters: channels of every block.
        blocks: number of blocks; every one halves the sides.
        reduction: how a block halves.
        head: the head sees all positions ("flat") or their mean ("mean", as Finn et al.).
        statistics: "batch" normalises with the batch at hand, always, and keeps no buffers: what
            models need whose weights are adapted. "running" does so in training mode only and
            keeps running statistics, which evaluation mode uses.

    References:
        Matching Networks for One Shot Learning, Vinyals et al., 2016,
        https://arxiv.org/abs/1606.04080

    Example:
        >>> import torch
        >>> from metawright.models.backbones import ConvNet
        >>> from metawright.rng import stream
        >>> net = ConvNet(1, (28, 28), 5, rng=stream(0, "doc"), filters=8)
        >>> net(torch.zeros(3, 1, 28, 28)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        *,
        rng: torch.Generator,
        filters: int = 64,
        blocks: int = 4,
        reduction: Reduction = "stride",
        head: Head = "flat",
        statistics: Statistics = "batch",
    ) -> None:
        super().__init__()
        sides = _sides(size, blocks, reduction)
        self.reduction: Reduction = reduction
        self.head: Head = head
        self.blocks, self.filters = blocks, filters
        self.running = statistics == "running"
        for block in range(blocks):
            inputs = channels if block == 0 else filters
            weight = torch.empty(filters, inputs, 3, 3)
            nn.init.xavier_uniform_(weight, generator=rng)
            self.register_parameter(f"conv{block}", nn.Parameter(weight))
            self.register_parameter(f"scale{block}", nn.Parameter(torch.ones(filters)))
            self.register_parameter(f"shift{block}", nn.Parameter(torch.zeros(filters)))
            if self.running:
                self.register_buffer(f"mean{block}", torch.zeros(filters))
                self.register_buffer(f"variance{block}", torch.ones(filters))
        self.features = filters * (math.prod(sides) if head == "flat" else 1)
        self.outputs = outputs
        if outputs:
            weight = torch.empty(outputs, self.features)
            nn.init.xavier_uniform_(weight, generator=rng)
            self.weight = nn.Parameter(weight)
            self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, height, width) to (examples, outputs or features)."""
        stack = {name: value[None] for name, value in params_of(self).items()}
        return self.forward_tasks(stack, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        tasks, examples = x.shape[:2]
        if tasks > 1 and self.running:
            raise ValueError("Running statistics belong to one task: statistics must be 'batch'.")
        stride = 2 if self.reduction == "stride" else 1
        for block in range(self.blocks):
            if block == 0:
                x = self._first(params, x, stride)
            else:
                x = convolve(x, _side_by_side(params[f"conv{block}"]), stride=stride, groups=tasks)
                x = self._normalise(x, params, block)
            # Pooling first gives the same as ReLU first, with a quarter of the work for ReLU.
            x = functional.max_pool2d(x, 2) if self.reduction == "pool" else x
            x = functional.relu(x)
        x = x.reshape(examples, tasks, -1, *x.shape[2:]).transpose(0, 1)
        x = x.mean((3, 4)) if self.head == "mean" else x.flatten(2)
        return _affine(x, params["weight"], params["bias"]) if self.outputs else x

    @property
    def linear_head(self) -> tuple[str, str]:
        """See `LinearHead`."""
        return "weight", "bias"

    def _first(self, params: Params, x: Tensor, stride: int) -> Tensor:
        """The first block up to its normalisation: (tasks, examples, channels, height, width) to
        (examples, tasks * filters, ...)."""
        weight = params["conv0"]
        if self.running or observed() or x.shape[2] > _FEW:
            x = x.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
            x = convolve(x, _side_by_side(weight), stride=stride, groups=len(weight))
            return self._normalise(x, params, 0)
        x = folded(x, weight, params["scale0"], params["shift0"], stride=stride)
        return x.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)

    @property
    def normalised(self) -> tuple[int, ...]:
        """Channels of the normalisations that follow a policy: see `Normalised`."""
        return () if self.running else (self.filters,) * self.blocks

    def _normalise(self, x: Tensor, params: Params, block: int) -> Tensor:
        scale, shift = params[f"scale{block}"].flatten(), params[f"shift{block}"].flatten()
        if not self.running:
            return normalise(x, self, block) * scale[:, None, None] + shift[:, None, None]
        mean, variance = self.get_buffer(f"mean{block}"), self.get_buffer(f"variance{block}")
        # Never adapted and never under vmap, so the fused layer is right here, and faster.
        return _batch_norm(x, scale, shift, mean, variance, training=self.training)


class MLP(nn.Module):
    """A perceptron with ReLU layers, for the regression tasks of Finn et al. (1-40-40-1).

    Arguments:
        inputs: entries of one example, which is flattened.
        outputs: width of the output.
        rng: draws the first weights: normal, variance one over the inputs of the layer.
        hidden: widths of the hidden layers.

    References:
        Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, Finn et al., 2017,
        https://arxiv.org/abs/1703.03400
    """

    def __init__(
        self, inputs: int, outputs: int, *, rng: torch.Generator, hidden: Sequence[int] = (40, 40)
    ) -> None:
        super().__init__()
        widths = (inputs, *hidden, outputs)
        self.layers = len(widths) - 1
        for layer, (before, after) in enumerate(pairwise(widths)):
            weight = torch.randn(after, before, generator=rng) / math.sqrt(before)
            self.register_parameter(f"weight{layer}", nn.Parameter(weight))
            self.register_parameter(f"bias{layer}", nn.Parameter(torch.zeros(after)))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, *features) to (examples, outputs)."""
        stack = {name: value[None] for name, value in params_of(self).items()}
        return self.forward_tasks(stack, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        x = x.flatten(2)
        for layer in range(self.layers):
            x = _affine(x, params[f"weight{layer}"], params[f"bias{layer}"])
            x = functional.relu(x) if layer < self.layers - 1 else x
        return x

    @property
    def linear_head(self) -> tuple[str, str]:
        """See `LinearHead`."""
        return f"weight{self.layers - 1}", f"bias{self.layers - 1}"


def _batch_norm(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    *,
    training: bool,
) -> Tensor:
    # The function of torch, not that of torch.nn.functional: for one value per channel (a single
    # example at 1x1) it gives zero where the other raises.
    cudnn = torch.backends.cudnn.enabled
    return torch.batch_norm(x, scale, shift, mean, variance, training, _MOMENTUM, _EPSILON, cudnn)


def backbone(spec: TaskSpec, rng: torch.Generator, *, head: Head = "flat") -> nn.Module:
    """The papers' network for tasks of `spec`, to be adapted: stride-2 blocks of 64 filters for
    images (four at 28x28, fewer where an image is too small to be halved so often), the encoders
    of `models.encoders` for texts and signals, two hidden layers of 40 for everything else."""
    sequences = sequence_model(spec, spec.outputs, rng)
    if sequences is not None:
        return sequences
    if len(spec.features) != 3:
        return MLP(math.prod(spec.features), spec.outputs, rng=rng)
    channels, height, width = spec.features
    return ConvNet(
        channels,
        (height, width),
        spec.outputs,
        rng=rng,
        blocks=fitting_blocks((height, width)),
        head=head,
    )


def fitting_blocks(size: tuple[int, int], most: int = 4) -> int:
    """How many halvings an image of `size` bears, at most `most`."""
    return max(1, min(most, int(math.log2(min(size)))))


def _side_by_side(weight: Tensor) -> Tensor:
    """Kernels (tasks, filters, channels, 3, 3) as those of one grouped convolution.

    Channels come last in memory, which is faster on CPUs and which what follows takes over from
    the kernels; by permutation, because vmap knows no `memory_format`.
    """
    return weight.permute(0, 1, 3, 4, 2).contiguous().flatten(0, 1).permute(0, 3, 1, 2)


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(tasks, examples, inputs) by (tasks, outputs, inputs), plus biases (tasks, outputs)."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _sides(size: tuple[int, int], blocks: int, reduction: Reduction) -> tuple[int, int]:
    """Height and width after the last block."""
    for _ in range(blocks):
        size = tuple((side + 1) // 2 if reduction == "stride" else side // 2 for side in size)  # type: ignore[assignment]
    if min(size) < 1:
        raise ValueError(f"The input must survive {blocks} halvings, but shrinks to {size}.")
    return size
