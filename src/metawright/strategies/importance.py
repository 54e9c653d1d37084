"""Which decisions mattered: how much of the spread of a measure each of them explains.

A forest is fitted to the trials, and its variance is taken apart over the decisions (functional
ANOVA, by Optuna). That is about the trials at hand: a search that has settled on one value of a
decision can no longer tell what another would have done, so trials that were drawn at random make
the fairest picture.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from metawright.errors import InputError
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.bayesian import quiet, study_of
from metawright.strategies.filled import Filled
from metawright.strategies.objectives import Objective, aligned

__all__ = ["Importance", "importance", "summed"]

# Fewer trials say nothing about which decision it was.
_ENOUGH = 10


class Importance(NamedTuple):
    """A decision's share of what all decisions explain, and its spread over forests."""

    decision: str
    share: float
    spread: float


def importance(
    space: Space,
    trials: Sequence[Trial],
    objective: Objective,
    *,
    forests: int = 3,
    trees: int = 16,
) -> list[Importance]:
    """How much each decision matters for an objective, the most important first.

    A decision that is not in play counts as having a value of its own, so that its importance
    holds what it does where it is in play, and how far being in play goes with better measures.

    Arguments:
        space: the space of the designs.
        trials: those that failed, lack the measure or were trained in part only are left out.
        objective: what is explained.
        forests: how many are fitted, each from its own seed; their spread is given with the mean.
        trees: of each forest.

    Returns:
        A row for each decision that can differ; the shares sum to 1.

    Raises:
        InputError: there are fewer than ten trials that can be used, or all measure the same.

    References:
        An Efficient Approach for Assessing Hyperparameter Importance, Hutter, Hoos and
        Leyton-Brown, 2014, https://proceedings.mlr.press/v32/hutter14.html
    """
    told = [
        (trial.design, point[0])
        for trial in trials
        if trial.evidence.get("fidelity", 1) == 1 and (point := aligned(trial, [objective]))
    ]
    if len(told) < _ENOUGH or len({value for _, value in told}) < 2:
        raise InputError(
            f"Importance needs at least {_ENOUGH} trials with different {objective.name}, but "
            f"got {len(told)} with {len({value for _, value in told})} values: search longer."
        )
    filled, study = Filled(space), study_of(1)
    for design, value in told:
        study.add_trial(create_trial(values=[value], **filled.told(design)))
    with quiet():
        # Which forest is which does not matter, so their seeds are simply counted.
        makers = [FanovaImportanceEvaluator(n_trees=trees, seed=seed) for seed in range(forests)]
        runs = [get_param_importances(study, evaluator=maker) for maker in makers]
    rows = []
    for key in filled.distributions:
        shares = [_normed(run).get(key, 0.0) for run in runs]
        spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
        rows.append(Importance(filled.name(key), statistics.mean(shares), spread))
    return sorted(rows, key=lambda row: -row.share)


def summed(rows: Sequence[Importance], *, depth: int = 1) -> dict[str, float]:
    """Shares of whole parts of a space: those of decisions whose names begin alike, added up.

    Arguments:
        rows: from `importance`.
        depth: by how many names of the dotted path decisions are told apart.

    Example:
        >>> from metawright.strategies.importance import Importance, summed
        >>> rows = [Importance("net.depth", 0.5, 0.0), Importance("lr", 0.25, 0.0)]
        >>> summed([*rows, Importance("net.width", 0.25, 0.0)])
        {'net': 0.75, 'lr': 0.25}
    """
    parts: dict[str, float] = {}
    for row in rows:
        part = ".".join(row.decision.split(".")[:depth])
        parts[part] = parts.get(part, 0.0) + row.share
    return dict(sorted(parts.items(), key=lambda pair: -pair[1]))


def _normed(run: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to 1; equal ones where the forest saw nothing at all."""
    total = sum(run.values())
    return {key: value / total if total > 0 else 1 / len(run) for key, value in run.items()}
