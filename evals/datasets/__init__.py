"""Evaluation data: what a case is, and one loader a data set, each reading the official format."""

from __future__ import annotations

from memagent.evals.datasets.cases import DataFile, Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.loading import DATASETS, TEXT_FORMS, load_dataset

__all__ = [
    "DATASETS",
    "TEXT_FORMS",
    "DataFile",
    "Dataset",
    "EvalMessage",
    "EvalSession",
    "History",
    "Question",
    "load_dataset",
]
