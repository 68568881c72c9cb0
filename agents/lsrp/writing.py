"""The subordinate's text as a flow (see :mod:`memagent.llm.flow`): which prompt fits the model, and what it replied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memagent.agents.lsrp.ports import PrivateTask
from memagent.answering.budget import CountTokens, estimated_tokens, fitting, room_for_prompt
from memagent.answering.values import Evidence
from memagent.errors import InvalidInput
from memagent.llm.flow import Steps, asked
from memagent.llm.reply import Usage
from memagent.prompts.lsrp import subordinate
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import Remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSettings:
    """How the device writes: at most ``max_tokens`` of text (768 as published), from a prompt of at most
    ``max_prompt_tokens`` as ``count`` counts them (None: unbounded).
    """

    max_tokens: int = 768
    max_prompt_tokens: int | None = 8192
    count: CountTokens = estimated_tokens

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_prompt_tokens"):
            value = getattr(self, name)
            if not (value is None and name == "max_prompt_tokens") and (type(value) is not int or value < 1):
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a whole number, at least 1")

    def within(self, window: int | None) -> WriteSettings:
        """These settings for a model whose prompt and text together have at most ``window`` tokens, if that is known.

        Raises InvalidInput if that holds no prompt beside a text.
        """
        if window is None:
            return self
        return replace(self, max_prompt_tokens=room_for_prompt(window, self.max_tokens, self.max_prompt_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the model wrote, and of the user's texts the memories (ids) and writings (titles) that it was shown."""

    text: str
    prompt: str
    usage: Usage
    truncated: bool
    memories: tuple[str, ...]
    writings: tuple[str, ...]


def write_draft(
    task: PrivateTask, guideline: str, memories: Sequence[Evidence], settings: WriteSettings
) -> Steps[Draft]:
    """The text, from a guideline and as much of the user's data as fits; ``memories`` come best first.

    Earlier texts that are among the memories are shown once. Where not all fits, memories are passed over, then the
    last of the earlier texts left out. Raises InvalidInput if task, profile and guideline alone are too long.
    """
    prompt, shown, kept = fitted(task, guideline, memories, settings)
    reply = yield from asked(prompt)
    return Draft(
        text=reply.value.strip(),
        prompt=prompt.label,
        usage=reply.usage,
        truncated=reply.truncated,
        memories=tuple(memory.id for memory in kept),
        writings=tuple(one.title for one in shown.history),
    )


def holds(task: PrivateTask, guideline: str, settings: WriteSettings) -> bool:
    """Whether a prompt has room for a guideline, beside the task and the profile alone."""
    try:
        fitted(replace(task, history=()), guideline, (), settings)
    except InvalidInput:
        return False
    return True


def fitted(
    task: PrivateTask, guideline: str, memories: Sequence[Evidence], settings: WriteSettings
) -> tuple[Prompt[str], PrivateTask, tuple[Evidence, ...]]:
    """The prompt that fits, with the task and the memories that it shows."""
    once = tuple(one for one in task.history if not any(one.text in memory.text for memory in memories))
    for length in range(len(once), -1, -1):
        shown = replace(task, history=once[:length])

        def make(some: Sequence[Remembered], shown: PrivateTask = shown) -> Prompt[str]:
            return subordinate(guideline, shown, some, max_tokens=settings.max_tokens)

        try:
            kept = fitting(memories, make, max_tokens=settings.max_prompt_tokens, count=settings.count)
        except InvalidInput:
            if not length:
                raise InvalidInput(
                    f"{settings.max_prompt_tokens} tokens do not hold the task, the profile and the guideline",
                    hint="shorten the profile, or use a model with a longer window",
                ) from None
            continue
        return make([memory.labelled(number) for number, memory in enumerate(kept, start=1)]), shown, kept
    raise AssertionError("the loop ends by returning or raising")
