"""What a meta-trained learner must beat: chance, raw inputs, and itself before meta-training."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.learners import Learner, Predictor, PrototypicalNetwork
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["CHANCE", "RANDOM", "SupportMean", "plain_learners"]

CHANCE = "chance"
RANDOM = "before meta-training"


class SupportMean:
    """Answers every query with the mean of the support's answers: the floor of regression."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """None."""
        return iter(())

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """None: there is nothing to learn."""
        del batch, rng  # the signature of all learners
        return Step({}, {})

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """The mean answer, for any query."""
        del rng  # nothing is drawn
        mean = support.labels.mean(0)

        def predict(x: Tensor) -> Tensor:
            return mean.expand(len(x), *mean.shape)

        return predict


def plain_learners(spec: TaskSpec) -> dict[str, Learner]:
    """Baselines that have no weights, by name."""
    if spec.kind is Kind.REGRESSION:
        return {"mean of the support": SupportMean()}
    if spec.vocabulary:
        return {"nearest mean of token counts": PrototypicalNetwork(_Counts(spec.vocabulary))}
    return {"nearest mean of raw inputs": PrototypicalNetwork(nn.Flatten())}


class _Counts(nn.Module):
    """How often each token occurs in a text, of length 1; 0 is no token."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, x: Tensor) -> Tensor:
        """(texts, tokens) to (texts, vocabulary)."""
        counts = torch.zeros(len(x), self.vocabulary, device=x.device)
        counts.scatter_add_(1, x, (x > 0).to(counts.dtype))
        return functional.normalize(counts, dim=1)
