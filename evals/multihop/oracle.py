"""How much searching in steps could add: the data set's own decompositions as queries, and no model.

Each part of a question is searched for with the right answers of the parts before it in place of ``#1``, ``#2`` ... .
What is found is compared with one search for the question itself that gives the same number of distinct passages, so
that neither has more room. It bounds from above what an agent can gain: real ones have to find the parts themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memagent.agents.reason_rag.searching import Document, Searcher, searched
from memagent.errors import InvalidInput
from memagent.evals.multihop.rows import HopRow, recall_of
from memagent.evals.multihop.running import HopRun, within

if TYPE_CHECKING:
    from memagent.evals.multihop.questions import HopQuestion, HopSet
    from memagent.evals.retrieval import Progress

_PLACE = re.compile(r"#(\d+)")


def run_oracle(
    data: HopSet,
    searchers: Mapping[str, Searcher],
    *,
    top_ks: Sequence[int] = (1, 2, 3, 5),
    limit: int | None = None,
    progress: Progress | None = None,
) -> tuple[HopRun, dict[str, str]]:
    """The rows of both ways for each searcher and each k of ``top_ks``, and which label is compared with which.

    ``k`` passages are found for each part. Raises InvalidInput where no question says its parts.
    """
    questions, left_out = within(data, limit)
    asked = tuple(question for question in questions if question.hops and question.gold)
    if not asked:
        raise InvalidInput(f"no question of {data.name} says its parts", hint="MuSiQue's do, and the made-up world's")
    if len(asked) < len(questions):
        left_out["without parts or gold passages"] = len(questions) - len(asked)
    pairs = {(name, k): (f"parts@{k} {name}", f"one search {name} for parts@{k}") for name in searchers for k in top_ks}
    rows: list[HopRow] = []
    for place, question in enumerate(asked):
        for (name, k), (stepwise, at_once) in pairs.items():
            searches = [searched(searchers[name], query, k) for query in part_queries(question)]
            found = _distinct(searches)
            rows.append(_row(question, stepwise, found, searches=len(searches)))
            once = _distinct([searched(searchers[name], question.text, len(found))] if found else [])
            rows.append(_row(question, at_once, once, searches=1))
        if progress:
            progress(place + 1, len(asked), question.id)
    labels = tuple(label for pair in pairs.values() for label in pair)
    params = tuple({"top_k": k, "by": by} for _, k in pairs for by in ("parts", "question"))
    run = HopRun(data=data, labels=labels, params=params, questions=asked, left_out=left_out, rows=tuple(rows))
    return run, dict(pairs.values())


def part_queries(question: HopQuestion) -> list[str]:
    """The parts of a question, each with the right answers of earlier ones put in.

    A reference to a part that does not come before it is left as it stands.
    """
    known = [hop.answer for hop in question.hops]

    def put_in(match: re.Match[str], before: int) -> str:
        number = int(match[1])
        return known[number - 1] if 1 <= number <= before else match[0]

    return [
        _PLACE.sub(lambda match, before=before: put_in(match, before), hop.question)  # type: ignore[misc]
        for before, hop in enumerate(question.hops)
    ]


def _distinct(searches: Sequence[Sequence[Document]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(document.id for search in searches for document in search))


def _row(question: HopQuestion, system: str, found: tuple[str, ...], *, searches: int) -> HopRow:
    return HopRow(
        system=system,
        question_id=question.id,
        type=question.type,
        question=question.text,
        answers=question.answers,
        hypothesis="",
        gold=question.gold,
        found=found,
        metrics={**recall_of(question, found), "searches": float(searches), "passages": float(len(found))},
        stopped="",
        failure="",
        input_tokens=0,
        output_tokens=0,
        cached=False,
        milliseconds=None,
    )
