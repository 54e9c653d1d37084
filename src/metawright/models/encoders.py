"""Small networks for texts and for signals, made to be adapted or to be nearest-mean encoders.

As the networks of `models.backbones` they hold plain parameters and are written once, for a stack
of weights: `forward_tasks` runs every task with its own copy, `forward` is the stack of one. They
keep no running statistics, and normalisation has no fused scale and shift, whose second
derivatives are wrong under `torch.func.vmap` (pytorch/functorch#534).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.models.normalisation import normalise
from metawright.params import Params, params_of
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["NormalisedOver", "SignalEncoder", "TextEncoder", "sequence_model"]

NormalisedOver = Literal["batch", "example"]

_EPSILON = 1e-5
_KERNEL = 5  # steps: 50 ms of a spectrogram in the first block, about one sound of speech


class TextEncoder(nn.Module):
    r"""Token embeddings, maybe mixed with their neighbours, and their weighted mean.

    With $e_t$ the embedding of token $t$, $n_t$ those of it and its two neighbours side by side,
    and a learned weight $a_t > 0$ of each token (at first 1, so that the mean is a plain one):

    $$f = s \frac{\sum_t a_t h_t}{|\sum_t a_t h_t|}, \quad h_t = e_t + \mathrm{relu}(M n_t)$$

    Padding has no part in it. Embeddings are drawn independently, so that untrained features are a
    random projection of the counts of tokens, and training starts from what counting knows.

    Arguments:
        vocabulary: how many token ids there are; 0 is padding.
        outputs: width of the linear head; 0 gives the features themselves.
        rng: draws the first weights.
        width: entries of an embedding, and of the features.
        layers: how often neighbours are mixed. 0, the default, takes $h_t = e_t$: tokens of three
            letters already hold their order, and on CLINC150 mixing made it five times slower and,
            after the same seconds, four points worse.

    Example:
        >>> import torch
        >>> from metawright.models.encoders import TextEncoder
        >>> from metawright.rng import stream
        >>> net = TextEncoder(100, 5, rng=stream(0, "doc"), width=8)
        >>> net(torch.tensor([[7, 3, 0], [9, 0, 0]])).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        vocabulary: int,
        outputs: int,
        *,
        rng: torch.Generator,
        width: int = 256,
        layers: int = 0,
    ) -> None:
        super().__init__()
        if vocabulary < 2 or width < 1 or layers < 0:
            raise ValueError(
                "`vocabulary >= 2`, `width >= 1` and `layers >= 0` must hold, but got "
                f"(vocabulary={vocabulary}, width={width}, layers={layers})."
            )
        self.layers, self.outputs, self.features = layers, outputs, width
        self.embedding = nn.Parameter(torch.randn(vocabulary, width, generator=rng))
        self.importance = nn.Parameter(torch.zeros(vocabulary, 1))
        for layer in range(layers):
            # A tenth of the usual size: at first the embeddings themselves decide.
            mix = 0.1 * torch.randn(width, 3 * width, generator=rng) / math.sqrt(3 * width)
            self.register_parameter(f"mix{layer}", nn.Parameter(mix))
        # Squared distances between features are then up to 40: neither flat nor hard at first.
        self.scale = nn.Parameter(torch.tensor(math.sqrt(10.0)))
        _add_head(self, width, outputs, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, tokens) int64 to (examples, outputs or features)."""
        stack = {name: value[None] for name, value in params_of(self).items()}
        return self.forward_tasks(stack, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        present = (x != 0).unsqueeze(-1).to(params["embedding"].dtype)
        hidden = _look_up(params["embedding"], x) * present
        for layer in range(self.layers):
            hidden = hidden + functional.relu(_near(hidden, params[f"mix{layer}"])) * present
        weights = _look_up(params["importance"], x).exp() * present
        total = (hidden * weights).sum(2) / weights.sum(2).clamp(min=_EPSILON)
        # Not `functional.normalize`: its derivative has a kink where a text is empty.
        length = (total.square().sum(-1, keepdim=True) + _EPSILON).rsqrt()
        features = total * length * params["scale"].reshape(-1, 1, 1)
        return _head(features, params) if self.outputs else features


class SignalEncoder(nn.Module):
    """Blocks of convolution over time with stride 2, normalisation and ReLU; then the mean over
    time, and a head.

    Arguments:
        shape: (bands, steps) of the input: a log-mel spectrogram, or (channels, samples) of a raw
            window.
        outputs: width of the linear head; 0 gives the features themselves.
        rng: draws the first weights.
        filters: channels of every block.
        blocks: number of blocks; default as many as leave four steps or more, at most ten.
        over: "batch" normalises each channel over the examples at hand (by the policy that is in
            force, see `models.normalisation`): without it MAML does not leave its first plateau.
            "example" normalises each example by itself, so that one is encoded as a thousand are:
            what a nearest-mean encoder needs.

    Example:
        >>> import torch
        >>> from metawright.models.encoders import SignalEncoder
        >>> from metawright.rng import stream
        >>> net = SignalEncoder((40, 100), 5, rng=stream(0, "doc"), filters=8)
        >>> net(torch.zeros(3, 40, 100)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        shape: tuple[int, int],
        outputs: int,
        *,
        rng: torch.Generator,
        filters: int = 64,
        blocks: int | None = None,
        over: NormalisedOver = "batch",
    ) -> None:
        super().__init__()
        bands, steps = shape
        if blocks is None:
            blocks = max(1, min(10, int(math.log2(max(steps, 1) / 4)) if steps >= 4 else 1))
        if bands < 1 or steps < 1 or filters < 1 or blocks < 1:
            raise ValueError(
                "Positive `shape`, `filters` and `blocks` must hold, but got "
                f"(shape={shape}, filters={filters}, blocks={blocks})."
            )
        self.blocks, self.outputs, self.features = blocks, outputs, filters
        self.over: NormalisedOver = over
        for block in range(blocks):
            weight = torch.empty(filters, bands if block == 0 else filters, _KERNEL)
            nn.init.xavier_uniform_(weight, generator=rng)
            self.register_parameter(f"conv{block}", nn.Parameter(weight))
            self.register_parameter(f"scale{block}", nn.Parameter(torch.ones(filters)))
            self.register_parameter(f"shift{block}", nn.Parameter(torch.zeros(filters)))
        _add_head(self, filters, outputs, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, bands, steps) to (examples, outputs or features)."""
        stack = {name: value[None] for name, value in params_of(self).items()}
        return self.forward_tasks(stack, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own weights: see `TaskBatched`."""
        tasks, examples = x.shape[:2]
        # Tasks lie side by side as channels: one grouped convolution serves them all, and a group
        # of channels is one task's example.
        x = x.transpose(0, 1).reshape(examples, -1, x.shape[-1])
        for block in range(self.blocks):
            weight = params[f"conv{block}"].flatten(0, 1)
            x = functional.conv1d(x, weight, stride=2, padding=_KERNEL // 2, groups=tasks)
            if self.over == "batch":
                x = normalise(x, self, block)
            else:
                x = functional.group_norm(x, tasks, eps=_EPSILON)
            scale, shift = params[f"scale{block}"].flatten(), params[f"shift{block}"].flatten()
            x = functional.relu(x * scale[:, None] + shift[:, None])
        features = x.mean(2).reshape(examples, tasks, -1).transpose(0, 1)
        return _head(features, params) if self.outputs else features

    @property
    def normalised(self) -> tuple[int, ...]:
        """Channels of the normalisations that follow a policy: see `Normalised`."""
        return (self.features,) * self.blocks if self.over == "batch" else ()


def sequence_model(spec: TaskSpec, outputs: int, rng: torch.Generator) -> nn.Module | None:
    """The network for tasks of `spec` where they are texts or signals; None for other inputs.

    Arguments:
        outputs: width of the linear head; 0 for an encoder, which sees every example by itself.
    """
    if spec.vocabulary:
        return TextEncoder(spec.vocabulary, outputs, rng=rng)
    if len(spec.features) == 2 and spec.kind is not Kind.CONTROL:
        bands, steps = spec.features
        over: NormalisedOver = "batch" if outputs else "example"
        return SignalEncoder((bands, steps), outputs, rng=rng, over=over)
    return None


def _look_up(table: Tensor, ids: Tensor) -> Tensor:
    """Rows of each task's own table: (tasks, vocabulary, width) and (tasks, ...) to
    (tasks, ..., width)."""
    tasks, vocabulary = table.shape[:2]
    first = torch.arange(tasks, device=ids.device).reshape(-1, *(1 for _ in ids.shape[1:]))
    return functional.embedding(ids + vocabulary * first, table.flatten(0, 1))


def _near(hidden: Tensor, mix: Tensor) -> Tensor:
    """A convolution over three tokens as one product: (tasks, examples, tokens, width) by
    (tasks, width, 3 * width)."""
    padded = functional.pad(hidden, (0, 0, 1, 1))
    tokens = hidden.shape[2]
    near = torch.cat([padded[:, :, start : start + tokens] for start in range(3)], -1)
    product = torch.bmm(near.flatten(1, 2), mix.transpose(1, 2))
    return product.reshape(*hidden.shape[:3], -1)


def _add_head(model: nn.Module, features: int, outputs: int, rng: torch.Generator) -> None:
    if outputs:
        weight = torch.empty(outputs, features)
        nn.init.xavier_uniform_(weight, generator=rng)
        model.register_parameter("weight", nn.Parameter(weight))
        model.register_parameter("bias", nn.Parameter(torch.zeros(outputs)))


def _head(features: Tensor, params: Params) -> Tensor:
    """(tasks, examples, features) to (tasks, examples, outputs)."""
    bias = params["bias"].unsqueeze(1)
    return torch.baddbmm(bias, features, params["weight"].transpose(1, 2))
