"""Figures of judging against what is known by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from metawright.learners import MAML, Learner, Predictor, PrototypicalNetwork
from metawright.models.backbones import MLP, ConvNet
from metawright.recipes.fewshot.baselines import SupportMean
from metawright.recipes.fewshot.judging import Judged, calibration, figure, judge, judge_steps
from metawright.recipes.fewshot.learners import adaptation_steps
from metawright.rng import stream
from metawright.tasks import Batch, Digits, Kind, Sinusoid, Split

DIGITS = Digits(ways=2, shots=1, queries=20)


def test_figure_by_hand() -> None:
    found = figure([0.0, 1.0, 1.0, 1.0])
    assert found["mean"] == 0.75 and found["median"] == 1.0 and found["tasks"] == 4
    assert found["ci95"] == pytest.approx(1.96 * 0.5 / 2)


def test_calibration_by_hand() -> None:
    sure = torch.tensor([0.55, 0.55, 0.95, 1.0], dtype=torch.float64)
    found = Judged(
        Kind.CLASSIFICATION,
        probabilities=[torch.stack([sure, 1 - sure], 1)],
        labels=[torch.tensor([0, 1, 0, 0])],
    )
    told = calibration(found)
    assert told is not None
    assert told["ece"] == pytest.approx((2 * 0.05 + 2 * 0.025) / 4)
    losses = [-math.log(0.55), -math.log(0.45), -math.log(0.95), 0.0]
    assert told["nll"] == pytest.approx(sum(losses) / 4)
    assert [row["count"] for row in told["bins"]] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert told["bins"][5]["accuracy"] == 0.5 and told["bins"][9]["accuracy"] == 1.0
    assert calibration(Judged(Kind.REGRESSION)) is None


@pytest.mark.parametrize("independent", [True, False])
def test_whether_queries_help_each_other_is_found_out(independent: bool) -> None:
    rng = stream(0)
    learner: Learner = PrototypicalNetwork(nn.Flatten())
    if not independent:  # its normalisation sees the batch
        net = ConvNet(1, (8, 8), 2, rng=rng, filters=4, blocks=2)
        learner = MAML(net, inner_lr=0.4)
    found = judge(learner, DIGITS, Split.TEST, tasks=6, rng=stream(1))
    assert found.independent is independent
    assert (found.alone == found.together) is independent
    assert found.queries == 40 and found.queries_alone == (40 if independent else 20)
    assert sum(len(labels) for labels in found.labels) == 6 * 20


def test_a_learner_that_knows_nothing_has_the_loss_of_chance() -> None:
    class Nothing(SupportMean):
        def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
            return lambda x: torch.zeros(len(x), 2)

    told = judge(Nothing(), DIGITS, Split.TEST, tasks=3, rng=stream(1)).to_json()
    assert told["calibration"]["nll"] == pytest.approx(math.log(2))


def test_the_mean_of_the_support_has_its_own_mse() -> None:
    source = Sinusoid(shots=4, queries=6)
    found = judge(SupportMean(), source, Split.TEST, tasks=2, rng=stream(2))
    assert found.to_json()["measure"] == "mse" and found.independent

    def by_hand(rng: torch.Generator) -> float:
        torch.randint(2**62, (), generator=rng)  # what `fork` draws
        task = source.draw(Split.TEST, rng)
        rest: Tensor = task.query.labels - task.support.labels.mean()
        return float(rest.square().mean())

    rng = stream(2)
    assert found.together == pytest.approx([by_hand(rng), by_hand(rng)], rel=1e-5)


def test_the_step_that_it_has_gives_the_figure_that_it_has() -> None:
    learner = MAML(MLP(64, 2, rng=stream(0), hidden=(8,)), inner_lr=0.1, evaluation_steps=2)
    rows = judge_steps(learner, DIGITS, tasks=4, make_rng=lambda: stream(5))
    found = judge(learner, DIGITS, Split.TEST, tasks=4, rng=stream(5))
    means = {row["steps"]: row["mean"] for row in rows}
    assert means[2] == pytest.approx(figure(found.together)["mean"])
    assert means[0] != means[10] and learner.evaluation_steps == 2


@pytest.mark.parametrize(
    ("own", "ladder"),
    [
        (1, [0, 1, 2, 3, 5, 10]),
        (7, [0, 1, 2, 3, 5, 7, 10]),
        (50, [0, 1, 2, 3, 5, 10, 20, 50]),
    ],
)
def test_the_ladder_of_steps(own: int, ladder: list[int]) -> None:
    assert adaptation_steps(SimpleNamespace(evaluation_steps=own)) == ladder
    assert adaptation_steps(PrototypicalNetwork(nn.Flatten())) == []
