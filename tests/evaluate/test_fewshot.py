"""Few-shot figures against arithmetic on learners whose answers are known."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.evaluate import Accuracy, evaluate, predict_alone, summary
from metawright.learners import MAML, Predictor
from metawright.models.backbones import ConvNet
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec
from metawright.training import Step


class Source:
    """Tasks of two classes; keeps what it drew."""

    def __init__(self, kind: Kind = Kind.CLASSIFICATION) -> None:
        self.kind = kind
        self.drawn: list[tuple[Split, Task]] = []

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        x, y = torch.randn(8, 1, 8, 8, generator=rng), torch.arange(8) % 2
        spec = TaskSpec(self.kind, (1, 8, 8), 2)
        self.drawn.append((split, Task(Batch(x[:4], y[:4]), Batch(x[4:], y[4:]), spec)))
        return self.drawn[-1][1]


class Fixed:
    """Predicts what it is told, by the number of the task; counts the examples it is shown."""

    def __init__(self, outputs: Sequence[Tensor], appetite: int = 0) -> None:
        self.outputs = outputs
        self.appetite = appetite
        self.shown: list[int] = []
        self.tasks = 0

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from ()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        raise NotImplementedError

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        torch.randn(self.appetite, generator=rng)
        table, place = self.outputs[self.tasks % len(self.outputs)], 0
        self.tasks += 1

        def predict(x: Tensor) -> Tensor:
            nonlocal place
            self.shown.append(len(x))
            place += len(x)
            return table[place - len(x) : place]

        return predict


RIGHT = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
HALF = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize("transductive", [True, False])
def test_mean_and_interval(transductive: bool) -> None:
    learner = Fixed([RIGHT, HALF])
    found = evaluate(
        learner, Source(), Split.TEST, tasks=4, rng=stream(0), transductive=transductive
    )
    spread = math.sqrt(4 * 0.25**2 / 3)
    assert found == Accuracy(0.75, found.ci95, 4, transductive)
    assert found.ci95 == pytest.approx(1.96 * spread / 2)
    assert learner.shown == ([4] * 4 if transductive else [1] * 16)


def test_every_learner_sees_the_same_tasks_of_the_split() -> None:
    sources = Source(), Source()
    for source, appetite in zip(sources, (0, 17), strict=True):
        evaluate(
            Fixed([RIGHT], appetite),
            source,
            Split.VALIDATION,
            tasks=3,
            rng=stream(0),
            transductive=True,
        )
    for (split, one), (_, other) in zip(sources[0].drawn, sources[1].drawn, strict=True):
        assert split is Split.VALIDATION
        assert_close(one.query.x, other.query.x, rtol=0, atol=0)


def test_outputs_beyond_the_ways_do_not_count() -> None:
    wide = torch.cat([RIGHT, 9 * torch.ones(4, 1)], 1)
    assert (
        evaluate(
            Fixed([wide]), Source(), Split.TEST, tasks=2, rng=stream(0), transductive=True
        ).mean
        == 1.0
    )


def test_inductive_predictions_do_not_depend_on_the_other_queries() -> None:
    task = Source().draw(Split.TEST, stream(0))
    learner = MAML(ConvNet(1, (8, 8), 2, rng=stream(0), filters=4, blocks=2))
    with torch.no_grad():
        predict = learner.adapt(task.support, stream(0))
        x = task.query.x
        alone = predict_alone(predict, x)
        changed = torch.cat([x[:1], x[1:] + 5])
        assert_close(predict_alone(predict, changed)[0], alone[0], rtol=0, atol=0)
        assert not torch.allclose(predict(changed)[0], predict(x)[0])


def test_one_task_has_no_interval() -> None:
    assert summary([0.5], transductive=True).ci95 == math.inf


def test_prints_as_the_papers_do() -> None:
    assert str(Accuracy(0.98765, 0.0034, 600, False)) == "98.77 ± 0.34 %"


def test_refuses_regression_and_no_tasks() -> None:
    learner = Fixed([RIGHT])
    with pytest.raises(ValueError, match="needs classification tasks, but got regression"):
        evaluate(
            learner, Source(Kind.REGRESSION), Split.TEST, tasks=1, rng=stream(0), transductive=True
        )
    with pytest.raises(ValueError, match="`tasks >= 1` must hold, but got 0"):
        evaluate(learner, Source(), Split.TEST, tasks=0, rng=stream(0), transductive=True)
