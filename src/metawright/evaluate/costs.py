"""What a network costs, by name: the figures that a search weighs against its quality."""

import torch
from torch import Tensor, nn

from metawright.evaluate.energy import energy
from metawright.evaluate.evaluating import evaluating
from metawright.evaluate.flops import example_of, flops
from metawright.evaluate.latency import latency, one_thread
from metawright.tasks.task import TaskSpec

__all__ = ["costs"]

_BATCH = 64


def costs(
    module: nn.Module,
    spec: TaskSpec,
    *,
    example: Tensor | None = None,
    measure_latency: bool = False,
    measure_energy: bool = False,
) -> dict[str, float]:
    """Price of a network by name.

    - `parameters`: numbers that it holds and that were learned or set from data;
    - `bytes`: of its weights when saved, running statistics included;
    - `flops`: of predicting one example (`metawright.evaluate.flops`);
    - `latency`: seconds for one example alone, `latency_batch`: for one of 64, both the median on
      one thread of this machine;
    - `energy`: joules for one example of 64; left out where the machine does not tell.

    Arguments:
        example: (1, *features), what it takes (default: as the examples of `spec`).
        measure_latency, measure_energy: whether to measure these, which takes seconds.
    """
    example = example_of(spec) if example is None else example
    device = next((value.device for value in module.parameters()), torch.device("cpu"))
    example = example.to(device)
    price = {
        "parameters": float(sum(value.numel() for value in module.parameters())),
        "bytes": float(sum(v.numel() * v.element_size() for v in module.state_dict().values())),
        "flops": float(flops(module, example)),
    }
    many = example.expand(_BATCH, *example.shape[1:]).contiguous()
    if measure_latency:
        price["latency"] = latency(module, example).median
        price["latency_batch"] = latency(module, many, repeats=10).median
    if measure_energy:
        with evaluating(module), one_thread(), torch.inference_mode():
            spent = energy(lambda: module(many)).joules
        if spent is not None:
            price["energy"] = spent / _BATCH
    return price
