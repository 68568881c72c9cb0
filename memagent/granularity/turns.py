"""Turns: one user message and the replies to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memagent.records import Message

_OPENING_ROLES = frozenset({"user", "system", "human", "developer"})
MAX_MESSAGES = 32
"""How many messages a turn holds at most.

Agents answer one request with hundreds of tool calls. As one turn they would be embedded and stored anew with each
of them, and found only as a whole.
"""


def joins_previous(message: Message, begun: int = 1) -> bool:
    """Whether a message (a reply, a tool's result) belongs to the turn before it, which has ``begun`` messages."""
    return 0 < begun < MAX_MESSAGES and message.role.lower() not in _OPENING_ROLES


def group_turns(messages: Iterable[Message], *, begun: int = 0) -> list[tuple[Message, ...]]:
    """Messages as turns, in order.

    A user or system message opens a turn; what follows until the next such message belongs to it, up to 32
    messages. Two people talking (every message has the role user) thus give one turn a message. ``begun`` is how many
    messages there are in the turn before; if the first message joins it, the first group is the rest of that turn.
    """
    turns: list[list[Message]] = []
    size = begun
    for message in messages:
        joins = joins_previous(message, size)
        size = size + 1 if joins else 1
        if joins and turns:
            turns[-1].append(message)
        else:
            turns.append([message])
    return [tuple(turn) for turn in turns]


def turn_text(messages: Sequence[Message]) -> str:
    """The text of a turn: a line ``[role]: content`` for each message."""
    return "\n".join(message.line for message in messages)
