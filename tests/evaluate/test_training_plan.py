"""How a design's training is read."""

import pytest

from metawright.errors import InputError
from metawright.evaluate.training_plan import TrainingPlan, training_plan
from metawright.rng import stream
from metawright.spaces import Design
from metawright.spaces.draw import sample
from metawright.spaces.training import training_space


@pytest.mark.parametrize("seed", range(5))
def test_every_design_of_the_space_is_a_plan(seed: int) -> None:
    chosen = sample(training_space(), stream(seed))
    plan = training_plan(Design({"training": chosen}))
    assert plan.optimiser == chosen["optimiser"]["kind"]
    assert plan.lr == chosen["optimiser"]["lr"]
    assert plan.batch_size == chosen["batch_size"]
    assert plan.momentum == {"adam": 0.0, "sgd": 0.9}[plan.optimiser]


def test_what_is_left_out_has_defaults() -> None:
    assert training_plan(Design({})) == TrainingPlan()
    flat = training_plan(Design({"training": {"optimiser": "sgd", "lr": 0.2}}))
    assert (flat.optimiser, flat.lr, flat.batch_size) == ("sgd", 0.2, 64)


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ({"rate": 0.1}, "may decide augmentation, .* but this one has 'rate'"),
        ({"optimiser": "lbfgs"}, "`optimiser` must be 'adam' or 'sgd', but got 'lbfgs'"),
        ({"schedule": "up"}, "`schedule` must be one of constant, .* but got 'up'"),
        ({"lr": 0.0}, r"`lr > 0`.* got \(lr=0.0"),
        ({"augmentation": 2.0}, r"augmentation <= 1` must hold, but got .*augmentation=2.0"),
    ],
    ids=["unknown", "optimiser", "schedule", "lr", "augmentation"],
)
def test_what_no_training_knows_is_refused(training: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        training_plan(Design({"training": training}))
