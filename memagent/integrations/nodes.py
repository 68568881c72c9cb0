"""Nodes for a LangGraph graph that remembers its users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableLambda

from memagent.integrations.recalling import Recalling
from memagent.integrations.verbs import AnyMemory, arun, run


def recall_node(memory: AnyMemory, *, key: str = "recalled", **options: Any) -> RunnableLambda[Any, dict[str, str]]:
    """A node that puts the memories that bear on the user's last message into the state, under ``key``.

    They are a block of text for :func:`with_memories`. Declare the key as ``Annotated[str, UntrackedValue]``, so that
    checkpoints do not keep what the memory may have to forget. ``options`` are those of
    :class:`~memagent.integrations.recalling.Recalling`.
    """
    rules = Recalling(memory=memory, **options)

    def recall(state: Mapping[str, Any]) -> dict[str, str]:
        return {key: run(memory, rules.recall(state["messages"]))}

    async def arecall(state: Mapping[str, Any]) -> dict[str, str]:
        return {key: await arun(memory, rules.recall(state["messages"]))}

    return RunnableLambda(recall, afunc=arecall, name="recall")


def remember_node(memory: AnyMemory, **options: Any) -> RunnableLambda[Any, dict[str, Any]]:
    """A node that remembers what the user said last and the answer to it, in a session named like the thread.

    ``options`` are those of :class:`~memagent.integrations.recalling.Recalling`. Run again, it stores nothing twice.
    """
    rules = Recalling(memory=memory, **options)

    def remember(state: Mapping[str, Any]) -> dict[str, Any]:
        run(memory, rules.remember(state["messages"]))
        return {}

    async def aremember(state: Mapping[str, Any]) -> dict[str, Any]:
        await arun(memory, rules.remember(state["messages"]))
        return {}

    return RunnableLambda(remember, afunc=aremember, name="remember")
