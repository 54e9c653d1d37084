"""Scores: learners on many tasks."""

from metawright.evaluate.fewshot import Accuracy, evaluate, predict_alone, summary
from metawright.evaluate.hypotheses import Held, evaluate_hypotheses
from metawright.evaluate.online import OnlineScore, evaluate_online
from metawright.evaluate.regression import Regression, evaluate_regression

__all__ = [
    "Accuracy",
    "Held",
    "OnlineScore",
    "Regression",
    "evaluate",
    "evaluate_hypotheses",
    "evaluate_online",
    "evaluate_regression",
    "predict_alone",
    "summary",
]
