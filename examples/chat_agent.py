"""A chat agent on LangGraph: a checkpointer keeps its threads, memagent remembers across threads and processes.

    pip install langgraph-checkpoint-sqlite
    python examples/chat_agent.py --user ann --thread monday --model http://127.0.0.1:8000/v1
    python examples/chat_agent.py --user ann --thread tuesday --model openai:gpt-5-mini

Each line is a message; an empty one ends the talk. ``--model`` is the URL of a server that speaks OpenAI's protocol, a
name for LangChain's ``init_chat_model``, or ``embedded``: a small model in this process whose answers are poor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage, trim_messages
from langgraph.channels import UntrackedValue
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from memagent import Memory
from memagent.integrations import recall_node, remember_node, with_memories
from memagent.llm.chat_models import chat_model

SYSTEM = "You are a friendly assistant. Be brief."


class State(TypedDict):
    """The thread's messages, kept by the checkpointer, and what was recalled, which no checkpoint keeps."""

    messages: Annotated[list[AnyMessage], add_messages]
    recalled: Annotated[str, UntrackedValue]


def build(
    memory: Memory, model: BaseChatModel, checkpointer: BaseCheckpointSaver[str], *, max_tokens: int = 500
) -> CompiledStateGraph[State]:
    """The agent: recall, answer, remember. ``max_tokens`` bounds the memories that the model is shown."""

    def answer(state: State) -> dict[str, Any]:
        # Of a long thread the model sees the end; the rest is remembered.
        recent = trim_messages(
            state["messages"], max_tokens=2000, token_counter="approximate", strategy="last", start_on="human"
        )
        return {"messages": [model.invoke(with_memories(recent, state["recalled"], system=SYSTEM))]}

    graph = StateGraph(State)
    graph.add_node("recall", recall_node(memory, max_tokens=max_tokens))
    graph.add_node("answer", answer)
    graph.add_node("remember", remember_node(memory))
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "answer")
    graph.add_edge("answer", "remember")
    graph.add_edge("remember", END)
    return graph.compile(checkpointer=checkpointer)


def say(agent: CompiledStateGraph[State], user: str, thread: str, text: str) -> Iterator[str]:
    """The agent's answer to a message, in pieces as the model writes them."""
    config: Any = {"configurable": {"user_id": user, "thread_id": thread}}
    message: Any = {"messages": [HumanMessage(text)]}
    for piece, place in agent.stream(message, config, stream_mode="messages"):
        if place["langgraph_node"] == "answer":  # type: ignore[index]
            yield str(piece.text)  # type: ignore[union-attr]


def main() -> None:
    """Talk on the standard streams."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", default="me", help="whose memory it is")
    parser.add_argument("--thread", default="1", help="the conversation; another name begins a new one")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--folder", type=Path, default=Path("chat-agent"), help="where everything is kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        Memory(options.folder / "memory") as memory,
        SqliteSaver.from_conn_string(str(options.folder / "threads.db")) as threads,
    ):
        agent = build(memory, chat_model(options.model), threads)
        for line in iter(lambda: sys.stdin.readline().strip(), ""):
            for piece in say(agent, options.user, options.thread, line):
                print(piece, end="", flush=True)
            print()


if __name__ == "__main__":
    main()
