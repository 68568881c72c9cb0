"""The agent as a graph: its order, its streams, and what a checkpointer saves it from."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from reason_rag_examples import QUESTION, REPLIES, Shelf

from memagent.agents.reason_rag import Budget, Document, ReasonRag, Step, StepSettings, build_graph
from memagent.agents.reason_rag.graph import recursion_limit
from memagent.errors import InvalidInput, ModelUnavailable, NotFound, SearchUnavailable
from memagent.llm import Model
from memagent.llm.wire import Capabilities
from memagent.testing import ScriptedModel
from memagent.testing.models import ScriptedWire

with warnings.catch_warnings():
    # LangGraph's own imports warn about each other on some versions.
    warnings.simplefilter("ignore")
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, StateGraph
    from langgraph.store.memory import InMemoryStore
    from langgraph.types import Command, interrupt

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def test_the_answer_comes_with_what_it_rests_on_and_why_it_stopped() -> None:
    answer = ReasonRag(ScriptedModel(list(REPLIES)), Shelf()).ask(QUESTION)
    assert (answer.text, answer.known, answer.stopped) == ("Norland", True, "It gave an answer.")
    assert [document.id for document in answer.citations] == ["p1", "p2"]
    assert [entry["action"] for entry in answer.trace] == ["begin", "ground", "reason", "ground", "reason"]
    assert "evidence: Ilse Varn was born in Norland." in answer.explained()
    assert answer.usage.input > 0


def test_it_runs_on_an_event_loop_too() -> None:
    agent = ReasonRag(ScriptedModel(list(REPLIES) * 2), Shelf())

    async def both() -> tuple[str, list[Step]]:
        answer = await agent.aask(QUESTION)
        return answer.text, [step async for step in agent.astream(QUESTION)]

    text, steps = asyncio.run(both())
    assert text == "Norland"
    assert [step.kind for step in steps] == ["query", "evidence", "query", "evidence", "answer"]


def test_steps_are_streamed_as_they_are_made() -> None:
    model = ScriptedModel(list(REPLIES))
    agent = ReasonRag(model, Shelf())
    made = [(step.kind, len(model.prompts)) for step in agent.stream(QUESTION)]
    assert made == [("query", 1), ("evidence", 2), ("query", 3), ("evidence", 4), ("answer", 5)]


@pytest.mark.parametrize("rounds", [0, 1, 8])
def test_the_budget_holds_in_the_graph_and_within_langgraphs_limit(rounds: int) -> None:
    numbers = iter(range(100))

    def asks(prompt: Any) -> str:
        if "forced" in prompt.name:
            return "So the answer is <answer>Ann"
        return "<evidence>x" if "evidence" in prompt.name else f"<query>number {next(numbers)}"

    settings = StepSettings(budget=Budget.of_rounds(rounds))
    answer = ReasonRag(ScriptedModel(asks), Shelf(), settings=settings).ask(QUESTION)
    assert (answer.state.searches, answer.state.stopped, answer.text) == (rounds, "budget", "Ann")
    assert recursion_limit(settings) > 3 * rounds + 3


def test_a_run_that_was_cut_off_goes_on_without_asking_again() -> None:
    saver = InMemorySaver()
    first = ScriptedModel([*REPLIES[:3], ModelUnavailable("the server is gone", hint="wait")], retries=0)
    with pytest.raises(ModelUnavailable, match="server is gone"):
        ReasonRag(first, Shelf(), checkpointer=saver).ask(QUESTION, thread_id="run")
    second, shelf = ScriptedModel(list(REPLIES[3:])), Shelf()
    answer = ReasonRag(second, shelf, checkpointer=saver).resume("run")
    assert (answer.text, answer.thread_id) == ("Norland", "run")
    assert len(second.prompts) == 2
    assert shelf.queries == []
    assert ReasonRag(ScriptedModel([]), Shelf(), checkpointer=saver).resume("run").text == "Norland"


def test_after_a_search_that_failed_only_the_search_is_made_again() -> None:
    class Once(Shelf):
        def search(self, query: str, k: int) -> list[Document]:
            found = super().search(query, k)
            if len(self.queries) == 1:
                raise SearchUnavailable("it is down", hint="wait")
            return found

    model = ScriptedModel(list(REPLIES))
    agent = ReasonRag(model, Once(), checkpointer=InMemorySaver())
    with pytest.raises(SearchUnavailable):
        agent.ask(QUESTION, thread_id="run")
    assert len(model.prompts) == 1
    assert agent.resume("run").text == "Norland"
    assert len(model.prompts) == 5


def test_a_checkpoint_file_outlives_the_process(tmp_path: Path) -> None:
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    place = str(tmp_path / "steps.sqlite")
    with sqlite.SqliteSaver.from_conn_string(place) as saver:
        stopped = ScriptedModel([*REPLIES[:2], ModelUnavailable("gone")], retries=0)
        with pytest.raises(ModelUnavailable):
            ReasonRag(stopped, Shelf(), checkpointer=saver).ask(QUESTION, thread_id="run")
    with sqlite.SqliteSaver.from_conn_string(place) as saver:
        answer = ReasonRag(ScriptedModel(list(REPLIES[2:])), Shelf(), checkpointer=saver).resume("run")
    assert answer.text == "Norland"
    assert [len(step.documents) for step in answer.state.steps] == [0, 3, 0, 3, 0]


_KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from langgraph.checkpoint.sqlite import SqliteSaver
from memagent.agents.reason_rag import ReasonRag
from memagent.testing import ScriptedModel
from reason_rag_examples import QUESTION, REPLIES, Shelf

class Slow(SqliteSaver):
    def put(self, *given):
        time.sleep(0.2)
        return super().put(*given)

    def put_writes(self, *given):
        time.sleep(0.2)
        return super().put_writes(*given)

asked = []

def reply(prompt):
    asked.append(prompt.label)
    if len(asked) == 4:
        Path(sys.argv[1], "fourth").touch()
        time.sleep(600)
    return REPLIES[len(asked) - 1]

with Slow.from_conn_string(str(Path(sys.argv[1], "steps.sqlite"))) as saver:
    ReasonRag(ScriptedModel(reply), Shelf(), checkpointer=saver).ask(QUESTION, thread_id="run")
"""


def test_a_process_that_is_killed_between_two_steps_has_kept_all_that_were_made(tmp_path: Path) -> None:
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    begun = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _KILLED, tmp_path, Path(__file__).parent])
    try:
        waited = time.monotonic()
        while not (tmp_path / "fourth").exists():
            assert begun.poll() is None
            assert time.monotonic() - waited < 300
            time.sleep(0.02)
    finally:
        begun.kill()  # SIGKILL
        begun.wait()
    model, shelf = ScriptedModel(list(REPLIES[3:])), Shelf()
    with sqlite.SqliteSaver.from_conn_string(str(tmp_path / "steps.sqlite")) as saver:
        answer = ReasonRag(model, shelf, checkpointer=saver).resume("run")
    assert answer.text == "Norland"
    assert [step.action for step in answer.state.steps] == ["begin", "ground", "reason", "ground", "reason"]
    assert (len(model.prompts), shelf.queries) == (2, [])


def test_one_agent_answers_many_questions_at_once_without_mixing_them() -> None:
    def reply(prompt: Any) -> str:
        number = prompt.user.partition("number ")[2].partition("?")[0]
        if "evidence" in prompt.name:
            return f"<evidence>It is {number}."
        return f"So the answer is <answer>{number}" if "It is" in prompt.user else f"<query>number {number}?"

    agent = ReasonRag(ScriptedModel(reply), Shelf(), checkpointer=InMemorySaver())
    questions = [f"Which is number {number}?" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        in_threads = [answer.text for answer in pool.map(agent.ask, questions)]

    async def at_once() -> list[str]:
        return [answer.text for answer in await asyncio.gather(*map(agent.aask, questions))]

    assert in_threads == asyncio.run(at_once()) == [str(number) for number in range(24)]


def test_the_window_of_a_model_that_thinks_holds_its_thoughts_too() -> None:
    model = Model(ScriptedWire([], Capabilities(max_model_len=4096)), thinking_tokens=1000)
    assert ReasonRag(model, Shelf()).settings.max_prompt_tokens == 4096 - 1000 - 256 - 64


def test_a_new_question_of_the_same_thread_begins_anew() -> None:
    agent = ReasonRag(ScriptedModel(list(REPLIES) * 2), Shelf(), checkpointer=InMemorySaver(), store=InMemoryStore())
    agent.ask(QUESTION, thread_id="run")
    again = agent.ask("Another question?", thread_id="run")
    assert again.question == "Another question?"
    assert len(again.state.steps) == 5


def test_threads_need_a_checkpointer_and_must_have_begun() -> None:
    bare = ReasonRag(ScriptedModel([]), Shelf())
    with pytest.raises(InvalidInput, match="needs a checkpointer"):
        bare.ask(QUESTION, thread_id="run")
    with pytest.raises(InvalidInput, match="keeps no steps"):
        bare.resume("run")
    with pytest.raises(NotFound, match="no run is kept"):
        ReasonRag(ScriptedModel([]), Shelf(), checkpointer=InMemorySaver()).resume("run")
    with pytest.raises(InvalidInput, match="question is empty"):
        bare.ask("  ")


def test_the_graph_is_a_part_like_any_other_of_langgraph() -> None:
    graph = build_graph(ScriptedModel(list(REPLIES)), Shelf())
    values = graph.invoke({"question": QUESTION})
    assert values["answer"] == "Norland"
    assert values["steps"][1]["documents"][0]["id"] == "p1"
    drawn = graph.get_graph()
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("reason", "retrieve"), ("retrieve", "ground"), ("ground", "reason"), ("reason", "answer")} <= edges


class _Outer(TypedDict):
    said: list[str]


def test_asked_in_a_node_of_another_graph_it_leaves_nothing_there_and_answers_what_it_is_asked() -> None:
    model = ScriptedModel([*REPLIES, *(f"So the answer is <answer>{number}" for number in range(3))])
    agent = ReasonRag(model, Shelf())
    questions = iter(["one?", "two?", "three?"])

    def said() -> list[str]:
        answer = agent.ask(next(questions))
        interrupt("go on?")
        return [answer.question, answer.text, *(step.kind for step in agent.stream(QUESTION))]

    saver = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "outer"}}
    builder = StateGraph(_Outer)
    builder.add_node("node", lambda _: {"said": said()})
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"said": []}, config)
    # The node is run again from its beginning: it asks another question.
    assert graph.invoke(Command(resume="yes"), config)["said"] == ["two?", "0", "answer"]
    assert {place.config["configurable"]["checkpoint_ns"] for place in saver.list(None)} == {""}
    assert "Varn" not in repr((saver.blobs, saver.writes))


def test_in_a_node_of_another_graph_its_own_checkpointer_keeps_its_steps() -> None:
    own, saver = InMemorySaver(), InMemorySaver()
    agent = ReasonRag(ScriptedModel(list(REPLIES)), Shelf(), checkpointer=own)
    builder = StateGraph(_Outer)
    builder.add_node("node", lambda _: {"said": [agent.ask(QUESTION, thread_id="run").text]})
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=saver)
    assert graph.invoke({"said": []}, {"configurable": {"thread_id": "outer"}})["said"] == ["Norland"]
    assert agent.resume("run").text == "Norland"
    assert "Varn" not in repr((saver.blobs, saver.writes))


@pytest.mark.parametrize("way", ["aask", "astream", "aresume"])
def test_the_event_loop_goes_on_while_the_agent_connects_to_its_model(way: str) -> None:
    saver = InMemorySaver()
    ReasonRag(ScriptedModel(list(REPLIES)), Shelf(), checkpointer=saver).ask(QUESTION, thread_id="run")
    loops: list[bool] = []

    class Connecting(ScriptedModel):
        @property
        def window(self) -> int | None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                loops.append(False)
            else:
                loops.append(True)
            return None

    agent = ReasonRag(Connecting(list(REPLIES)), Shelf(), checkpointer=saver)

    async def used() -> None:
        if way == "aask":
            await agent.aask(QUESTION)
        elif way == "aresume":
            await agent.aresume("run")
        else:
            assert len([step async for step in agent.astream(QUESTION)]) == 5

    asyncio.run(used())
    assert loops
    assert not any(loops)
