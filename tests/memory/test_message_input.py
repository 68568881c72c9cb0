from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from memagent import MemagentError, Message, Session
from memagent.errors import DuplicateId, InvalidInput, InvalidMessage, InvalidTime
from memagent.memory.messages import as_label, as_messages, as_metadata, as_session, as_sessions
from memagent.records import Attachment

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def read(value: object, limit: int = 1 << 20) -> list[Message]:
    return list(as_messages(value, at=NOON, limit=limit))


def short(value: object) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in read(value)]


# shapes


def test_a_text_is_a_note_of_the_user() -> None:
    (note,) = read("I keep bees.")
    assert (note.role, note.content, note.bare, note.event_at) == ("user", "I keep bees.", True, NOON)
    assert note.line == "I keep bees."
    assert note.id


def test_a_dict_is_one_message() -> None:
    (said,) = read({"role": " assistant ", "content": "Hello", "name": "Max", "id": "m1"})
    assert (said.role, said.content, said.name, said.id, said.bare) == ("assistant", "Hello", "Max", "m1", False)


def test_a_list_may_mix_all_shapes_and_keeps_their_order() -> None:
    mixed = [
        "a note",
        {"role": "user", "content": "a dict"},
        Message(role="user", content="a Message", event_at=NOON),
        HumanMessage("from LangChain"),
    ]
    assert [content for _, content in short(mixed)] == ["a note", "a dict", "a Message", "from LangChain"]
    assert short(tuple(mixed)) == short(mixed)


def test_any_mapping_is_as_good_as_a_dict() -> None:
    class Frozen(Mapping[str, Any]):
        def __init__(self, **fields: Any) -> None:
            self._fields = fields

        def __getitem__(self, key: str) -> Any:
            return self._fields[key]

        def __iter__(self) -> Any:
            return iter(self._fields)

        def __len__(self) -> int:
            return len(self._fields)

    assert short(Frozen(role="user", content="hello")) == [("user", "hello")]


def test_text_is_kept_to_the_letter() -> None:
    odd = "  Cafe\u0301 \u00a0 \0 \r\n\t\U0001f600 \u202eabc  "
    assert read(odd)[0].content == odd
    assert read({"role": "user", "content": odd})[0].content == odd


def test_content_parts_give_text_and_attachments() -> None:
    (said,) = read(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What breed is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/rex.jpg"}},
                {"type": "image_url", "image_url": "https://example.com/rex2.jpg"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "image", "url": "https://example.com/rex3.jpg"},
                {"type": "input_audio", "input_audio": {"data": "AAAA"}},
                {"type": "image_url", "image_url": None},
                "and this?",
                {},
            ],
        }
    )
    assert said.content == "What breed is this?\nand this?"
    assert said.attachments == (
        Attachment(kind="image_url", reference="https://example.com/rex.jpg"),
        Attachment(kind="image_url", reference="https://example.com/rex2.jpg"),
        Attachment(kind="image_url", reference="inline"),
        Attachment(kind="file", reference="file-1"),
        Attachment(kind="image", reference="https://example.com/rex3.jpg"),
        Attachment(kind="input_audio"),
        Attachment(kind="image_url"),
        Attachment(kind="unknown"),
    )


def test_a_message_of_an_image_alone_is_kept() -> None:
    (said,) = read({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]})
    assert (said.content, said.line) == ("", "[user]: (image_url)")


def test_a_tool_call_without_text_is_kept_with_the_name_of_the_tool() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    (said,) = read({"role": "assistant", "content": None, "tool_calls": [call]})
    assert (said.content, said.attachments) == ("", (Attachment(kind="tool_call", reference="get_weather"),))


def test_a_round_of_tool_use_is_read_whole() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    assert short(
        [
            {"role": "system", "content": "You are a weather service."},
            {"role": "user", "content": "Will it rain?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "assistant", "content": "Yes."},
        ]
    ) == [
        ("system", "You are a weather service."),
        ("user", "Will it rain?"),
        ("assistant", ""),
        ("tool", "rain"),
        ("assistant", "Yes."),
    ]


def test_messages_without_text_are_left_out() -> None:
    assert short(["", "  ", {"role": "assistant", "content": None}, {"role": "user", "content": []}, "x"]) == [
        ("user", "x")
    ]


def test_langchain_messages_have_the_roles_of_openai() -> None:
    messages = [
        SystemMessage("be brief"),
        HumanMessage("Will it rain?", name="Ann"),
        AIMessage("", tool_calls=[{"name": "get_weather", "args": {}, "id": "call_1"}]),
        ToolMessage("rain", tool_call_id="call_1"),
        AIMessageChunk(content="Yes", id="run-1"),
        ChatMessage(content="I agree", role="critic"),
        HumanMessage(
            [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://e.com/a"}}]
        ),
    ]
    found = read(messages)
    assert [(m.role, m.content) for m in found] == [
        ("system", "be brief"),
        ("user", "Will it rain?"),
        ("assistant", ""),
        ("tool", "rain"),
        ("assistant", "Yes"),
        ("critic", "I agree"),
        ("user", "Look"),
    ]
    assert found[1].name == "Ann"
    assert found[2].attachments == (Attachment(kind="tool_call", reference="get_weather"),)
    assert found[4].id == "run-1"
    assert read(HumanMessage("alone"))[0].content == "alone"


def test_an_answer_of_openais_client_is_a_message() -> None:
    @dataclass
    class Function:
        name: str

    @dataclass
    class Call:
        function: Function
        type: str = "function"

    @dataclass
    class ChatCompletionMessage:
        content: str | None
        role: str = "assistant"
        tool_calls: list[Call] | None = None
        annotations: list[str] = field(default_factory=list)

    assert short(ChatCompletionMessage("Hello")) == [("assistant", "Hello")]
    (said,) = read([ChatCompletionMessage(None, tool_calls=[Call(Function("get_weather"))])])
    assert said.attachments == (Attachment(kind="tool_call", reference="get_weather"),)


def test_a_message_may_say_when_it_was_said() -> None:
    berlin = timezone(timedelta(hours=1))
    found = read(
        [
            {"role": "user", "content": "a", "timestamp": "2025-01-01T10:00:00+01:00"},
            {"role": "user", "content": "b", "event_at": datetime(2025, 1, 1, 10, tzinfo=berlin)},
            Message(role="user", content="c", event_at=datetime(2025, 1, 1, 10, tzinfo=berlin)),
            {"role": "user", "content": "d"},
            {"role": "user", "content": "e", "timestamp": None},
        ]
    )
    assert [m.event_at for m in found] == [datetime(2025, 1, 1, 9, tzinfo=UTC)] * 3 + [NOON] * 2
    assert {m.event_at.tzinfo for m in found} == {UTC}


def test_messages_without_an_id_get_one_of_their_own() -> None:
    ids = [message.id for message in read(["a", "b", "c"])]
    assert len(set(ids)) == 3
    kept = read(
        [{"role": "user", "content": "a", "id": "mine"}, Message(role="user", content="b", event_at=NOON, id="too")]
    )
    assert [message.id for message in kept] == ["mine", "too"]


# refusals


@pytest.mark.parametrize(
    "value",
    [
        {"content": "x"},
        {"role": "", "content": "x"},
        {"role": "  ", "content": "x"},
        {"role": None, "content": "x"},
        {"role": 3, "content": "x"},
        Message(role="", content="x", event_at=NOON),
        Message(role=None, content="x", event_at=NOON),  # type: ignore[arg-type]
    ],
)
def test_a_message_without_a_role_is_refused(value: object) -> None:
    with pytest.raises(InvalidMessage, match="message 1 has no role"):
        read(["first", value])


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        b"bytes",
        object(),
        {1, 2},
        [3],
        [None],
        [["nested"]],
        [b"bytes"],
        (text for text in ["a generator"]),
        {"role": "user", "content": 3},
        {"role": "user", "content": {"type": "text", "text": "x"}},
        {"role": "user", "content": [3]},
        {"role": "user", "content": [["x"]]},
        {"role": "user", "content": "x", "name": 3},
        {"role": "user", "content": "x", "id": 3},
        {"role": "user", "content": "x", "id": ""},
        Message(role="user", content=None, event_at=NOON),  # type: ignore[arg-type]
        Message(role="user", content="x", event_at=NOON, name=3),  # type: ignore[arg-type]
        Message(role="user", content="x", event_at=NOON, id=3),  # type: ignore[arg-type]
        Session(messages=()),
    ],
)
def test_what_is_not_a_message_is_refused(value: object) -> None:
    with pytest.raises(InvalidMessage):
        read(value)


@pytest.mark.parametrize(
    "value", ["", "   \n", [], (), [""], {"role": "user", "content": None}, [{"role": "user", "content": ""}]]
)
def test_nothing_to_remember_is_an_error(value: object) -> None:
    with pytest.raises(InvalidMessage, match="nothing to remember"):
        read(value)


def test_a_message_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(InvalidMessage, match=r"message 1 has 10,485,760 bytes .* 1,048,576"):
        read(["fine", "x" * (10 << 20)])
    assert read("x" * 10, limit=10)
    with pytest.raises(InvalidMessage, match="11 bytes"):
        read("ééééé.", limit=10)


@pytest.mark.parametrize(
    "value",
    [
        "a\ud800b",
        {"role": "us\udfffer", "content": "x"},
        {"role": "user", "content": "x", "name": "\ud800"},
        {"role": "user", "content": "x", "id": "\ud800"},
        {"role": "user", "content": [{"type": "text", "text": "\ud800"}]},
        {"role": "user", "content": ["x", {"type": "\ud800"}]},
        {"role": "user", "content": ["x", {"type": "file", "file": {"url": "\ud800"}}]},
        {"role": "user", "content": "x", "tool_calls": [{"name": "\ud800"}]},
    ],
)
def test_lone_surrogates_are_refused(value: object) -> None:
    with pytest.raises(InvalidMessage, match="lone surrogate"):
        read(value)


@pytest.mark.parametrize("time", ["2025-03-01T12:00:00", datetime(2025, 3, 1), 1_740_823_200, "noon"])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(time: Any) -> None:
    with pytest.raises(InvalidTime, match="message 0"):
        read({"role": "user", "content": "x", "timestamp": time})
    with pytest.raises(InvalidTime, match="message 0"):
        read(Message(role="user", content="x", event_at=time))


def test_the_same_id_twice_in_one_call_is_refused() -> None:
    twice = {"role": "user", "content": "x", "id": "m"}
    with pytest.raises(DuplicateId):
        read([twice, twice])
    with pytest.raises(DuplicateId):
        as_sessions([{"messages": [twice]}, {"messages": [twice]}], now=NOON)


wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "id",
                    "name",
                    "timestamp",
                    "tool_calls",
                    "function",
                    "url",
                    "image_url",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(wild)
def test_whatever_is_passed_is_read_or_refused_in_our_words(value: object) -> None:
    try:
        messages = read(value)
    except MemagentError:
        pass
    else:
        assert messages
        assert all(m.role and m.id and (m.content.strip() or m.attachments) for m in messages)


# sessions


def test_a_session_is_a_record_or_a_dict() -> None:
    messages = [{"role": "user", "content": "x"}]
    given_dict = {
        "session_id": "s",
        "messages": messages,
        "timestamp": "2025-01-01T00:00:00Z",
        "agent_id": "a",
        "metadata": {"k": 1},
    }
    session = as_session(given_dict, now=NOON)
    assert (session.id, session.agent_id, session.metadata) == ("s", "a", {"k": 1})
    assert session.messages[0].event_at == datetime(2025, 1, 1, tzinfo=UTC)
    record = Session(messages=session.messages, id="s", agent_id="a", metadata={"k": 1})
    assert as_session(record, now=NOON) == session
    assert as_session({"messages": "x", "id": "s"}, now=NOON).id == "s"
    assert as_session({"messages": "x"}, now=NOON).id is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "x",
        [],
        {},
        {"session_id": "s"},
        {"messages": "x", "session_id": ""},
        {"messages": "x", "session_id": 3},
    ],
)
def test_what_is_not_a_session_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        as_session(value, now=NOON)


def test_an_error_in_one_of_many_sessions_says_which() -> None:
    with pytest.raises(InvalidMessage, match="session 1: message 0 has no role"):
        as_sessions([{"messages": "x"}, {"messages": [{"content": "y"}]}], now=NOON)
    with pytest.raises(InvalidMessage, match="session 1: there is nothing"):
        as_sessions([{"messages": "x"}, Session(messages=())], now=NOON)
    with pytest.raises(InvalidInput, match="session 1: int without messages"):
        as_sessions([{"messages": "x"}, 3], now=NOON)


# labels and metadata


@pytest.mark.parametrize("value", ["", 3, b"s", "\ud800", [], True])
def test_what_cannot_be_a_label_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="session_id"):
        as_label(value, "session_id")


def test_metadata_is_a_copy_of_what_can_be_read_back() -> None:
    class Colour(StrEnum):
        RED = "red"

    mine: dict[str, Any] = {
        "tags": ["a"],
        "pair": (1, 2),
        "colour": Colour.RED,
        "deep": {"x": [{}]},
        "n": None,
        "big": 10**30,
        "f": 1.5,
    }
    stored = as_metadata(mine)
    assert stored == {**mine, "pair": [1, 2]}
    assert type(stored["colour"]) is str
    mine["tags"].append("b")
    assert stored["tags"] == ["a"]
    assert as_metadata(None) == {}


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def bottomless() -> dict[str, Any]:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return {"deep": value}


@pytest.mark.parametrize(
    "value",
    [
        "topic",
        ["topic"],
        3,
        {3: "x"},
        {"a": object()},
        {"a": {1, 2}},
        {"a": b"x"},
        {"a": NOON},
        {"a": math.nan},
        {"a": [math.inf]},
        {"a": "\ud800"},
        {"\ud800": "a"},
        {"a": {(1, 2): 3}},
        {"a": 10**5000},
        cyclic(),
        bottomless(),
    ],
)
def test_metadata_that_cannot_be_read_back_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        as_metadata(value)
