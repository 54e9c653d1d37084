"""The jobs of `meta_speed`: network, tasks and settings of one cell of its tables."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metawright.models.backbones import MLP, ConvNet
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

__all__ = ["Cell", "PlainConvNet", "plain_net"]

WAYS = 5


@dataclass(frozen=True)
class Cell:
    """One job.

    Arguments:
        job: "a": 40-40 perceptron on 10-shot sinusoids; "b": four pooled blocks, 28x28 images,
            5-way 1-shot with 15 queries a class; "c": four blocks of stride 2 (Finn et al.'s
            Omniglot network), 5-way 1-shot with one query a class.
        filters: of a block; 0 for the perceptron.
        steps: inner steps.
        second_order: whether the derivative goes through them.
        tasks: tasks of a batch.
    """

    job: str
    filters: int
    steps: int
    second_order: bool
    tasks: int

    @property
    def name(self) -> str:
        """Such as "b64, 5 steps, first order"."""
        size = str(self.filters) if self.filters else ""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.job}{size}, {steps}, {'second' if self.second_order else 'first'} order"

    @property
    def group(self) -> str:
        """Cells of one group differ in steps and order alone."""
        return f"{self.job}{self.filters or ''}"

    @property
    def inner_lr(self) -> float:
        """That of the paper: 0.01 for sinusoids, 0.4 for one step on images, else 0.1."""
        if self.job == "a":
            return 0.01
        return 0.4 if self.steps == 1 else 0.1

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `Cell(**fields)` is the cell again."""
        return asdict(self)

    def net(self, dtype: torch.dtype) -> MLP | ConvNet:
        """metawright's network, with the weights that all contenders begin with."""
        rng = stream(0, "meta_speed", self.group)
        if self.job == "a":
            return MLP(1, 1, rng=rng).to(dtype)
        pooled = self.job == "b"
        net = ConvNet(
            1,
            (28, 28),
            WAYS,
            rng=rng,
            filters=self.filters,
            reduction="pool" if pooled else "stride",
            head="flat" if pooled else "mean",
        )
        return net.to(dtype)

    def draw(self, dtype: torch.dtype) -> list[Task]:
        """The tasks, of random numbers: speed does not depend on what they show."""
        rng = stream(0, "meta_speed tasks", self.job)
        if self.job == "a":
            spec = TaskSpec(Kind.REGRESSION, (1,), 1)
            drawn = [torch.rand(20, 1, generator=rng) * 10 - 5 for _ in range(self.tasks)]
            waves = [Batch(x.to(dtype), torch.sin(x).to(dtype)) for x in drawn]
            return [
                Task(Batch(w.x[:10], w.labels[:10]), Batch(w.x[10:], w.labels[10:]), spec)
                for w in waves
            ]
        spec = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), WAYS)
        queries = WAYS * (15 if self.job == "b" else 1)
        return [
            Task(_images(WAYS, rng, dtype), _images(queries, rng, dtype), spec)
            for _ in range(self.tasks)
        ]


def _images(count: int, rng: torch.Generator, dtype: torch.dtype) -> Batch:
    return Batch(torch.rand(count, 1, 28, 28, generator=rng).to(dtype), torch.arange(count) % WAYS)


class PlainConvNet(nn.Module):
    """The network of jobs b and c as anybody would write it. Convolutions have no bias, for batch
    normalisation takes it away again."""

    def __init__(self, filters: int, *, pooled: bool) -> None:
        super().__init__()
        stride = 1 if pooled else 2
        self.convs = nn.ModuleList(
            nn.Conv2d(filters if block else 1, filters, 3, stride, 1, bias=False)
            for block in range(4)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(filters, track_running_stats=False) for _ in range(4)
        )
        self.pooled = pooled
        self.head = nn.Linear(filters, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, 1, 28, 28) to (examples, 5)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nn.functional.relu(norm(conv(x)))
            x = nn.functional.max_pool2d(x, 2) if self.pooled else x
        x = x.flatten(1) if self.pooled else x.mean((2, 3))
        logits: Tensor = self.head(x)
        return logits


def plain_net(cell: Cell, dtype: torch.dtype) -> tuple[nn.Module, dict[str, str]]:
    """A plain module for the cell with the same weights, and metawright's name of each."""
    ours: Params = dict(cell.net(dtype).named_parameters())
    names: dict[str, str] = {}
    net: nn.Module
    if cell.job == "a":
        net = nn.Sequential(
            nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
        )
        for layer in range(3):
            names |= {f"{2 * layer}.{part}": f"{part}{layer}" for part in ("weight", "bias")}
    else:
        net = PlainConvNet(cell.filters, pooled=cell.job == "b")
        for block in range(4):
            names[f"convs.{block}.weight"] = f"conv{block}"
            names |= {f"norms.{block}.weight": f"scale{block}"}
            names |= {f"norms.{block}.bias": f"shift{block}"}
        names |= {f"head.{part}": part for part in ("weight", "bias")}
    net = net.to(dtype)
    net.load_state_dict({name: ours[own].detach() for name, own in names.items()})
    return net, {name: names[name] for name, _ in net.named_parameters()}
