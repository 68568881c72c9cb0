"""What a chat does with a memory: recall before the model is asked, remember after it has answered.

The rules are the same for the nodes (:mod:`memagent.integrations.nodes`) and for the middleware
(:mod:`memagent.integrations.middleware`). The user comes from the run's configuration, never from a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.config import get_config
from langgraph.runtime import get_runtime

from memagent.bank.filters import compile_filter
from memagent.errors import DuplicateId, InvalidInput, UnknownUser
from memagent.integrations.verbs import AnyMemory, Routine, refuse_other
from memagent.memory.reading import chosen_retriever, whole
from memagent.memory.transcript import transcript
from memagent.prompts.recalled import RECALLED_IS_DATA
from memagent.records import Granularity
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from langgraph.runtime import Runtime

    from memagent.records import Message
    from memagent.retrievers.port import Retriever

_NO_USER = "pass config={'configurable': {'user_id': '...'}} to the run, context={'user_id': '...'}, or user_id= here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalling:
    """How a chat uses a memory.

    ``memory``: a ``Memory``, or an ``AsyncMemory`` for graphs that are awaited. ``user_id``: whose memory it is; None
    takes ``user_id`` from the run's ``configurable`` or context. ``max_tokens`` bounds the memories that one call of
    the model is shown, as the encoder counts them; ``top_k``, ``retriever``, ``granularity`` and ``filters`` say what
    is looked up. What was said in the running thread is left out, since the model sees it anyway; where older messages
    of a thread are cut off, ``this_thread=True`` recalls them too. ``agent_id`` labels what is remembered; ``infer``
    has the memory's language model write facts of it, which ``granularity="fact"`` recalls.
    """

    memory: AnyMemory
    user_id: str | None = None
    max_tokens: int = 1000
    top_k: int = 20
    retriever: Retriever | str | None = None
    granularity: Granularity | str | None = None
    filters: Mapping[str, Any] | None = None
    this_thread: bool = False
    agent_id: str | None = None
    infer: bool = False

    def __post_init__(self) -> None:
        """Refuse now what the first conversation would be refused for."""
        refuse_other(self.memory)
        whole(self.max_tokens, "max_tokens")
        whole(self.top_k, "top_k")
        if self.user_id is not None:
            checked_user_id(self.user_id)
        if self.granularity is not None:
            Granularity.of(self.granularity)
        if self.filters is not None:
            compile_filter(self.filters)
        chosen_retriever(self.memory._core, self.retriever)

    def recall(self, messages: Sequence[BaseMessage]) -> Routine[str]:
        """The block of memories that bear on the last message of the user; "" if there are none."""
        question = asked_last(messages)
        user, thread = self._who()
        if not question.strip():
            return ""
        filters = self._filters(thread)
        try:
            block: str = yield lambda memory: memory.context(
                question,
                user_id=user,
                max_tokens=self.max_tokens,
                top_k=self.top_k,
                retriever=self.retriever,
                granularity=self.granularity,
                filters=filters,
            )
        except UnknownUser:  # the first words of a new user
            return ""
        return block

    def remember(self, messages: Sequence[BaseMessage]) -> Routine[None]:
        """Store the last exchange: what the user said, and the answer to it. Done twice it is stored once."""
        user, thread = self._who()
        said = [_stored(message, thread) for message in last_exchange(messages)]
        if not any(_has_text(fields) for fields in said):
            return

        def add(rest: list[dict[str, Any]]) -> Any:
            return lambda memory: memory.add(
                rest, user_id=user, session_id=thread, agent_id=self.agent_id, infer=self.infer
            )

        try:
            yield add(said)
        except DuplicateId:  # the run was repeated, or is resumed
            if thread is None:
                raise
            known: list[Message]
            known = yield lambda memory: memory._run(transcript(memory._core, thread, user_id=user))
            ids = {message.id for message in known}
            rest = [fields for fields in said if fields["id"] not in ids]
            if any(_has_text(fields) for fields in rest):
                yield add(rest)

    def _who(self) -> tuple[str, str | None]:
        """The user, and the thread if the run has one; raises InvalidInput."""
        configured: Mapping[str, Any] = get_config().get("configurable") or {}
        named = (configured.get("user_id"), _field(_context(), "user_id"))
        if self.user_id is None and all(named) and named[0] != named[1]:
            # One of them may come from outside: neither may take the place of the other.
            raise InvalidInput("configurable and context name different users", hint="name the user in one of the two")
        user = self.user_id or named[0] or named[1]
        if not user:
            raise InvalidInput("the run names no user", hint=_NO_USER)
        thread = configured.get("thread_id")
        return user, None if thread is None else str(thread)

    def _filters(self, thread: str | None) -> dict[str, Any] | None:
        wanted = [self.filters] if self.filters else []
        if thread is not None and not self.this_thread:
            wanted.append({"session_id": {"ne": thread}})
        return {"AND": wanted} if wanted else None


def asked_last(messages: Sequence[BaseMessage]) -> str:
    """The text of the user's last message; "" if there is none."""
    return next((str(message.text) for message in reversed(messages) if isinstance(message, HumanMessage)), "")


def last_exchange(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What the user said last, and what the model answered; calls of tools and their results are left out."""
    place = len(messages)
    while place and not isinstance(messages[place - 1], HumanMessage):
        place -= 1
    begin = place
    while begin and isinstance(messages[begin - 1], HumanMessage):
        begin -= 1
    answers = [m for m in messages[place:] if isinstance(m, AIMessage) and not m.tool_calls]
    return [*messages[begin:place], *answers]


def with_memories(
    messages: Sequence[BaseMessage], block: str, *, system: str | SystemMessage = ""
) -> list[BaseMessage]:
    """What a model is asked: a system message, and ``messages`` with the block before the user's last message.

    The block stands in the user's message, where it has no authority; the system message says that it is data. What is
    given is left as it is.
    """
    instructions = system_with_rule(system, block)
    shown = before_last_question(messages, block)
    return [instructions, *shown] if instructions is not None else shown


def system_with_rule(system: str | SystemMessage | None, block: str) -> SystemMessage | None:
    """A system message, below it the standing instruction if there are memories; None if neither is there."""
    rule = RECALLED_IS_DATA if block else ""
    if isinstance(system, SystemMessage):
        return system.model_copy(update={"content": _joined(system.content, rule)}) if rule else system
    text = "\n\n".join(filter(None, (system, rule)))
    return SystemMessage(text) if text else None


def before_last_question(messages: Sequence[BaseMessage], block: str) -> list[BaseMessage]:
    """The messages, with the block at the beginning of the user's last one."""
    shown = list(messages)
    for place in range(len(shown) - 1, -1, -1):
        if block and isinstance(shown[place], HumanMessage):
            content = shown[place].content
            longer = f"{block}\n\n{content}" if isinstance(content, str) else [_part(block), *content]
            shown[place] = shown[place].model_copy(update={"content": longer})
            break
    return shown


def _joined(content: str | list[str | dict[str, Any]], rule: str) -> str | list[str | dict[str, Any]]:
    return f"{content}\n\n{rule}" if isinstance(content, str) else [*content, _part(rule)]


def _part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _stored(message: BaseMessage, thread: str | None) -> dict[str, Any]:
    """A message as the memory takes it. Its id is the thread's: a copy of a thread has messages with the same ids."""
    user = isinstance(message, HumanMessage)
    return {
        "role": "user" if user else "assistant",
        "content": message.content if user else str(message.text),
        "name": message.name,
        "id": f"{thread}/{message.id}" if thread is not None and message.id else None,
    }


def _has_text(fields: Mapping[str, Any]) -> bool:
    content = fields["content"]
    return bool(content.strip()) if isinstance(content, str) else bool(content)


def _context() -> object:
    """What the graph's run was given as context; None outside of one."""
    runtime: Runtime[Any] | None = get_runtime()
    return None if runtime is None else runtime.context


def _field(context: object, name: str) -> Any:
    return context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
