from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import MalformedReply
from memagent.granularity.inferred import Findings, Heard, Known, described, pieces, storable, told
from memagent.llm import drive
from memagent.llm.reply import Raw
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.prompts.summary import SessionKeywords, SessionSummary
from memagent.testing import ScriptedModel

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)


def heard(*texts: str, noted: int = 0) -> list[Heard]:
    return [
        Heard((f"m{place}",), "user", text, AT + timedelta(minutes=place), place < noted)
        for place, text in enumerate(texts)
    ]


def found(messages: list[Heard], known: list[Known], *replies: Any, characters: int = 1000) -> Findings:
    model = ScriptedModel(list(replies))
    findings = drive(told(messages, known, characters=characters), model)
    assert model.left == 0
    return findings


def test_facts_know_who_says_them_and_when() -> None:
    reply = Facts(facts=[Fact(text=" Ann \n keeps bees. ", messages=[3, 1], event_date="2024-05")])
    (fact,), ignored = found(heard("bees", "so?", "hives"), [], reply)
    assert (fact.text, fact.sources, fact.said_at) == ("Ann keeps bees.", ("m2", "m0"), AT + timedelta(minutes=2))
    assert (fact.valid_from, fact.replaces, ignored) == (datetime(2024, 5, 1, tzinfo=UTC), (), 0)


def test_known_facts_are_named_by_labels() -> None:
    known = [Known("Ann lives in Oslo.", AT), Known("Ann sails.", AT)]
    reply = Facts(facts=[Fact(text="Ann lives in Porto.", messages=[1], replaces=["k1", "k1", "k3", "Oslo"])])
    (fact,), ignored = found(heard("I moved to Porto."), known, reply)
    assert (fact.replaces, ignored) == ((0,), 2)


@pytest.mark.parametrize("label", ["k2", "K2", "2", "[k2]", "(k2)", "k2.", '"k2"', "fact k2", "id: k2", "id=k2"])
def test_labels_of_known_facts_are_read_as_models_repeat_them(label: str) -> None:
    known = [Known("Ann lives in Oslo.", AT), Known("Ann sails.", AT)]
    reply = Facts(facts=[Fact(text="Ann sold her boat.", messages=[1], replaces=[label])])
    (fact,), ignored = found(heard("I sold my boat."), known, reply)
    assert (fact.replaces, ignored) == ((1,), 0)


@pytest.mark.parametrize("label", ["", "k", "k0", "k3", "kk2", "m2", "k2 k1", "k1, k2", "k-2", "k2.5", "k\u0662"])
def test_what_names_no_known_fact_is_ignored(label: str) -> None:
    known = [Known("Ann lives in Oslo.", AT), Known("Ann sails.", AT)]
    reply = Facts(facts=[Fact(text="Ann sold her boat.", messages=[1], replaces=[label])])
    (fact,), ignored = found(heard("I sold my boat."), known, reply)
    assert (fact.replaces, ignored) == ((), 1)


def test_what_only_noted_messages_say_is_left_out() -> None:
    reply = Facts(facts=[Fact(text="Old.", messages=[1]), Fact(text="New.", messages=[1, 2])])
    findings = found(heard("first", "second", noted=1), [], reply)
    assert [fact.text for fact in findings.facts] == ["New."]
    assert findings.ignored == 1


def test_nothing_is_asked_about_messages_that_are_all_noted() -> None:
    assert found(heard("one", "two", noted=2), []) == Findings((), 0)
    assert found([], []) == Findings((), 0)


def test_long_conversations_are_asked_about_in_parts_that_know_of_each_other() -> None:
    texts = ("a" * 600, "b" * 600, "c" * 2500)
    asked: list[Prompt[Any]] = []

    def reply(prompt: Prompt[Any]) -> Facts:
        asked.append(prompt)
        replaces = [f"k{len(asked) - 1}"] if len(asked) > 1 else []
        return Facts(facts=[Fact(text=f"Fact {len(asked)}.", messages=[1], replaces=replaces)])

    findings = drive(told(heard(*texts), [], characters=1000), ScriptedModel(reply))
    assert [prompt.user.count("<message ") for prompt in asked] == [1, 1, 1, 1, 1]
    assert "Fact 4." in asked[-1].user
    assert [fact.replaces for fact in findings.facts] == [(), (0,), (1,), (2,), (3,)]
    assert [fact.sources for fact in findings.facts] == [("m0",), ("m1",), ("m2",), ("m2",), ("m2",)]


def test_a_part_about_which_there_is_too_much_to_say_is_halved() -> None:
    cut = Raw(text='{"facts": [{"text": "Ann ke', finish="length")
    replies = [cut, cut, *(Facts(facts=[Fact(text=text, messages=[1])]) for text in ("One.", "Two."))]
    findings = found(heard("one", "two"), [], *replies)
    assert [(fact.text, fact.sources) for fact in findings.facts] == [("One.", ("m0",)), ("Two.", ("m1",))]
    with pytest.raises(MalformedReply):
        found(heard("one"), [], cut, cut)


facts = st.lists(
    st.builds(
        lambda text, messages, replaces: Fact(text=text or "x", messages=messages, replaces=replaces),
        st.text(max_size=20),
        st.lists(st.integers(-(10**20), 10**20) | st.integers(0, 5), max_size=4),
        st.lists(st.text(max_size=4) | st.sampled_from(["k1", "k2", "K2", "3"]), max_size=4),
    ),
    max_size=5,
)


@given(facts, st.integers(0, 3), st.integers(1, 4))
def test_whatever_a_model_tells_only_what_exists_is_linked(answer: list[Fact], known: int, messages: int) -> None:
    listed = [Known(f"fact {place}", AT) for place in range(known)]
    findings = found(heard(*map(str, range(messages))), listed, Facts(facts=answer))
    for place, fact in enumerate(findings.facts):
        assert fact.text.strip() == fact.text != ""
        assert set(fact.sources) <= {f"m{number}" for number in range(messages)}
        assert fact.sources
        assert all(0 <= replaced < known + place for replaced in fact.replaces)
    assert findings.ignored >= 0


# sessions


def test_a_session_is_described_with_two_prompts() -> None:
    model = ScriptedModel([SessionSummary(summary=" Bees. "), SessionKeywords(keywords=["bees", "Bees", "hive; two"])])
    found = drive(described(["[user]: I keep bees."], between="people", characters=1000), model)
    assert found == ("Bees.", "bees; hive, two")
    assert all("<between>\npeople" in prompt.user for prompt in model.prompts)


@pytest.mark.parametrize("length", [10, 5000])
def test_a_long_session_is_described_in_parts(length: int) -> None:
    def reply(prompt: Prompt[Any]) -> Any:
        if prompt.name == "session-keywords":
            return SessionKeywords(keywords=[prompt.user[-30:-20], "shared"])
        return SessionSummary(summary="s" * length)

    model = ScriptedModel(reply)
    turns = [f"[user]: turn {number} " + "word " * 60 for number in range(30)]
    found = drive(described(turns, between="user and assistant", characters=1000), model)
    assert found.summary == "s" * length
    assert found.keywords.count("shared") == 1
    assert all(len(prompt.user) < 1200 for prompt in model.prompts)


@given(st.text(max_size=300), st.integers(5, 50))
def test_pieces_are_the_text_and_no_longer_than_asked(text: str, characters: int) -> None:
    parts = pieces(text, characters)
    assert "".join(parts) == text
    assert all(len(part) <= characters for part in parts)
    assert len(parts) <= 1 + 2 * len(text) // characters + 1


def test_pieces_end_where_a_line_or_a_word_does() -> None:
    assert pieces("one two\nthree four", 10) == ["one two\n", "three four"]
    assert pieces("one two three", 9) == ["one two ", "three"]


@given(st.text(st.characters(), max_size=20))
def test_what_is_stored_can_be_encoded(text: str) -> None:
    assert storable(text).encode().decode() == storable(text)
