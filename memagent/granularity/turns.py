"""Turns: one user message and the replies to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memagent.records import Message

_OPENING_ROLES = frozenset({"user", "system", "human", "developer"})


def joins_previous(message: Message) -> bool:
    """Whether a message belongs to the turn before it (a reply or a tool's result) instead of opening one."""
    return message.role.lower() not in _OPENING_ROLES


def group_turns(messages: Iterable[Message]) -> list[tuple[Message, ...]]:
    """Messages as turns, in order.

    A user or system message opens a turn; what follows until the next such message belongs to it. Two people
    talking (every message has the role user) thus give one turn a message.
    """
    turns: list[list[Message]] = []
    for message in messages:
        if turns and joins_previous(message):
            turns[-1].append(message)
        else:
            turns.append([message])
    return [tuple(turn) for turn in turns]


def turn_text(messages: Sequence[Message]) -> str:
    """The text of a turn: a line ``[role]: content`` for each message."""
    return "\n".join(message.line for message in messages)
