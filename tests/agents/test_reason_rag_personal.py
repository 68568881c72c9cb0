"""The agent over one user's memory, and what its answers cite."""

from __future__ import annotations

import asyncio
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

from memagent import AsyncMemory, Memory
from memagent.agents.reason_rag import (
    Document,
    MemorySearcher,
    NoSearcher,
    ReasonRag,
    Searcher,
    State,
    Step,
    StepSettings,
)
from memagent.agents.reason_rag.citations import cited, without_labels
from memagent.errors import InvalidFilter, InvalidInput, InvalidTime, ModelUnavailable, UnknownName
from memagent.prompts.reason_rag import Wording
from memagent.testing import HashingEncoder, ScriptedModel

with warnings.catch_warnings():
    # LangGraph's own imports warn about each other on some versions.
    warnings.simplefilter("ignore")
    from langgraph.checkpoint.memory import InMemorySaver

REPLIES = (
    "So the next query is <query>sister who lives in Porto",
    "The relevant evidence is <evidence>My sister Ana lives in Porto. [m1]",
    "So the next query is <query>instrument Ana plays",
    "The relevant evidence is <evidence>Ana plays the cello, as said a day later. [{label}]",
    "So the answer is <answer>the cello [{label}]</answer>",
)


@pytest.fixture
def memory() -> Memory:
    made = Memory(":memory:", encoder=HashingEncoder(dim=64), background=False)
    for day, text in enumerate(("My sister Ana lives in Porto.", "Ana plays the cello.", "I bought a red bicycle."), 1):
        made.add(text, user_id="ann", timestamp=datetime(2024, 3, day, tzinfo=UTC))
    made.add("My sister plays the drums.", user_id="bo", timestamp=datetime(2024, 3, 1, tzinfo=UTC))
    return made


def test_it_answers_from_the_users_own_memory_with_citations(memory: Memory) -> None:
    def reply(prompt: object) -> str:
        user = getattr(prompt, "user", "")
        place = len(replies)
        label = next((line for line in user.split("<reference") if "cello" in line), "")
        label = label.partition('id="')[2].partition('"')[0] or known[0]
        known[0] = label
        replies.append(REPLIES[place].format(label=label))
        return replies[-1]

    replies: list[str] = []
    known = ["m1"]
    agent = ReasonRag.for_user(
        ScriptedModel(reply), memory, user_id="ann", retriever="bm25", asked_at=datetime(2024, 5, 1, tzinfo=UTC)
    )
    answer = agent.ask("What does the sister in Porto play?")
    assert (answer.text, answer.known) == ("the cello", True)
    assert {document.text for document in answer.citations} == {
        "My sister Ana lives in Porto.",
        "Ana plays the cello.",
    }
    assert all(memory.get(document.id)["memory"] for document in answer.citations)
    assert all(document.said_at for document in answer.citations)
    assert "drums" not in "".join(step.text for step in answer.state.steps)
    assert agent.settings.wording.personal


def test_what_the_memory_does_not_hold_is_not_known(memory: Memory) -> None:
    model = ScriptedModel(["<query>shoe size", "<evidence>None", "So the answer is <answer>not known"])
    answer = ReasonRag.for_user(model, memory, user_id="ann").ask("What is my shoe size?")
    assert (answer.text, answer.known, answer.citations) == ("not known", False, ())


def test_of_a_user_of_whom_nothing_is_stored_nothing_is_found(memory: Memory) -> None:
    searcher = MemorySearcher(memory, user_id="nobody")
    assert isinstance(searcher, Searcher)
    assert searcher.search("anything", 3) == ()
    assert MemorySearcher(memory, user_id="ann").search("  ", 3) == ()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retriever": "nope"}, UnknownName),
        ({"granularity": "nope"}, UnknownName),
        ({"filters": {"role": {"like": 1}}}, InvalidFilter),
        ({"as_of": "soon"}, InvalidTime),
        ({"user_id": ""}, InvalidInput),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_model_is_asked(
    memory: Memory, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ReasonRag.for_user(ScriptedModel([]), memory, **{"user_id": "ann", **options})


def test_a_memory_that_is_awaited_is_refused() -> None:
    awaited: Any = AsyncMemory(":memory:", encoder=HashingEncoder(), background=False)
    with pytest.raises(InvalidInput, match="awaited"):
        ReasonRag.for_user(ScriptedModel([]), awaited, user_id="ann")
    asyncio.run(awaited.close())


def test_as_of_and_filters_hold_for_every_search(memory: Memory) -> None:
    early = MemorySearcher(memory, user_id="ann", retriever="bm25", as_of="2024-03-01T12:00:00Z")
    assert [one.text for one in early.search("Ana", 5)] == ["My sister Ana lives in Porto."]
    none = MemorySearcher(memory, user_id="ann", retriever="bm25", filters={"role": "assistant"})
    assert none.search("Ana", 5) == ()


def grounded(content: str | None, *documents: Document) -> State:
    step = Step(action="ground", kind="evidence", text="", content=content, query="q", documents=documents)
    return State(question="Who?", steps=(step,))


A = Document(id="a", text="Ilse Varn was born in Norland in 1901.")
B = Document(id="b", text="The Amber Clock is a novel.")


@pytest.mark.parametrize(
    ("evidence", "ids"),
    [
        ("She was born there. [m1]", ["a"]),
        ("Both say so [m1, m2].", ["a", "b"]),
        ("Made up. [m7]", []),
        ("Ilse Varn was born in Norland.", ["a"]),
        ("Ilse Varn was born in Norland. [m9]", ["a"]),
        ("Nothing of the kind is told anywhere.", []),
        (None, []),
    ],
)
def test_citations_are_the_labels_shown_or_the_document_that_holds_the_words(
    evidence: str | None, ids: list[str]
) -> None:
    assert [document.id for document in cited(grounded(evidence, A, B))] == ids


def test_a_memory_that_is_found_again_keeps_its_label() -> None:
    c = Document(id="c", text="Ilse Varn plays the cello.")
    first = Step(action="ground", kind="evidence", text="x", content="She was born in Norland. [m1]", documents=(A, B))
    again = Step(action="ground", kind="evidence", text="x", content="She plays the cello. [m3]", documents=(A, c))
    state = State(question="?", steps=(first, again))
    assert [document.id for document in state.documents] == ["a", "b", "c"]
    assert [document.id for document in cited(state)] == ["a", "c"]


def test_each_question_is_asked_at_its_own_time_and_resumed_at_the_same(memory: Memory) -> None:
    saver = InMemorySaver()
    model = ScriptedModel(
        ["<query>bicycle", ModelUnavailable("gone"), "<evidence>None", "So the answer is <answer>x"], retries=0
    )
    agent = ReasonRag.for_user(model, memory, user_id="ann", retriever="bm25", checkpointer=saver)
    made = datetime.now(UTC)
    with pytest.raises(ModelUnavailable):
        agent.ask("When did I buy it?", thread_id="run")
    told = agent.graph.get_state({"configurable": {"thread_id": "run"}}).values["asked_at"]
    assert datetime.fromisoformat(told) > made
    agent.resume("run")
    assert len({prompt.user.partition("</now>")[0] for prompt in model.prompts}) == 1
    assert f"<now>\n{told[:10]}" in model.prompts[0].user


def test_marks_in_brackets_are_left_in_the_answers_of_others_than_a_user() -> None:
    for personal, text in ((False, "the [M25] road"), (True, "the road")):
        settings = StepSettings(wording=Wording(personal=personal))
        agent = ReasonRag(ScriptedModel(["So the answer is <answer>the [M25] road"]), NoSearcher(), settings=settings)
        assert agent.ask("Which road?").text == text


def test_citation_marks_are_no_part_of_an_answer() -> None:
    assert without_labels("the cello [m1, m2] in Porto [M3]") == "the cello in Porto"
    assert without_labels("[sic]") == "[sic]"
