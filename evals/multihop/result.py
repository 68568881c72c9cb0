"""The result file of ``memagent eval agentic-rag``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.errors import UnknownName
from memagent.evals.multihop.rows import METRICS, HopRow
from memagent.evals.statistics import LEVEL, RESAMPLES, bootstrap, paired_difference
from memagent.machine import machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.evals.multihop.questions import HopSet
    from memagent.evals.multihop.running import HopRun
    from memagent.llm.meter import Prices, Totals

SCHEMA = 1

_ROUNDS = re.compile(r" rounds=\d+\Z")


def build_result(
    run: HopRun,
    *,
    model: Mapping[str, Any] | None,
    against: Mapping[str, str],
    totals: Totals | None = None,
    prices: Prices | None = None,
    encoder: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of a finished run, ready for JSON.

    Each system has a row: its parameters, every metric with its interval over all questions (``metrics``) and over
    those of a type (``by_type``), why attempts failed and stopped, tokens, cost and time, and the paired difference of
    each metric to the system that ``against`` names for its label (``paired``; null for a system without one).
    ``model`` is None where none was asked. ``totals`` is what this run did (``this_run``): a repeated one takes its
    replies from the cache.
    """
    by_label = {label: [row for row in run.rows if row.system == label] for label in run.labels}
    rows = []
    for label, params in zip(run.labels, run.params, strict=True):
        own = by_label[label]
        rows.append(
            {
                "system": label,
                "params": params,
                "n": len(own),
                "metrics": _metrics(own, seed, resamples),
                "by_type": _by_type(own, seed, resamples),
                "failures": dict(Counter(row.failure for row in own if row.failure).most_common()),
                "stopped": dict(Counter(_kind(row.stopped) for row in own if row.stopped).most_common()),
                "spent": _spent(own, prices) if model else None,
                "paired": {"against": against[label], **_paired(own, by_label[against[label]], seed, resamples)}
                if label in against
                else None,
            }
        )
    return {
        "schema": SCHEMA,
        "command": list(command),
        "version": __version__,
        "dataset": dataset_facts(run.data, questions=len(run.questions), left_out=run.left_out),
        "encoder": dict(encoder) if encoder else None,
        "machine": machine(),
        "seed": seed,
        "settings": {"resamples": resamples, "level": LEVEL},
        "model": dict(model) if model else None,
        "this_run": totals.as_dict() if totals else None,
        "rows": rows,
    }


def compared(labels: Sequence[str], baseline: str | None) -> dict[str, str]:
    """For each other label the one that it is compared with.

    That is the one named; else the first one-shot retrieval by the same retriever, for these themselves and where there
    is none the first of all; else the first system. Raises UnknownName when it is not among ``labels``.
    """
    if baseline is not None and baseline not in labels:
        raise UnknownName(f"the baseline {baseline!r} is not evaluated", hint=f"use one of {', '.join(labels)}")
    one_shot = [label for label in labels if label.startswith("rag@")]
    first = baseline or next(iter(one_shot), labels[0])
    own = {} if baseline else {_retriever(label): label for label in reversed(one_shot)}
    pairs = {label: own.get(_retriever(label), first) for label in labels}
    return {label: first if against == label else against for label, against in pairs.items() if label != first}


def _retriever(label: str) -> str:
    """The retriever's name in a system's label."""
    return _ROUNDS.sub("", label.partition(" ")[2])


def dataset_facts(data: HopSet, *, questions: int, left_out: Mapping[str, int]) -> dict[str, Any]:
    """What a result file says about the data."""
    return {
        "name": data.name,
        "files": [asdict(file) for file in data.files],
        "variant": f"split {data.split}",
        "questions": questions,
        "passages": len(data.passages),
        "left_out": dict(left_out),
    }


def _metrics(rows: Sequence[HopRow], seed: int, resamples: int) -> dict[str, dict[str, float]]:
    """Each metric over the rows that have it."""
    figures = {}
    for name in METRICS:
        values = [row.metrics[name] for row in rows if name in row.metrics]
        if values:
            [interval] = bootstrap(np.array(values)[:, None], seed=seed, resamples=resamples)
            figures[name] = {"n": len(values), **_rounded(interval._asdict())}
    return figures


def _by_type(rows: Sequence[HopRow], seed: int, resamples: int) -> dict[str, Any]:
    kinds = sorted({row.type for row in rows})
    return {
        kind: {"n": len(of_kind), "metrics": _metrics(of_kind, seed, resamples)}
        for kind in kinds
        if (of_kind := [row for row in rows if row.type == kind])
    }


def _paired(rows: Sequence[HopRow], baseline: Sequence[HopRow], seed: int, resamples: int) -> dict[str, Any]:
    """Differences over the questions for which both have the metric."""
    other = {row.question_id: row.metrics for row in baseline}
    found = {}
    for name in METRICS:
        pairs = [(row.metrics, other[row.question_id]) for row in rows]
        both = [(ours[name], theirs[name]) for ours, theirs in pairs if name in ours and name in theirs]
        if both:
            ours, theirs = (_column([pair[side] for pair in both]) for side in (0, 1))
            [interval] = paired_difference(ours, theirs, seed=seed, resamples=resamples)
            found[name] = {
                "n": len(both),
                **_rounded({"diff": interval.mean, "low": interval.low, "high": interval.high}),
            }
    return found


def _column(values: Sequence[float]) -> NDArray[np.float64]:
    return np.array(values, np.float64)[:, None]


def _spent(rows: Sequence[HopRow], prices: Prices | None) -> dict[str, Any]:
    from memagent.llm.reply import Usage

    sent, received = sum(row.input_tokens for row in rows), sum(row.output_tokens for row in rows)
    times = [row.milliseconds for row in rows if row.milliseconds is not None]
    return {
        "input_tokens": sent,
        "output_tokens": received,
        "cost": round(prices.cost(Usage(input=sent, output=received)), 9) if prices else None,
        "from_cache": sum(row.cached for row in rows),
        "latency_ms": _percentiles(times),
    }


def _percentiles(times: Sequence[float]) -> dict[str, float] | None:
    if not times:
        return None
    middle, slow = np.percentile(times, [50, 95])
    return {"p50": round(float(middle), 3), "p95": round(float(slow), 3)}


def _kind(stopped: str) -> str:
    """A reason to stop without what differs between questions."""
    if stopped.startswith("The query "):
        return "A query came back again, and an answer was forced."
    return stopped


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in figures.items()}
