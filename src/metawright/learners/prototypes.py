"""Prototypical networks: a class is the mean of its examples' features.

Nothing is adapted by gradients: an encoder is learned under which the nearest mean is right.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.learners.inner import gradient
from metawright.learners.learner import Predictor, accuracy
from metawright.models.backbones import MLP, ConvNet, fitting_blocks
from metawright.models.encoders import sequence_model
from metawright.params import detached, map_params, params_of
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["PrototypicalNetwork", "build_prototypical_network", "prototypes"]


class PrototypicalNetwork:
    r"""Classifies by the squared distance to the mean feature of each class:

    $$\log p(k | x) = -|f(x) - c_k|^2 + const$$

    Running statistics of the encoder are updated in training and used in `adapt`: its figures are
    inductive. More classes a task in training than in use is what makes it good (the paper trains
    60-way for 5-way and 20-way).

    Arguments:
        encoder: any module from examples to features, (examples, ...) to (examples, features).
        temperature: divides the squared distances.

    References:
        Prototypical Networks for Few-shot Learning, Snell, Swersky and Zemel, 2017,
        https://arxiv.org/abs/1703.05175
    """

    def __init__(self, encoder: nn.Module, *, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise ValueError(f"`temperature > 0` must hold, but got {temperature}.")
        self.encoder = encoder
        self.temperature = temperature

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The encoder's own."""
        return self.encoder.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The encoder's running statistics."""
        return self.encoder.named_buffers()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean gradient of the tasks' query losses, in training mode."""
        del rng  # nothing is drawn
        start = params_of(self.encoder)
        total = map_params(torch.zeros_like, start)
        loss_sum = right = 0.0
        with _mode(self.encoder, training=True):
            for task in batch:
                # One pass for both sides, so that both are normalised alike.
                features = self.encoder(torch.cat([task.support.x, task.query.x])).flatten(1)
                support, query = features.split([len(task.support.x), len(task.query.x)])
                logits = self._logits(query, prototypes(support, task.support.labels))
                loss = functional.cross_entropy(logits, task.query.labels)
                grads = gradient(loss, start)
                total = {name: value + grads[name] / len(batch) for name, value in total.items()}
                loss_sum += float(loss.detach())
                right += accuracy(logits, task.query.labels)
        return Step(total, {"loss": loss_sum / len(batch), "accuracy": right / len(batch)})

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """The nearest mean under the encoder in evaluation mode."""
        del rng
        tensors = dict(self.encoder.named_buffers()) | params_of(self.encoder)
        # Copies, unless a graph is asked for: the predictor stays when the encoder learns on.
        held = tensors if torch.is_grad_enabled() else detached(tensors)

        def features(x: Tensor) -> Tensor:
            with _mode(self.encoder, training=False):
                return cast(Tensor, torch.func.functional_call(self.encoder, held, (x,))).flatten(
                    1
                )

        means = prototypes(features(support.x), support.labels)
        return lambda x: self._logits(features(x), means)

    def _logits(self, features: Tensor, means: Tensor) -> Tensor:
        """Negative squared distances, (examples, ways); the square of the features themselves is
        the same for all classes and left out."""
        return (2 * features @ means.T - means.square().sum(1)) / self.temperature


def build_prototypical_network(spec: TaskSpec, rng: torch.Generator) -> PrototypicalNetwork:
    """The paper's encoder for images, pooled blocks of 64 filters; those of `models.encoders` for
    texts and signals; else a small perceptron.

    Raises:
        ValueError: the tasks are no classification.
    """
    if spec.kind is not Kind.CLASSIFICATION:
        raise ValueError(f"Prototypical networks need classes, but the tasks are {spec.kind}.")
    sequences = sequence_model(spec, 0, rng)
    if sequences is not None:
        return PrototypicalNetwork(sequences)
    if len(spec.features) != 3:
        return PrototypicalNetwork(MLP(math.prod(spec.features), 40, rng=rng))
    channels, height, width = spec.features
    encoder = ConvNet(
        channels,
        (height, width),
        0,
        rng=rng,
        blocks=fitting_blocks((height, width)),
        reduction="pool",
        statistics="running",
    )
    return PrototypicalNetwork(encoder)


def prototypes(features: Tensor, labels: Tensor) -> Tensor:
    """Mean feature of each class 0 .. labels.max(), (ways, features); any number of examples each.

    Raises:
        ValueError: the labels are not classes, or a class has no example.
    """
    if labels.is_floating_point():
        raise ValueError("A prototypical network needs classes, but the answers are numbers.")
    chosen = functional.one_hot(labels).to(features.dtype)
    counts = chosen.sum(0)
    if not bool((counts > 0).all()):
        missing = (counts == 0).nonzero()[:, 0].tolist()
        raise ValueError(f"Every class needs an example, but {missing} have none.")
    return (chosen.T @ features) / counts[:, None]


@contextmanager
def _mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """The module in training or evaluation mode, and back as it was."""
    before = {part: part.training for part in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for part, was in before.items():
            part.training = was
