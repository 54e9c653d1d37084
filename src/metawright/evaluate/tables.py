"""Fits pipelines on the folds of a table and judges them on the rows left out."""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metawright.errors import InputError, did_you_mean
from metawright.evaluate.evaluator import Evaluation, check_fidelity
from metawright.evaluate.folds import Fold, folds_of, share_of
from metawright.evaluate.scores import area_under_curve, balanced_accuracy, scores_of
from metawright.lazy import load
from metawright.models.tables import FittedPipeline, fit_pipeline
from metawright.rng import integer, stream
from metawright.spaces.design import Design
from metawright.spaces.points import check
from metawright.spaces.space import Record
from metawright.spaces.tables import table_pipelines
from metawright.tasks.kind import Kind
from metawright.tasks.task import TaskSpec

if TYPE_CHECKING:
    from metawright.tasks.tables import TableTask

__all__ = ["METRICS", "TableEvaluator", "fit_final", "rows_latency", "table_scores"]

_ROWS = 1000  # that are predicted at once to time one

METRICS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CLASSIFICATION: ("log_loss", "accuracy", "balanced_accuracy", "auc"),
    Kind.REGRESSION: ("r2", "rmse", "mae"),
}
"""Names of the scores by kind of task, the usual one first."""


@final
class TableEvaluator:
    """The worth of pipelines on a table, by cross-validation.

    `scores` are those of `METRICS` over all rows that were judged on, each by a pipeline that had
    not seen it; `params["held_out"]` (rows, outputs) float64 are its probabilities or numbers, NaN
    in rows that are never judged on (the first part, where rows have times). `cost`: "seconds" of
    trying, "latency" (a row, of a thousand predicted at once), "parameters" (numbers held to
    predict, the mean of the folds) and "bytes" (8 a number, or what is kept if it was weighed).
    `evidence`: "folds" (the metric of each) and "warnings". A fidelity below 1 is the share of
    each fold's rows to learn from.

    Arguments:
        task: a table with its target.
        folds: how many parts are judged on in turn.
        seed: decides the folds, which are the same for all designs; the seed of a call decides
            what the pipelines draw.
        metric: one of `METRICS` that stands in the evidence for each fold; None: the usual one.
        space: of the designs; None: `table_pipelines` of the task's kind.
        weigh: whether "bytes" are of what is kept of a fitted pipeline, which takes time to write.

    Raises:
        InputError: there is no such metric, or the table cannot be split so.
    """

    def __init__(
        self,
        task: "TableTask",
        *,
        folds: int = 5,
        seed: int = 0,
        metric: str | None = None,
        space: Record | None = None,
        weigh: bool = False,
    ) -> None:
        known = METRICS[task.kind]
        if metric is not None and metric not in known:
            raise InputError(
                f"'{metric}' is no score of {task.kind} on tables: {did_you_mean(metric, known)}"
            )
        self.task, self.metric, self.weigh = task, metric or known[0], weigh
        self.space = table_pipelines(task.kind.value) if space is None else space
        self.folds: list[Fold] = folds_of(
            task.y,
            folds,
            stream(seed, "folds"),
            classes=task.kind is Kind.CLASSIFICATION,
            groups=task.groups,
            times=task.times,
        )

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """Fits the pipeline once a fold; see `Evaluator`.

        Raises:
            MetawrightError: the pipeline cannot be fitted.
            InputError: the design is not in the space, or `fidelity` no share.
        """
        check_fidelity(fidelity)
        check(self.space, design)
        began = time.perf_counter()
        held_out = np.full((len(self.task.y), _outputs(self.task)), np.nan)
        sizes, told = [], set[str]()
        for number, fold in enumerate(self.folds):
            fitted = self.fitted(design, number, fidelity=fidelity, seed=seed)
            held_out[fold.judge] = fitted.predict(self.task.x.iloc[fold.judge])
            sizes.append(fitted.numbers)
            told |= set(fitted.told)
        judged = ~np.isnan(held_out).any(1)
        scores = table_scores(held_out[judged], self.task.y[judged], self.task.kind)
        parts = [
            table_scores(held_out[fold.judge], self.task.y[fold.judge], self.task.kind)
            for fold in self.folds
        ]
        evidence: dict[str, Any] = {
            "fidelity": fidelity,
            "folds": [part.get(self.metric) for part in parts],
        }
        if told:
            evidence["warnings"] = sorted(told)
        parameters = float(np.mean(sizes))
        cost = {
            "seconds": time.perf_counter() - began,
            "latency": rows_latency(fitted.predict, self.task.x.iloc[fold.judge], repeats=2),
            "parameters": parameters,
            "bytes": _kept(fitted) if self.weigh else 8 * parameters,
        }
        return Evaluation(scores, cost, evidence, {"held_out": torch.from_numpy(held_out)})

    def fitted(
        self, design: Design, number: int, *, fidelity: float = 1.0, seed: int = 0
    ) -> FittedPipeline:
        """The pipeline that is judged on fold `number`, as it was fitted for that.

        Raises:
            MetawrightError: the pipeline cannot be fitted.
        """
        task, fold, rng = self.task, self.folds[number], stream(seed, "fold", number)
        classes = task.kind is Kind.CLASSIFICATION
        rows = fold.learn[share_of(task.y[fold.learn], fidelity, rng, classes=classes)]
        return _fitted(task, design, rows, integer(rng))


def fit_final(task: "TableTask", design: Design, seed: int = 0) -> FittedPipeline:
    """The pipeline of a design, fitted on all rows of the task.

    Raises:
        MetawrightError: the pipeline cannot be fitted.
    """
    return _fitted(task, design, np.arange(len(task.y)), integer(stream(seed, "final")))


def rows_latency(
    predict: Callable[[Any], Any], x: Any, *, rows: int = _ROWS, repeats: int = 3
) -> float:
    """Seconds to predict one row of so many at once, on one thread.

    The least of the repeats: whatever else the machine does only adds to it. After a second none
    is begun any more.

    Arguments:
        x: typed rows (a pandas frame), which are taken again where there are fewer.
    """
    many = x.iloc[np.resize(np.arange(len(x)), rows)]
    least, began = math.inf, time.perf_counter()
    with load("threadpoolctl:threadpool_limits")(1):
        for _ in range(repeats):
            start = time.perf_counter()
            predict(many)
            least = min(least, time.perf_counter() - start)
            if time.perf_counter() - began > 1:
                break
    return least / rows


def _kept(fitted: FittedPipeline) -> float:
    """Bytes of what is kept of a pipeline: its arrays and their description."""
    state = fitted.to_state()
    size = sum(array.nbytes for array in state.arrays.values())
    return float(size + len(json.dumps(state.data)))


def table_scores(answers: NDArray[np.float64], y: NDArray[Any], kind: Kind) -> dict[str, float]:
    """The scores of `METRICS`.

    `auc` is left out where only one class occurs, `r2` where no number differs.

    Arguments:
        answers: probabilities (rows, classes) or numbers (rows, 1); y: (rows,).
    """
    spec = TaskSpec(kind, (), answers.shape[1])
    if kind is Kind.REGRESSION:
        targets: Tensor = torch.from_numpy(np.asarray(y, dtype=np.float64))
        scores = scores_of(torch.from_numpy(answers), targets, spec)
        return scores | {"mae": float(np.abs(answers[:, 0] - y).mean())}
    logits = np.log(np.maximum(answers, np.finfo(np.float64).tiny))
    scores = scores_of(torch.from_numpy(logits), torch.from_numpy(y), spec)
    scores |= {"balanced_accuracy": balanced_accuracy(answers, y)}
    area = area_under_curve(answers, y)
    return scores if area is None else scores | {"auc": area}


def _fitted(
    task: "TableTask", design: Design, rows: NDArray[np.int64], seed: int
) -> FittedPipeline:
    return fit_pipeline(
        task.x.iloc[rows],
        task.y[rows],
        task.columns,
        design,
        kind=task.kind,
        outputs=_outputs(task),
        seed=seed,
    )


def _outputs(task: "TableTask") -> int:
    return len(task.classes) if task.kind is Kind.CLASSIFICATION else 1
