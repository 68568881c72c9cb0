"""Puts the questions to the retrievers: the measured run, the time to encode, and the questions without an answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.encoders.port import Encoder
    from memagent.evals.datasets.cases import Question
    from memagent.evals.retrieval import Progress

RETRIEVERS = ("dense", "bm25", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopScore:
    """The score of the best session for a question; ``answerable`` says whether the history holds the answer."""

    retriever: str
    question_id: str
    answerable: bool
    score: float


def top_scores(memory: Memory, questions: Sequence[Question], tell: Progress) -> tuple[TopScore, ...]:
    """The best session's score for every question and retriever, with nothing hidden."""
    found = []
    for i, question in enumerate(questions):
        tell(i, len(questions), "scores of all questions")
        for retriever in RETRIEVERS:
            reply = memory.search(
                question.text, user_id=question.user_id, top_k=1, retriever=retriever, granularity="session"
            )
            found.append(
                TopScore(
                    retriever=retriever,
                    question_id=question.id,
                    answerable=not question.abstention,
                    score=reply["results"][0]["score"],
                )
            )
    return tuple(found)


def separation(scores: Sequence[TopScore], retriever: str) -> float:
    """How often an answerable question's top score is above that of one without an answer, ties counting half.

    The area under the ROC curve (Mann and Whitney's U over the number of pairs): 0.5 is no better than chance.
    """
    own = [score for score in scores if score.retriever == retriever]
    above = [
        (yes.score > no.score) + (yes.score == no.score) / 2
        for yes in own
        if yes.answerable
        for no in own
        if not no.answerable
    ]
    return sum(above) / len(above)


def encode_times(encoder: Encoder, questions: Sequence[Question]) -> tuple[float, ...]:
    """The milliseconds it takes to encode each question alone."""
    encoder.encode_queries([questions[0].text])  # the first call may load and compile
    times = []
    for question in questions:
        begun = time.perf_counter()
        encoder.encode_queries([question.text])
        times.append((time.perf_counter() - begun) * 1000)
    return tuple(times)
