from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.granularity import MAX_MESSAGES, group_turns, joins_previous, turn_text
from memagent.records import Attachment, Message

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def said(role: str, content: str = "x") -> Message:
    return Message(role=role, content=content, event_at=NOW)


def grouped(*roles: str) -> list[list[str]]:
    return [[message.role for message in turn] for turn in group_turns(said(role) for role in roles)]


@pytest.mark.parametrize(
    ("roles", "turns"),
    [
        ((), []),
        (("user",), [["user"]]),
        (("user", "assistant"), [["user", "assistant"]]),
        (("user", "user"), [["user"], ["user"]]),
        (("user", "assistant", "user", "assistant"), [["user", "assistant"], ["user", "assistant"]]),
        (("assistant", "user"), [["assistant"], ["user"]]),
        (("assistant", "assistant"), [["assistant", "assistant"]]),
        (("user", "assistant", "tool", "assistant"), [["user", "assistant", "tool", "assistant"]]),
        (("system", "user", "assistant"), [["system"], ["user", "assistant"]]),
        (("developer", "human", "ai"), [["developer"], ["human", "ai"]]),
        (("tool", "user"), [["tool"], ["user"]]),
    ],
)
def test_a_user_or_system_message_opens_a_turn(roles: tuple[str, ...], turns: list[list[str]]) -> None:
    assert grouped(*roles) == turns


@given(st.lists(st.builds(said, st.sampled_from(["user", "assistant", "tool", "system", "Ann"]), st.text(max_size=3))))
def test_grouping_keeps_every_message_once_and_in_order(messages: list[Message]) -> None:
    turns = group_turns(messages)
    assert [message for turn in turns for message in turn] == messages
    assert all(turns)
    for number, turn in enumerate(turns):
        assert number == 0 or not joins_previous(turn[0])
        assert all(joins_previous(message) for message in turn[1:])


@given(st.lists(st.builds(said, st.sampled_from(["user", "assistant", "tool"])), min_size=1), st.integers(0, 20))
def test_a_conversation_in_two_pieces_has_the_turns_of_the_whole(messages: list[Message], cut: int) -> None:
    assert in_two_pieces(messages, cut) == group_turns(messages)


def in_two_pieces(messages: list[Message], cut: int) -> list[tuple[Message, ...]]:
    head = group_turns(messages[:cut])
    begun = len(head[-1]) if head else 0
    tail = group_turns(messages[cut:], begun=begun)
    if tail and joins_previous(tail[0][0], begun):
        head[-1] += tail.pop(0)
    return head + tail


@pytest.mark.parametrize("cut", [0, 1, 10, 31, 32, 33, 64, 69])
def test_a_request_with_very_many_replies_is_several_turns(cut: int) -> None:
    messages = [said("user"), *(said("tool", str(number)) for number in range(68)), said("user")]
    turns = in_two_pieces(messages, cut)
    assert [len(turn) for turn in turns] == [MAX_MESSAGES, MAX_MESSAGES, 69 - 2 * MAX_MESSAGES, 1]
    assert turns == group_turns(messages)


def test_the_case_of_a_role_does_not_matter() -> None:
    assert grouped("User", "Assistant", "USER", "Assistant") == [["User", "Assistant"], ["USER", "Assistant"]]


def test_a_turn_is_shown_a_line_a_message() -> None:
    picture = Message(role="user", content="", event_at=NOW, attachments=(Attachment(kind="image_url"),))
    assert turn_text([picture, said("assistant", "A beagle!\nHow nice.")]) == (
        "[user]: (image_url)\n[assistant]: A beagle!\nHow nice."
    )
