"""FLOPs against closed forms: a product with its addition is 2."""

import pytest
import torch
from torch import Tensor, nn

from metawright.evaluate.flops import example_of, flops
from metawright.models.architectures import build_network
from metawright.rng import stream
from metawright.spaces import Design
from metawright.tasks.task import Kind, TaskSpec


class Attention(nn.Module):
    """Self-attention of torch as a function of one tensor."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        told: Tensor = self.layer(x, x, x, need_weights=False)[0]
        return told


ATTENTION = 4 * 2 * 5 * 12 * 12 + 2 * 2 * 5 * 5 * 12  # four projections, scores and their mean

CASES: dict[str, tuple[nn.Module, Tensor, int]] = {
    "linear": (nn.Linear(10, 3), torch.zeros(1, 10), 2 * 10 * 3),
    "linear without bias, of a matrix": (
        nn.Linear(10, 3, bias=False),
        torch.zeros(1, 7, 10),
        2 * 7 * 10 * 3,
    ),
    "convolution": (
        nn.Conv2d(3, 8, 3, padding=1),
        torch.zeros(1, 3, 9, 7),
        2 * 9 * 7 * 8 * 3 * 3 * 3,
    ),
    "groups and stride": (
        nn.Conv2d(6, 12, 5, stride=2, padding=2, groups=3),
        torch.zeros(1, 6, 9, 9),
        2 * 5 * 5 * 12 * 2 * 25,
    ),
    "one channel each": (
        nn.Conv2d(6, 6, 3, groups=6),
        torch.zeros(1, 6, 5, 5),
        2 * 3 * 3 * 6 * 9,
    ),
    "transposed": (
        nn.ConvTranspose2d(4, 5, 2, 2),
        torch.zeros(1, 4, 3, 3),
        2 * 3 * 3 * 4 * 5 * 2 * 2,
    ),
    "lstm": (
        nn.LSTM(10, 6, batch_first=True),
        torch.zeros(1, 9, 10),
        2 * 9 * 4 * 6 * (10 + 6),
    ),
    "two layers, both directions": (
        nn.LSTM(10, 6, 2, batch_first=True, bidirectional=True),
        torch.zeros(1, 9, 10),
        2 * 9 * 2 * 4 * 6 * ((10 + 6) + (12 + 6)),
    ),
    "projected lstm": (
        nn.LSTM(10, 6, proj_size=2),
        torch.zeros(9, 1, 10),
        2 * 9 * (4 * 6 * (10 + 2) + 6 * 2),
    ),
    "gru": (nn.GRU(10, 6), torch.zeros(9, 1, 10), 2 * 9 * 3 * 6 * (10 + 6)),
    "rnn": (nn.RNN(10, 6), torch.zeros(9, 1, 10), 2 * 9 * 6 * (10 + 6)),
    "gru cell": (nn.GRUCell(10, 6), torch.zeros(1, 10), 2 * 3 * 6 * (10 + 6)),
    "attention": (Attention(12, 3), torch.zeros(1, 5, 12), ATTENTION),
    "encoder layer": (
        nn.TransformerEncoderLayer(12, 3, 24, batch_first=True),
        torch.zeros(1, 5, 12),
        ATTENTION + 2 * 2 * 5 * 12 * 24,
    ),
    "no products": (nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)), torch.zeros(1, 1, 4, 4), 0),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("case", CASES)
def test_closed_forms(case: str) -> None:
    module, example, expected = CASES[case]
    assert flops(module.train(), example) == expected
    assert all(part.training for part in module.modules())
    assert flops(module.eval(), example) == expected
    assert torch.backends.mha.get_fastpath_enabled()


def test_our_encoder_is_that_of_the_formula() -> None:
    architecture = {
        "layers": 2, "heads": 4, "width": 32, "ratio": 2, "patches": 4, "activation": "gelu",
        "dropout": 0.1, "pooling": "mean",
    }  # fmt: skip
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 10)
    module = build_network("transformer", Design({"architecture": architecture}), spec, stream(0))
    tokens, width = 16, 32
    layer = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * 2 * width
    products = tokens * 4 * width + 2 * layer + width * 10
    assert flops(module, example_of(spec)) == 2 * products


def test_our_searched_cell_is_that_of_the_formula() -> None:
    nodes = [{"sources": [0], "operations": ["tanh"]}] * 3
    architecture = {
        "cell": {"kind": "searched", "nodes": nodes}, "layers": 1, "width": 32,
        "bidirectional": True, "dropout": 0.0, "pooling": "mean",
    }  # fmt: skip
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 10)
    module = build_network("recurrent", Design({"architecture": architecture}), spec, stream(0))
    step = 8 * 64 + 32 * 64 + 3 * 32 * 64
    assert flops(module, example_of(spec)) == 2 * (2 * 8 * step + 64 * 10)
