"""What fits into a prompt: memories within a number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from memagent.errors import InvalidInput
from memagent.prompts.quoting import memory_element

if TYPE_CHECKING:
    from memagent.answering.values import Evidence
    from memagent.prompts.prompt import Prompt
    from memagent.prompts.quoting import Remembered

CountTokens: TypeAlias = Callable[[str], int]
MakePrompt: TypeAlias = "Callable[[Sequence[Remembered]], Prompt[Any]]"

_BYTES_A_TOKEN = 3
_LONGEST_LABEL = 999
_TEMPLATE = 64
"""Tokens that a chat format puts around system and user text, at most."""


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many: a token for three bytes of UTF-8.

    Tokenizers of today's models need a token for 3.5 to 5 bytes of English and for about 3 of Chinese or Hindi.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN)


def room_for_prompt(window: int, reply: int, most: int | None = None) -> int:
    """The longest prompt beside a reply of ``reply`` tokens where both together have ``window``, at most ``most``.

    Raises InvalidInput if that holds no prompt.
    """
    room = window - reply - _TEMPLATE
    if room < 1:
        raise InvalidInput(
            f"the model's {window} tokens hold no prompt beside a reply of {reply}", hint="allow a shorter reply"
        )
    return room if most is None else min(most, room)


def fitting(
    evidence: Sequence[Evidence], make: MakePrompt, *, max_tokens: int | None, count: CountTokens
) -> tuple[Evidence, ...]:
    """The best memories with which the prompt of ``make`` has at most ``max_tokens`` tokens, in the order they were
    said.

    ``evidence`` comes best first. What does not fit is passed over; if nothing fits, the beginning of the best is
    shown. Raises InvalidInput if the prompt is too long without any memory.
    """
    if max_tokens is None:
        return in_order(evidence)
    bare = make(())
    room = max_tokens - count(f"{bare.system_for(guided=False)}\n{bare.user}")
    if room < 0:
        raise InvalidInput(
            f"{max_tokens} tokens do not hold the instructions and the question",
            hint=f"allow {-room} more, and room for memories",
        )
    kept = []
    left = room
    for memory in evidence:
        cost = _cost(memory, count)
        if cost <= left:
            left -= cost
            kept.append(memory)
    if not kept and evidence:
        beginning = _beginning(evidence[0], room, count)
        kept = [beginning] if beginning else []
    return in_order(kept)


def in_order(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Memories in the order in which they were said."""
    return tuple(sorted(evidence, key=lambda memory: (memory.said_at, memory.key)))


def _cost(memory: Evidence, count: CountTokens) -> int:
    return count(memory_element(memory.labelled(_LONGEST_LABEL))) + 1


def _beginning(memory: Evidence, room: int, count: CountTokens) -> Evidence | None:
    """As many whole lines of the memory as fit, else as many characters; None if there is no room for any."""
    lines = memory.text.splitlines(keepends=True)
    pieces = lines if _cost(replace(memory, text=lines[0] if lines else ""), count) <= room else list(memory.text)
    fits, too_many = 0, len(pieces) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _cost(replace(memory, text="".join(pieces[:middle])), count) <= room:
            fits = middle
        else:
            too_many = middle
    text = "".join(pieces[:fits]).rstrip()
    return replace(memory, text=text, cut=True) if text else None
