"""One head for tasks of varying ways: outputs that stand for no class of a task are left out."""

import torch
from torch import Tensor
from torch.nn import functional

from metawright.learners.learner import task_loss

__all__ = ["present_ways"]


def present_ways(outputs: Tensor, answers: Tensor) -> Tensor:
    """The usual loss, over the outputs 0 .. answers.max() only.

    Give it as `loss` to a learner whose model has a head as wide as the widest task. With the
    plain cross-entropy, every step of a narrow task also pushes down the outputs that it has no
    class for, and a wide task has to undo that. Every class of a task must be among the answers,
    as it is in support and query of drawn tasks.

    Example:
        >>> import torch
        >>> from metawright.learners.varying_ways import present_ways
        >>> outputs = torch.tensor([[0.0, 0.0, 9.0]])
        >>> print(f"{present_ways(outputs, torch.tensor([1])):.4f}")  # a half of two classes
        0.6931
    """
    if answers.is_floating_point():
        return task_loss(outputs, answers)
    # A mask and not a slice, so that it also runs under torch.func.vmap.
    absent = torch.arange(outputs.shape[-1], device=outputs.device) > answers.max()
    return functional.cross_entropy(outputs.masked_fill(absent, -torch.inf), answers)
