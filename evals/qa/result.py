"""The result file of a question-answering run, in the shape of ``eval retrieval``'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.evals.qa.texts import BertModel, TextScores, text_scores
from memagent.evals.statistics import LEVEL, RESAMPLES, bootstrap
from memagent.llm.reply import Usage
from memagent.machine import machine

if TYPE_CHECKING:
    from memagent.evals.qa.rows import AnswerRow, Spent
    from memagent.evals.qa.running import QaRun
    from memagent.llm.meter import Prices, Totals

SCHEMA = 1
ACCURACY = "accuracy"
F1 = "f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model of the run, as the result file names it."""

    name: str
    identity: str
    prices: Prices | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the result file."""
        prices = asdict(self.prices) if self.prices else None
        return {"name": self.name, "identity": self.identity, "prices_per_million": prices}


def build_result(
    run: QaRun,
    *,
    encoder: Mapping[str, Any],
    reader: Asked,
    judge: Asked | None,
    totals: Totals,
    prefix_cache: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    seed: int = 0,
    bert: BertModel | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of a finished run, ready for JSON.

    Its one row has every metric with its interval over the questions that it applies to (``metrics``), the same by
    question type (``by_type``), over the questions that have an answer and over those that have none (``populations``),
    the mean over types of the accuracies (``task_averaged``), scores of all answers together (``corpus``), and for
    reader and judge tokens, cost and latency (``spent``). ``totals`` are the calls of this process alone
    (``this_run``): a repeated run takes its replies from the cache. ``prefix_cache`` is what
    :meth:`Served.prefix_cache <memagent.evals.qa.serving.Served.prefix_cache>` tells of the same calls.
    ``metrics_left_out`` says which could not be computed, and why.
    """
    texts = _texts(run, bert)
    figures = _Figures(run.rows, texts, seed=seed, resamples=resamples)
    by_type = _grouped(run.rows, lambda row: row.type)
    populations = _grouped(run.rows, lambda row: "unanswerable" if row.unanswerable else "answerable")
    row = {
        "retriever": run.source.label,
        "params": run.source.params,
        "n": len(run.rows),
        "metrics": figures.of(range(len(run.rows))),
        "by_type": {kind: {"n": len(places), "metrics": figures.of(places)} for kind, places in by_type.items()},
        "populations": {
            name: {"n": len(places), "metrics": figures.of(places)} for name, places in populations.items()
        },
        "task_averaged": _task_averaged(run.rows, by_type),
        "corpus": {name: round(value, 6) for name, value in texts.corpus.items()},
        "failures": dict(Counter(row.failure for row in run.rows if row.failure).most_common()),
        "dropped_citations": sum(row.dropped_citations for row in run.rows),
        "spent": {
            "reader": _spent([row.reader for row in run.rows], reader.prices),
            "judge": _spent([row.judge for row in run.rows], judge.prices) if judge else None,
        },
        "search_ms": _percentiles([row.search_ms for row in run.rows]),
    }
    return {
        "schema": SCHEMA,
        "command": list(command),
        "version": __version__,
        "dataset": {
            "name": run.dataset.name,
            "files": [asdict(file) for file in run.dataset.files],
            "variant": run.dataset.variant,
            "questions": len(run.questions),
            "left_out": run.left_out,
            "users": len({question.user_id for question in run.questions}),
        },
        "encoder": dict(encoder),
        "machine": machine(),
        "seed": seed,
        "settings": {**run.settings.as_dict(), "resamples": resamples, "level": LEVEL},
        "reader": {**reader.as_dict(), "prompts": _prompts(run.rows)},
        "judge": {**judge.as_dict(), "criteria": run.criteria} if judge else None,
        "scored_by": _scored_by(run, judge),
        "this_run": {**totals.as_dict(), "prefix_cache": dict(prefix_cache or {})},
        "metrics_left_out": texts.left_out,
        "rows": [row],
    }


class _Figures:
    """Means with their intervals, each over the rows that have the metric."""

    def __init__(self, rows: Sequence[AnswerRow], texts: TextScores, *, seed: int, resamples: int) -> None:
        self._values = [dict(row.metrics) for row in rows]
        for at, place in enumerate(_compared(rows)):
            self._values[place] |= {name: scores[at] for name, scores in texts.each.items()}
        self._seed = seed
        self._resamples = resamples

    def of(self, places: Sequence[int]) -> dict[str, dict[str, float]]:
        """Every metric over the rows at these places."""
        figures = {}
        for name in dict.fromkeys(name for place in places for name in self._values[place]):
            found = [self._values[place][name] for place in places if name in self._values[place]]
            [interval] = bootstrap(np.array(found)[:, None], seed=self._seed, resamples=self._resamples)
            figures[name] = {"n": len(found), **{end: round(at, 6) for end, at in interval._asdict().items()}}
        return figures


def _texts(run: QaRun, bert: BertModel | None) -> TextScores:
    """Overlaps of the texts of those rows that have a reference to compare with."""
    compared = [run.rows[place] for place in _compared(run.rows)]
    return text_scores([row.hypothesis for row in compared], [row.reference for row in compared], bert=bert)


def _compared(rows: Sequence[AnswerRow]) -> list[int]:
    """The places of those rows whose answer was compared with a reference: letters and traps are none."""
    return [place for place, row in enumerate(rows) if F1 in row.metrics]


def _grouped(rows: Sequence[AnswerRow], name: Callable[[AnswerRow], str]) -> dict[str, list[int]]:
    """The places of the rows of each group, groups sorted."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(name(row), []).append(place)
    return dict(sorted(found.items()))


def _task_averaged(rows: Sequence[AnswerRow], by_type: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """The mean over the types of their accuracies, as LongMemEval reports it."""
    accuracies = [
        float(np.mean([rows[place].metrics[ACCURACY] for place in places]))
        for places in by_type.values()
        if ACCURACY in rows[places[0]].metrics
    ]
    return {ACCURACY: round(float(np.mean(accuracies)), 6)} if accuracies else {}


def _spent(parts: Sequence[Spent], prices: Prices | None) -> dict[str, Any]:
    """Tokens of all questions as their replies were made, their cost, and the time of those that were not cached."""
    sent, received = sum(part.input_tokens for part in parts), sum(part.output_tokens for part in parts)
    return {
        "input_tokens": sent,
        "output_tokens": received,
        "tokens_per_question": round((sent + received) / len(parts), 3),
        "cost": round(prices.cost(Usage(input=sent, output=received)), 9) if prices else None,
        "from_cache": sum(part.cached for part in parts),
        "latency_ms": _percentiles([part.milliseconds for part in parts if part.milliseconds is not None]),
    }


def _percentiles(times: Sequence[float]) -> dict[str, float] | None:
    if not times:
        return None
    middle, slow = np.percentile(times, [50, 95])
    return {"p50": round(float(middle), 3), "p95": round(float(slow), 3)}


def _prompts(rows: Sequence[AnswerRow]) -> list[str]:
    return sorted({label for row in rows for label in row.trace.get("prompts", ())})


def _scored_by(run: QaRun, judge: Asked | None) -> str:
    if any(question.options for question in run.questions):
        return "option letters"
    return f"judge, criteria of {run.criteria}" if judge else "token overlap only"
