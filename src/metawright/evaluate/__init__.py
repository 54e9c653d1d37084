"""Scores: learners on many tasks."""

from metawright.evaluate.fewshot import Accuracy, evaluate, predict_alone, summary

__all__ = ["Accuracy", "evaluate", "predict_alone", "summary"]
