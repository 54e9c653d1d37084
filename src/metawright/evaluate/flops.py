"""What predicting one example takes in floating-point operations.

One unit everywhere: a multiplication with its addition counts 2. Products of matrices,
convolutions, recurrent layers and attention count; additions, activations, normalisation and
pooling do not, as is the custom.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence
from torch.utils.flop_counter import FlopCounterMode

from metawright.evaluate.evaluating import evaluating
from metawright.tasks.task import TaskSpec

__all__ = ["example_of", "flops"]

_Formula: TypeAlias = Callable[[Any, Any], int]

_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def example_of(spec: TaskSpec, examples: int = 1) -> Tensor:
    """Examples as those of the task, all zero: (examples, *features)."""
    kind = torch.int64 if spec.vocabulary else torch.float32
    return torch.zeros(examples, *spec.features, dtype=kind)


def flops(module: nn.Module, example: Tensor) -> int:
    """Floating-point operations of `module(example)`, an addition with its product counting 2.

    Products are counted as they happen, whoever calls them; what recurrent layers do inside is
    hidden from such a count and comes from their sizes. Attention is counted along its plain way,
    whichever fused one would run.

    Arguments:
        module: anything that takes `example`; it is asked in evaluation mode and left as it was.
        example: a batch of one.

    Example:
        >>> import torch
        >>> from metawright.evaluate.flops import flops
        >>> flops(torch.nn.Linear(10, 3), torch.zeros(1, 10))
        60
    """
    products = {torch.ops.aten.mv: _vector_flops, torch.ops.aten.addmv: _added_vector_flops}
    counter = FlopCounterMode(display=False, custom_mapping=products)
    hidden: list[int] = []
    with ExitStack() as stack:
        stack.enter_context(evaluating(module))
        stack.enter_context(_plain_attention())
        stack.enter_context(torch.no_grad())
        for part in module.modules():
            if isinstance(part, _RECURRENT):
                for handle in _watch(part, counter, hidden):
                    stack.callback(handle.remove)
        with counter:
            module(example)
    return int(counter.get_total_flops()) + sum(hidden)


def _watch(
    part: nn.Module, counter: FlopCounterMode, hidden: list[int]
) -> tuple[torch.utils.hooks.RemovableHandle, ...]:
    """Hooks that add to `hidden` what the counter does not see of a recurrent layer."""
    seen: list[int] = []

    def before(_: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(counter.get_total_flops())

    def after(layer: nn.Module, given: tuple[Any, ...], _: Any) -> None:
        # Which of its products are seen depends on the version and the machine.
        hidden.append(_recurrent_flops(layer, given[0]) - (counter.get_total_flops() - seen.pop()))

    return part.register_forward_pre_hook(before), part.register_forward_hook(after)


def _recurrent_flops(layer: Any, x: Tensor | PackedSequence) -> int:
    """Gates times (input + state) times state for every step, layer and direction."""
    gates = {"LSTM": 4, "GRU": 3}.get(type(layer).__name__.removesuffix("Cell"), 1)
    states = layer.hidden_size
    if isinstance(layer, nn.RNNCellBase):
        rows = 1 if x.dim() == 1 else len(x)  # type: ignore[union-attr]
        return int(2 * gates * states * (layer.input_size + states) * rows)
    entries = x.data.shape[0] if isinstance(x, PackedSequence) else x[..., 0].numel()
    told = layer.proj_size or states
    directions = 2 if layer.bidirectional else 1
    total = 0
    for depth in range(layer.num_layers):
        inputs = told * directions if depth else layer.input_size
        products = gates * states * (inputs + told) + states * layer.proj_size
        total += 2 * products * directions * entries
    return total


def _vector_flops(matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return 2 * int(matrix[0]) * int(matrix[1])


def _added_vector_flops(added: Any, matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return _vector_flops(matrix, vector)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as products of matrices, which the counter knows."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
