"""A session as a LangChain chat history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from memagent.errors import InvalidInput, UnknownUser
from memagent.integrations.verbs import AnyMemory, Routine, arun, refuse_other, run
from memagent.memory.messages import as_label
from memagent.memory.transcript import transcript
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Message

_KINDS: dict[str, type[HumanMessage | AIMessage | SystemMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
}


class MemagentChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session of a user, for ``RunnableWithMessageHistory`` and whoever else keeps such a history.

    What is added is remembered: it is found by searches, in this session and in the user's others. ``messages`` gives
    the session back as it was said, its texts, names and ids. What a message holds besides text comes back as no part
    of it: pictures, and the calls of tools; a message that is nothing but calls, or the answer of a tool, is
    remembered and left out. ``clear`` deletes the session's memories.

    ``memory``: a ``Memory``, or an ``AsyncMemory`` for the methods that are awaited. LangChain has deprecated the base
    class in favour of checkpointers: for agents see :mod:`memagent.integrations.middleware`.
    """

    def __init__(self, memory: AnyMemory, *, user_id: str, session_id: str, agent_id: str | None = None) -> None:
        refuse_other(memory)
        super().__init__()
        self._memory = memory
        self._user = checked_user_id(user_id)
        if as_label(session_id, "session_id") is None:
            raise InvalidInput("no session is named", hint="pass session_id='...', one for each conversation")
        self._session = session_id
        self._agent = agent_id

    @property
    def messages(self) -> list[BaseMessage]:
        """The session's messages."""
        return run(self._memory, self._read())

    @messages.setter
    def messages(self, messages: list[BaseMessage]) -> None:
        raise InvalidInput("a history cannot be replaced", hint="use clear() and add_messages()")

    async def aget_messages(self) -> list[BaseMessage]:
        """The session's messages."""
        return await arun(self._memory, self._read())

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Remember messages; durable when this returns."""
        run(self._memory, self._add(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Remember messages; durable when this returns."""
        await arun(self._memory, self._add(messages))

    def clear(self) -> None:
        """Delete the session's memories."""
        run(self._memory, self._clear())

    async def aclear(self) -> None:
        """Delete the session's memories."""
        await arun(self._memory, self._clear())

    def _read(self) -> Routine[list[BaseMessage]]:
        said: list[Message]
        said = yield lambda memory: memory._run(transcript(memory._core, self._session, user_id=self._user))
        return [as_langchain(message) for message in said if message.role != "tool" and message.content.strip()]

    def _add(self, messages: Sequence[BaseMessage]) -> Routine[None]:
        if not messages:
            return
        yield lambda memory: memory.add(
            list(messages), user_id=self._user, session_id=self._session, agent_id=self._agent
        )

    def _clear(self) -> Routine[None]:
        try:
            yield lambda memory: memory.delete_all(user_id=self._user, session_id=self._session)
        except UnknownUser:
            return


def as_langchain(message: Message) -> BaseMessage:
    """A message that was remembered, as LangChain has it; of its content the text."""
    kind = _KINDS.get(message.role)
    if kind is None:
        return ChatMessage(role=message.role, content=message.content, id=message.id, name=message.name)
    return kind(content=message.content, id=message.id, name=message.name)
