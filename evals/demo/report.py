"""The report: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from memagent.evals.demo import figures, timeline
from memagent.evals.demo.asking import RETRIEVERS
from memagent.evals.demo.findings import (
    METRIC,
    about_abstention,
    by_language,
    clip,
    comparisons,
    interval,
    percent,
    signed,
)

if TYPE_CHECKING:
    from memagent.evals.datasets.cases import Question
    from memagent.evals.demo.running import DemoRun, Gist
    from memagent.evals.demo.walkthrough import ShownHit, WorkedSearch

METRICS = ("recall_all@3", "recall_all@5", "recall_any@5", "recall_all@10", "ndcg_any@10", "ndcg@10", "mrr")


def render(demo: DemoRun, *, at: datetime | None = None) -> str:
    """The whole page. ``at`` is the time it bears; None is now."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("memagent.evals"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "signed": signed, "interval": interval, "clip": clip}
    drawn = {
        "kind": figures.recall_by_kind(demo),
        "user": figures.recall_by_user(demo),
        "latency": figures.latency(demo),
        "units": figures.units(demo),
        "abstention": figures.abstention(demo.scores),
        "wide": timeline.wide(demo),
        "narrow": timeline.narrow(demo),
    }
    return environment.get_template("report.html.j2").render(
        demo=demo,
        at=(at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        result=demo.result,
        machine=demo.result["machine"],
        people=[demo.people[history.user_id] for history in demo.dataset.histories],
        retrievers=RETRIEVERS,
        metrics=METRICS,
        metric=METRIC,
        table=_table(demo.result),
        comparisons=comparisons(demo),
        by_language=by_language(demo),
        about_abstention=about_abstention(demo),
        figures={name: Markup(svg) for name, svg in drawn.items()},  # drawn here, texts escaped
        worked=[_worked(search) for search in demo.walkthrough.worked],
        users=_questions(demo),
        unanswerable=_unanswerable(demo),
        gist=_gist(demo),
    )


def _table(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a retriever: each metric with its interval, and whether it is the highest of its column."""
    best = {name: max(row["metrics"][name]["mean"] for row in result["rows"]) for name in METRICS}
    return [
        {
            "name": row["retriever"],
            "cells": [{**row["metrics"][name], "best": row["metrics"][name]["mean"] == best[name]} for name in METRICS],
            "latency": row["latency_ms"],
        }
        for row in result["rows"]
    ]


def _worked(search: WorkedSearch) -> dict[str, Any]:
    return {"search": search, "hits": [_hit(hit, search) for hit in search.hits], "channels": list(search.channels)}


def _hit(hit: ShownHit, search: WorkedSearch) -> dict[str, Any]:
    """A hit and the parts of its score as shares of the highest score possible, for a bar."""
    highest = sum(channel["weight"] for channel in search.channels.values())
    return {
        "hit": hit,
        "parts": [
            {"name": name, "value": value, "width": round(max(0.0, value) / highest * 100, 2)}
            for name, value in hit.parts.items()
        ],
    }


def _questions(demo: DemoRun) -> list[dict[str, Any]]:
    """The answerable questions by user, each with the ranks of its gold sessions in each retriever."""
    found = {(row.question_id, row.retriever): row for row in demo.run.rows}
    users: dict[str, list[dict[str, Any]]] = {}
    for question in demo.run.questions:
        ranks = {
            name: sorted(
                row.ranked.index(session) + 1 if session in row.ranked else len(row.ranked) + 1 for session in row.gold
            )
            for name, row in ((name, found[question.id, name]) for name in RETRIEVERS)
        }
        users.setdefault(question.user_id, []).append({"question": question, "ranks": ranks})
    return [{"person": demo.people[user_id], "questions": questions} for user_id, questions in users.items()]


def _gist(demo: DemoRun) -> Gist:
    """The session with (the last part of) the first worked search's answer, as an example of what is derived."""
    wanted = demo.walkthrough.worked[0].question.gold_sessions[-1]
    return next(session for session in demo.timeline if session.session_id == wanted)


def _unanswerable(demo: DemoRun) -> list[dict[str, Any]]:
    scores = {(score.question_id, score.retriever): score.score for score in demo.scores}

    def row(question: Question) -> dict[str, Any]:
        return {"question": question, "scores": {name: scores[question.id, name] for name in RETRIEVERS}}

    return [row(question) for question in demo.unanswerable]
