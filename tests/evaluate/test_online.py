"""Online adaptation measured on a hand-made learner whose scores are known."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from metawright.evaluate.online import evaluate_online
from metawright.learners.adapted import Adapted
from metawright.learners.task_parameters import TaskParameters
from metawright.models.modulation import context_network
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec
from metawright.training.trainable import Step


class Levels:
    """Tasks whose answer is one number everywhere, the same for all examples but the first."""

    def __init__(self, kind: Kind = Kind.REGRESSION, examples: int = 4) -> None:
        self.kind, self.examples = kind, examples

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        x = torch.arange(float(self.examples))[:, None]
        if self.kind is Kind.CLASSIFICATION:
            y = torch.arange(self.examples) % 2
        else:
            y = torch.full((self.examples, 1), float(torch.randn((), generator=rng)))
        return Task(Batch(x, y), Batch(x, y), TaskSpec(self.kind, (1,), 2))


class Counting:
    """Predicts the mean answer, off by 1 after the first examples and by 2, 3, ... after more.

    Adapted anew it is always off by 1, so the squared errors are known: 1, 4, 9 against 1.
    """

    def __init__(self) -> None:
        self.calls: list[int] = []

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from ()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        return Step({}, {})

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        self.calls.append(len(support.x))
        return self._off(support, 1.0)

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        self.calls.append(-len(support.x))
        seen = Batch(
            torch.cat([adapted.seen.x, support.x]),
            torch.cat([adapted.seen.labels, support.labels]),
        )
        return self._off(seen, float(adapted.params["off"]) + 1)

    def _off(self, seen: Batch, off: float) -> Adapted:
        def forward(params: Params, x: Tensor) -> Tensor:
            return (seen.labels.mean() + params["off"]).expand(len(x), 1)

        return Adapted(forward, {"off": torch.tensor(off)}, seen)


class Remembering(Counting):
    """Says the class of the last example that it saw, for every query."""

    def _off(self, seen: Batch, off: float) -> Adapted:
        def forward(params: Params, x: Tensor) -> Tensor:
            return nn.functional.one_hot(seen.labels[-1], 2).float().expand(len(x), 2)

        return Adapted(forward, {"off": torch.tensor(off)}, seen)


def test_scores_of_a_learner_of_known_error() -> None:
    learner = Counting()
    scores = evaluate_online(
        learner, Levels(), Split.TEST, counts=(1, 2, 4), tasks=5, rng=stream(0)
    )
    assert [score.examples for score in scores] == [1, 2, 4]
    assert [score.online.mean for score in scores] == pytest.approx([1, 4, 9], rel=1e-5)
    assert [score.anew.mean for score in scores] == pytest.approx([1, 1, 1], rel=1e-5)
    assert [score.difference.mean for score in scores] == pytest.approx(
        [0, 3, 8], rel=1e-5, abs=1e-5
    )
    assert all(score.online.ci95 == pytest.approx(0, abs=1e-5) for score in scores)
    # One by one, and beside it all of them anew.
    assert learner.calls[:6] == [1, 1, -1, 2, -2, 4]


def test_accuracy_of_classes_comes_in_random_order() -> None:
    scores = evaluate_online(
        Remembering(), Levels(Kind.CLASSIFICATION), Split.TEST, counts=(1, 3), tasks=30,
        rng=stream(0), transductive=True,
    )  # fmt: skip
    assert all(score.online.mean == score.anew.mean == 0.5 for score in scores)
    last = []

    def note(outputs: Tensor, answers: Tensor) -> float:
        last.append(int(outputs[0].argmax()))
        return 0.0

    evaluate_online(
        Remembering(), Levels(Kind.CLASSIFICATION), Split.TEST, counts=(1,), tasks=30,
        rng=stream(0), score=note,
    )  # fmt: skip
    assert set(last) == {0, 1}


def test_confidence_is_that_of_the_papers() -> None:
    values = iter([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])  # online and anew of three tasks
    (score,) = evaluate_online(
        Counting(), Levels(), Split.TEST, counts=(1,), tasks=3, rng=stream(0),
        score=lambda outputs, answers: next(values),
    )  # fmt: skip
    assert score.online.mean == 2
    assert score.online.ci95 == pytest.approx(1.96 / math.sqrt(3))
    assert score.difference.ci95 == 0


def test_a_real_learner_runs() -> None:
    source = Sinusoid(shots=5, queries=4)
    spec = source.draw(Split.TRAIN, stream(0)).spec
    learner = TaskParameters(context_network(spec, stream(0)), inner_lr=0.01)
    first, second = (
        evaluate_online(learner, source, Split.TEST, counts=(1, 2, 5), tasks=4, rng=stream(0))
        for _ in range(2)
    )
    assert first == second
    assert first[0].difference.mean == 0
    assert first[2].difference.mean != 0
    assert str(first[0].online).count("±") == 1


def test_refuses_what_cannot_be() -> None:
    def run(**arguments: object) -> None:
        evaluate_online(Counting(), Levels(), Split.TEST, rng=stream(0), **arguments)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r"`counts` must rise .* but got \[2, 1\]"):
        run(counts=(2, 1))
    with pytest.raises(ValueError, match="ask for 9 examples, but a task's support has 4"):
        run(counts=(1, 9), tasks=1)
    with pytest.raises(ValueError, match="`tasks >= 1` must hold, but got 0"):
        run(tasks=0)
    with pytest.raises(ValueError, match="control have no default score: give `score`"):
        evaluate_online(
            Counting(), Levels(Kind.CONTROL), Split.TEST, counts=(1,), tasks=1, rng=stream(0)
        )
