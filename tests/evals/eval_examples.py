"""A tiny data set, and a run on it with invented rankings."""

from __future__ import annotations

from datetime import UTC, datetime

from memagent.evals.datasets import Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.gold import gold_units, score_question, scored_questions
from memagent.evals.retrieval import RetrievalRun, RetrievalSettings
from memagent.evals.rows import QuestionRow
from memagent.evals.specs import parse_specs

TOPICS = ("cello lessons", "marathon training", "a leaking boiler", "tomato seedlings", "a trip to Norway")


def history(user_id: str, *, dated: bool = True) -> History:
    return History(
        user_id=user_id,
        sessions=tuple(
            EvalSession(
                id=f"{user_id}-s{i}",
                date=datetime(2025, 1, 1 + i, tzinfo=UTC) if dated else None,
                messages=(
                    EvalMessage(id=f"{user_id}-s{i}:0", role="user", content=f"Let us talk about {topic}."),
                    EvalMessage(id=f"{user_id}-s{i}:1", role="assistant", content=f"Gladly: {topic} it is."),
                ),
            )
            for i, topic in enumerate(TOPICS)
        ),
    )


def question(user_id: str, i: int, **changes: object) -> Question:
    session = f"{user_id}-s{i}"
    fields: dict[str, object] = {
        "id": f"{user_id}-q{i}",
        "user_id": user_id,
        "text": f"What did we say about {TOPICS[i]}?",
        "type": "even" if i % 2 == 0 else "odd",
        "answer": TOPICS[i],
        "date": datetime(2025, 2, 1, tzinfo=UTC),
        "gold_sessions": (session,),
        "gold_messages": (f"{session}:0", f"{session}:1"),
        "populations": ("user_evidence",) if i < 2 else (),
        **changes,
    }
    return Question(**fields)  # type: ignore[arg-type]


def dataset(*, users: int = 2) -> Dataset:
    names = [f"user{n}" for n in range(users)]
    return Dataset(
        name="tiny",
        variant="both_roles",
        files=(),
        histories=tuple(history(name) for name in names),
        questions=tuple(question(name, i) for name in names for i in range(len(TOPICS))),
    )


def finished_run(*labels: str) -> RetrievalRun:
    """A run in which the first retriever finds every gold session at rank 1, the second at rank 2, and so on."""
    data = dataset()
    questions, left_out = scored_questions(data, "session")
    specs = parse_specs(labels)
    rows = []
    for item in questions:
        for place, spec in enumerate(specs):
            gold = gold_units(item, "session", {})
            others = [f"{item.user_id}-s{i}" for i in range(5) if f"{item.user_id}-s{i}" not in gold]
            ranked = (*others[:place], *gold, *others[place:])
            rows.append(
                QuestionRow(
                    retriever=spec.label,
                    question_id=item.id,
                    user_id=item.user_id,
                    type=item.type,
                    gold=gold,
                    ranked=ranked,
                    metrics=score_question(item, ranked, gold, "session"),
                    search_ms=1.0 + place,
                )
            )
    return RetrievalRun(
        dataset=data,
        specs=specs,
        settings=RetrievalSettings(),
        questions=questions,
        left_out=left_out,
        rows=tuple(rows),
    )
