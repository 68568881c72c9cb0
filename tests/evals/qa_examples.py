"""What question answering is tried with: a small data set, and models that answer by script."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from eval_examples import TOPICS, dataset, question

from memagent.answering.steps import AnswerSettings
from memagent.evals.datasets import Dataset
from memagent.evals.qa.asking import parse_source
from memagent.evals.qa.running import QaRun, run_qa
from memagent.evals.qa.settings import QaSettings
from memagent.prompts.answering import MemoryAnswer
from memagent.prompts.prompt import Prompt
from memagent.testing import HashingEncoder
from memagent.testing.models import ScriptedModel

KINDS = ("single-session-user", "multi-session", "temporal-reasoning", "knowledge-update", "single-session-preference")


def small(*, users: int = 2) -> Dataset:
    """Five questions of LongMemEval's types for each user, the answer of each is its topic."""
    made = dataset(users=users)
    names = [history.user_id for history in made.histories]
    asked = [question(name, i, type=KINDS[i]) for name in names for i in range(len(TOPICS))]
    return Dataset(name="tiny", variant="both_roles", files=(), histories=made.histories, questions=tuple(asked))


def unanswerable(user_id: str = "user0") -> Any:
    """A question that the history does not answer."""
    return question(
        user_id,
        0,
        id=f"{user_id}-x_abs",
        text="Which dog did we talk about?",
        type="multi-session",
        answer="No dog was mentioned.",
        gold_sessions=(),
        gold_messages=(),
        no_gold="abstention",
        date=datetime(2025, 2, 1, tzinfo=UTC),
    )


def adversarial() -> Dataset:
    """One question of LoCoMo's fifth category, whose answer is a trap."""
    data = small(users=1)
    return replace(data, questions=(replace(data.questions[0], type="adversarial", answer="a trap"),))


def topic_answer(prompt: Prompt[Any]) -> MemoryAnswer:
    """Answers with the topic of the question."""
    asked = prompt.user.partition("<question>")[2]
    topic = next((topic for topic in TOPICS if topic in asked), "")
    return MemoryAnswer(citations=["m1"] if topic else [], known=bool(topic), answer=topic or "I do not know.")


def yes(prompt: Prompt[Any]) -> str:
    return "yes"


def run(data: Dataset, reader: ScriptedModel, judge: ScriptedModel | None = None, **options: Any) -> QaRun:
    """A run with BM25 over turns."""
    settings = {
        "answer": AnswerSettings(max_tokens=100_000),
        "top_k": 3,
        "criteria": "longmemeval",
        **options.pop("settings", {}),
    }
    source = options.pop("source", "bm25")
    return run_qa(
        data,
        parse_source(source),
        HashingEncoder(dim=64),
        reader=reader,
        judge=judge,
        settings=QaSettings(**settings),
        **options,
    )
