"""MAML and its named relatives, each as settings of `MAML`, with their papers' networks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from metawright.learners.maml import MAML
from metawright.models.backbones import backbone
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["build_anil", "build_maml", "build_maml_plus_plus", "build_meta_sgd", "head_of"]


def build_maml(spec: TaskSpec, rng: torch.Generator, *, second_order: bool = True) -> MAML:
    """MAML with the paper's network and inner rates: 0.4 for classes, 0.01 for numbers."""
    return _built(spec, rng, 0.4, second_order=second_order)


def build_meta_sgd(spec: TaskSpec, rng: torch.Generator) -> MAML:
    """Meta-SGD: one inner step, with a learned rate for every entry of every weight.

    References:
        Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, Li, Zhou, Chen and Li, 2017,
        https://arxiv.org/abs/1707.09835
    """
    return _built(spec, rng, 0.1, rates="per-entry")


def build_anil(spec: TaskSpec, rng: torch.Generator) -> MAML:
    """ANIL: as MAML, but the inner steps move the head alone.

    References:
        Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML, Raghu,
        Raghu, Bengio and Vinyals, 2019, https://arxiv.org/abs/1909.09157
    """
    return _built(spec, rng, 0.4, head_only=True)


def build_maml_plus_plus(
    spec: TaskSpec,
    rng: torch.Generator,
    *,
    fading: int = 5_000,
    first_order_steps: int = 5_000,
) -> MAML:
    """MAML++: five inner steps, a learned rate for each of them and each tensor of weights, losses
    after all of them at first, first order at first.

    The paper's training is 75,000 steps, of which 5,000 fade the early losses and 25,000 are first
    order. Statistics are those of the batch at hand, as in the authors' code, which gave the
    published figures; `MAML(normalisation="per-step")` is what the paper describes. Its scales and
    shifts for each step are not there. The cosine schedule is the loop's.

    References:
        How to train your MAML, Antoniou, Edwards and Storkey, 2018,
        https://arxiv.org/abs/1810.09502
    """
    return _built(
        spec,
        rng,
        0.1,
        inner_steps=5,
        rates="per-step",
        fading=fading,
        first_order_steps=first_order_steps,
    )


def head_of(model: nn.Module) -> Callable[[str], bool]:
    """Whether a parameter, by name, belongs to the head: the last matrix and what follows it.

    Example:
        >>> from torch import nn
        >>> from metawright.learners.relatives import head_of
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> [name for name, _ in net.named_parameters() if head_of(net)(name)]
        ['2.weight', '2.bias']
    """
    names = [name for name, _ in model.named_parameters()]
    matrices = [at for at, value in enumerate(model.parameters()) if value.dim() > 1]
    head = frozenset(names[matrices[-1] :]) if matrices else frozenset(names)
    return head.__contains__


def _built(
    spec: TaskSpec, rng: torch.Generator, lr: float, *, head_only: bool = False, **settings: Any
) -> MAML:
    """MAML with the paper's network; `lr` is for classes."""
    model = backbone(spec, rng, head="mean")
    inner_lr = lr if spec.kind is Kind.CLASSIFICATION else 0.01
    adapts = head_of(model) if head_only else None
    return MAML(model, inner_lr=inner_lr, adapts=adapts, **settings)
