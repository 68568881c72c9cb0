"""A chat model that keeps what it was shown, and one that writes facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from memagent.prompts.facts import Fact, Facts
from memagent.testing import ScriptedModel


def brief(_messages: Sequence[BaseMessage]) -> AIMessage:
    return AIMessage("I see.")


class Scripted(BaseChatModel):
    """Answers with ``reply(messages)``; ``seen`` are the messages of each call."""

    reply: Callable[[Sequence[BaseMessage]], AIMessage] = brief
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.seen.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def fact_writer(*texts: str) -> ScriptedModel:
    """A language model that finds one of these facts in each turn, one after the other."""
    left = list(texts)

    def reply(prompt: Any) -> Any:
        return Facts(facts=[Fact(text=left.pop(0), messages=[1])]) if prompt.name == "extract-facts" else "{}"

    return ScriptedModel(reply)
