"""The spaces by name, counted by hand, and how one of one's own is written."""

import math

import pytest

from metawright.spaces import SPACES, Record, count, decisions
from metawright.spaces.cells import cell_networks
from metawright.spaces.darts import darts_networks
from metawright.spaces.dense import dense_networks
from metawright.spaces.discriminator import discriminator
from metawright.spaces.generator import generator
from metawright.spaces.macro import macro_networks
from metawright.spaces.pipelines import CLASSIFIERS_ONLY, pipelines
from metawright.spaces.recurrent import recurrent_networks
from metawright.spaces.space import Cell, Either
from metawright.spaces.training import training_space
from metawright.spaces.transformer import transformer_networks

NASBENCH201 = 15_625
DARTS_CELL = (1 * 3 * 6) * 6**6  # sources of the three nodes, an operation for each of six edges
STAGE = 2 * 4 * 2 * 3 * 2  # depth, width, kernel, expansion, skip
LAYER = 241 * 4 * 3 * 2  # widths 16 to 256, activation, dropout, normalisation
SEARCHED = (1 * 4) * (2 * 4) * (3 * 4)  # what each node reads, and how
MADE = 3 * 2 * 3 * 3 * 2
JUDGED = 4 * 2 * 2

COUNTS: dict[str, tuple[Record, int]] = {
    "cells": (cell_networks(), NASBENCH201 * 3 * 2 * 3),
    "darts": (darts_networks(), DARTS_CELL**2 * 2 * 2 * 3),
    "macro": (macro_networks(), (STAGE + STAGE**2 + STAGE**3) * 3 * 3 * 3),
    "dense": (dense_networks(), LAYER + LAYER**2 + LAYER**3 + LAYER**4),
    "recurrent": (recurrent_networks(), (1 + 1 + 2 + SEARCHED) * 2 * 3 * 2 * 3 * 3),
    "transformer": (transformer_networks(), 3 * 3 * 3 * 3 * 2 * 2 * 2 * 2),
    "generator": (generator(), 4 * 3 * 3 * (MADE**2 + MADE**3 + MADE**4)),
    "discriminator": (discriminator(), 3 * 3 * 3 * (JUDGED**2 + JUDGED**3 + JUDGED**4)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_by_hand(name: str) -> None:
    space, expected = COUNTS[name]
    assert count(space) == expected


def test_the_cell_is_that_of_nas_bench_201() -> None:
    cell = cell_networks().fields["cell"]
    assert isinstance(cell, Cell)
    assert count(cell) == NASBENCH201


TRAINED = ("cells", "darts", "dense", "macro", "recurrent", "transformer")


@pytest.mark.parametrize("name", TRAINED)
def test_training_is_one_part_for_all(name: str) -> None:
    space = SPACES[name]()
    assert list(space.fields) == ["architecture", "training"]
    assert space.fields["training"] == training_space()


def test_learning_rates_belong_to_their_optimiser() -> None:
    names = [decision.name for decision in decisions(training_space())]
    assert names[:5] == [
        "optimiser.kind",
        "optimiser.adam.lr",
        "optimiser.adam.weight_decay",
        "optimiser.sgd.lr",
        "optimiser.sgd.weight_decay",
    ]
    assert math.isinf(count(training_space()))


def models(*, regression: bool) -> set[str]:
    space = pipelines(regression=regression).fields["model"]
    assert isinstance(space, Either)
    return set(space.cases)


def test_pipelines_for_numbers_leave_out_what_needs_classes() -> None:
    classes, numbers = models(regression=False), models(regression=True)
    assert classes - numbers == set(CLASSIFIERS_ONLY)
    assert len(classes) == 10 and numbers < classes
