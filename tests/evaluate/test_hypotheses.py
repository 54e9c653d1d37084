"""Coverage of hypotheses by learners whose answers are known."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from metawright.evaluate.hypotheses import evaluate_hypotheses
from metawright.learners import Hypotheses, Predictor
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.ambiguous import AmbiguousShapes, OpenTask
from metawright.tasks.task import Batch, Split, Task
from metawright.training import Step


class Contradiction:
    """Two hypotheses that call the same images by opposite names; the image holds its name."""

    def draw_open(self, split: Split, rng: torch.Generator) -> OpenTask:
        labels = torch.randint(2, (6,), generator=rng)
        task = AmbiguousShapes().draw_open(split, rng)
        x = labels[:, None].float()
        queries = {"as it says": Batch(x, labels), "opposite": Batch(x, 1 - labels)}
        return OpenTask(task.support, queries, task.spec)


class Reader:
    """Holds the first hypothesis, or with `many` both, one a particle."""

    def __init__(self, many: bool) -> None:
        self.many = many

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from ()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        raise NotImplementedError

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        def read(x: Tensor) -> Tensor:
            logits = math.log(9) * (x[..., 0] - 0.5)
            return torch.stack([-logits, logits], -1)

        if not self.many:
            return read

        def forward(params: Params, x: Tensor) -> Tensor:
            return params["sign"][:, :, None, None] * read(x)[:, None]

        seen = Batch(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))
        return Hypotheses(forward, {"sign": torch.tensor([1.0, -1.0])}, seen)


@pytest.mark.parametrize("many", [False, True])
def test_one_answer_covers_one_hypothesis_and_two_cover_both(many: bool) -> None:
    found = evaluate_hypotheses(Reader(many), Contradiction(), Split.TEST, tasks=5, rng=stream(0))
    assert found.accuracy.mean == 1.0
    assert found.coverage.mean == (2.0 if many else 1.0)
    right, wrong = 0.9**6, 0.1**6
    expected = math.log((right + wrong) / 2) / 6 if many else math.log(right * wrong) / 12
    assert found.log_loss.mean == pytest.approx(-expected, rel=1e-5)
    assert found.log_loss.tasks == 5
    with pytest.raises(ValueError, match=r"`tasks >= 1` must hold, but got 0"):
        evaluate_hypotheses(Reader(many), Contradiction(), Split.TEST, tasks=0, rng=stream(0))
