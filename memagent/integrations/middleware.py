"""Memory for agents made with LangChain's ``create_agent``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from memagent.errors import MissingExtra
from memagent.integrations.recalling import Recalling, before_last_question, system_with_rule
from memagent.integrations.verbs import AnyMemory, arun, run

try:
    from langchain.agents.middleware import AgentMiddleware
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "langchain":
        raise
    raise MissingExtra("the middleware needs langchain", hint='pip install "memagent[providers]"') from None

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentState, ModelRequest, ModelResponse
    from langgraph.runtime import Runtime


class MemoryMiddleware(AgentMiddleware[Any, Any, Any]):
    """Recalls before each call of the model, and remembers after the agent has answered.

        agent = create_agent(model, tools, middleware=[MemoryMiddleware(memory)])
        agent.invoke({"messages": [...]}, config={"configurable": {"user_id": "ann", "thread_id": "1"}})

    The memories stand in the user's message, at most ``max_tokens`` of them as the encoder counts, and the system
    message says that they are data; neither is kept in the agent's state. What the user said and the answer are stored
    in a session named like the thread; tool calls and their results are not. ``options`` are those of
    :class:`~memagent.integrations.recalling.Recalling`.
    """

    def __init__(self, memory: AnyMemory, **options: Any) -> None:
        super().__init__()
        self._memory = memory
        self._rules = Recalling(memory=memory, **options)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model, with what bears on the user's last message."""
        return handler(_with(request, run(self._memory, self._rules.recall(request.messages))))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Ask the model, with what bears on the user's last message."""
        return await handler(_with(request, await arun(self._memory, self._rules.recall(request.messages))))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Remember the exchange; durable when this returns."""
        run(self._memory, self._rules.remember(state["messages"]))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Remember the exchange; durable when this returns."""
        await arun(self._memory, self._rules.remember(state["messages"]))


def _with(request: ModelRequest[Any], block: str) -> ModelRequest[Any]:
    if not block:
        return request
    return request.override(
        system_message=system_with_rule(request.system_message, block),
        messages=before_last_question(request.messages, block),  # type: ignore[arg-type]
    )
