"""The result file of a retrieval run: figures with their intervals, and all that is needed to compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.evals.metrics import METRICS
from memagent.evals.retrieval import TOP_K
from memagent.evals.rows import write_text
from memagent.evals.signals import summed_up
from memagent.evals.specs import baseline_label
from memagent.evals.statistics import RESAMPLES, Interval, bootstrap, group_means
from memagent.machine import machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder
    from memagent.evals.retrieval import RetrievalRun

SCHEMA = 1

_MAX_CONVERSATIONS = 50
"""With more users than this, figures by conversation are not written (LongMemEval has a user a question)."""


def encoder_facts(encoder: Encoder, **policy: str) -> dict[str, Any]:
    """What the result file says about the encoder; ``policy`` adds choices such as ``long_text``."""
    return {
        "name": encoder.name,
        "fingerprint": encoder.fingerprint,
        "dim": encoder.dim,
        "max_tokens": encoder.max_tokens,
        **policy,
    }


def build_result(
    run: RetrievalRun,
    *,
    encoder: Mapping[str, Any],
    encode_ms: float,
    command: Sequence[str] = (),
    baseline: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of a finished run, ready for JSON.

    Each retriever has a row: its parameters, every metric with its interval over all questions (``metrics``),
    over those of a type (``by_type``) and of a population (``populations``), the means of each user where
    users have many questions (``by_conversation``), latencies in milliseconds, and the paired difference to the
    retriever labelled ``baseline``, by default the first (``paired``; null for the baseline itself), and what it said
    it decided by (``signals``, see :mod:`memagent.evals.signals`).
    ``encode_ms`` is the median time to encode a question. Raises :class:`UnknownName` when the
    baseline did not run.
    """
    labels = [spec.label for spec in run.specs]
    against = baseline_label(run.specs, baseline)
    figures = _Figures(run, labels, seed=seed, resamples=resamples)
    everything = np.arange(len(run.questions))
    overall = figures.of(everything)
    by_type = {kind: figures.of(rows) for kind, rows in _groups([question.type for question in run.questions]).items()}
    populations = {name: figures.of(rows) for name, rows in _populations(run).items()}
    paired = figures.differences(labels.index(against))
    conversations = figures.by_conversation()
    return {
        "schema": SCHEMA,
        "command": list(command),
        "version": __version__,
        "dataset": _dataset_facts(run),
        "encoder": dict(encoder),
        "machine": machine(),
        "seed": seed,
        "settings": {**asdict(run.settings), "top_k": TOP_K, "resamples": resamples, "level": 0.95},
        "rows": [
            {
                "retriever": spec.label,
                "params": spec.params,
                "n": len(run.questions),
                "metrics": overall[i]["metrics"],
                "by_type": {kind: per_retriever[i] for kind, per_retriever in by_type.items()},
                "populations": {name: per_retriever[i] for name, per_retriever in populations.items()},
                "by_conversation": {name: per_retriever[i] for name, per_retriever in conversations.items()},
                "latency_ms": _latency(run, spec.label, encode_ms if spec.retriever.uses_vector else 0.0),
                "paired": None if spec.label == against else {"against": against, **paired[i]},
                "signals": summed_up(row.signals for row in run.rows if row.retriever == spec.label),
            }
            for i, spec in enumerate(run.specs)
        ],
    }


def differences(
    run: RetrievalRun, against: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any] | None]:
    """For each label the paired difference to the retriever labelled ``against``, as in ``paired`` of the result."""
    labels = [spec.label for spec in run.specs]
    found = _Figures(run, labels, seed=seed, resamples=resamples).differences(labels.index(against))
    return {
        label: None if label == against else {"against": against, **figures}
        for label, figures in zip(labels, found, strict=True)
    }


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result file, as a whole or not at all."""
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


class _Figures:
    """The metrics of a run as an array (questions, retrievers, metrics), and means over parts of it."""

    def __init__(self, run: RetrievalRun, labels: Sequence[str], *, seed: int, resamples: int) -> None:
        found = {(row.question_id, row.retriever): row.metrics for row in run.rows}
        self._values: NDArray[np.float64] = np.array(
            [[[found[question.id, label][name] for name in METRICS] for label in labels] for question in run.questions]
        )
        self._users = [question.user_id for question in run.questions]
        self._seed = seed
        self._resamples = resamples

    def of(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """For each retriever the number of questions and every metric with its interval, over some questions."""
        return [
            {"n": len(rows), "metrics": {name: _rounded(figure._asdict()) for name, figure in figures.items()}}
            for figures in self._intervals(self._values[rows])
        ]

    def differences(self, baseline: int) -> list[dict[str, Any]]:
        """For each retriever the paired difference to one of them, in every metric."""
        return [
            {
                name: _rounded({"diff": figure.mean, "low": figure.low, "high": figure.high})
                for name, figure in figures.items()
            }
            for figures in self._intervals(self._values - self._values[:, [baseline]])
        ]

    def by_conversation(self) -> dict[str, list[dict[str, Any]]]:
        """For each user, for each retriever, the means; empty where a user has hardly more than one question."""
        users = len(set(self._users))
        if users > _MAX_CONVERSATIONS or users * 2 > len(self._users):
            return {}
        means = group_means(self._values, self._users)
        return {
            user: [
                {"n": self._users.count(user), "metrics": _rounded(dict(zip(METRICS, row.tolist(), strict=True)))}
                for row in figures
            ]
            for user, figures in means.items()
        }

    def _intervals(self, values: NDArray[np.float64]) -> list[dict[str, Interval]]:
        """For each retriever, for each metric its interval; all are resampled together, which is fastest."""
        _, retrievers, metrics = values.shape
        flat = bootstrap(values.reshape(len(values), -1), seed=self._seed, resamples=self._resamples)
        return [dict(zip(METRICS, flat[i * metrics : (i + 1) * metrics], strict=True)) for i in range(retrievers)]


def _groups(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The places of each name, names sorted."""
    array = np.asarray(names)
    return {str(name): np.flatnonzero(array == name) for name in sorted(set(names))}


def _populations(run: RetrievalRun) -> dict[str, NDArray[np.int64]]:
    names = sorted({name for question in run.questions for name in question.populations})
    return {name: np.flatnonzero([name in question.populations for question in run.questions]) for name in names}


def _dataset_facts(run: RetrievalRun) -> dict[str, Any]:
    return {
        "name": run.dataset.name,
        "files": [asdict(file) for file in run.dataset.files],
        "variant": run.dataset.variant,
        "questions": len(run.questions),
        "left_out": run.left_out,
        "users": len({question.user_id for question in run.questions}),
    }


def _latency(run: RetrievalRun, label: str, encode_ms: float) -> dict[str, float]:
    times = [row.search_ms for row in run.rows if row.retriever == label]
    middle, slow = np.percentile(times, [50, 95])
    return _rounded({"search_p50": float(middle), "search_p95": float(slow), "encode_p50": encode_ms})


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in figures.items()}
