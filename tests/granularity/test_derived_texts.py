from __future__ import annotations

from collections.abc import Sequence
from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.granularity import derive, embedded_texts
from memagent.granularity.keywords import keywords
from memagent.granularity.summary import sentences, summarize
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(64)
encode = ENCODER.encode_documents

STORY = [
    "[user]: I adopted a beagle called Rex in March. He is afraid of thunder!",
    "[assistant]: A dark, quiet room helps during storms. Has Rex been to the vet?",
    "[user]: Not yet. The beagle eats too much, and Rex sleeps on the sofa.",
    "[assistant]: Beagles like Rex often overeat. Measure the food that the beagle gets.",
]


# sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I keep bees. They make honey!", ["They make honey!"]),
        ("I live in Lisbon now. Do you like sailing?", ["I live in Lisbon now.", "Do you like sailing?"]),
        ("It cost me 3.5 euros at www.example.com today.", ["It cost me 3.5 euros at www.example.com today."]),
        ("Version v2.0.1 is out already... really", ["Version v2.0.1 is out already..."]),
        ("one line without a stop\nand another of them", ["one line without a stop", "and another of them"]),
        ("今天天气很好。我去了公园！", ["今天天气很好。", "我去了公园！"]),
        ("我喜欢吃苹果", ["我喜欢吃苹果"]),
        ("きょうはいい天気ですね。", ["きょうはいい天気ですね。"]),
        ("Yes. No. Ok!", []),
        ("😀😀😀😀 😀😀😀😀😀😀😀😀😀", []),
        ("...!!!???", []),
        ("", []),
        ("Say it twice, please. Say it twice, please.", ["Say it twice, please."]),
    ],
)
def test_sentences_end_where_readers_see_their_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_of_a_long_text_sentences_are_taken_from_everywhere() -> None:
    found = sentences(" ".join(f"This is sentence number {number}." for number in range(5000)))
    assert len(found) == 256
    assert found[0] == "This is sentence number 0."
    assert found[-1] == "This is sentence number 4999."


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_sentences_are_parts_of_the_text(text: str) -> None:
    for sentence in sentences(text):
        assert sentence in text
        assert sentence == sentence.strip() != ""


def test_a_megabyte_without_a_stop_is_read_in_linear_time() -> None:
    began = process_time()
    sentences("a" * 500_000 + "." * 500_000)
    sentences("a." * 500_000)
    assert process_time() - began < 5  # of computing


# summaries


def test_a_summary_is_made_of_sentences_of_the_text_in_their_order() -> None:
    text = "\n".join(STORY)
    summary = summarize(text, encode)
    every = sentences(text)
    chosen = [sentence for sentence in every if sentence in summary]
    assert len(chosen) == 3
    assert summary == " ".join(chosen)


def test_a_summary_does_not_say_the_same_twice() -> None:
    def by_topic(texts: Sequence[str]) -> Vectors:
        topics = ("beagle", "walnut", "harbour")
        return np.eye(3, dtype=np.float32)[[next(i for i, t in enumerate(topics) if t in text) for text in texts]]

    text = (
        "My beagle is called Rex. Rex is an old beagle. A walnut gives me a rash. I never eat a walnut. "
        "The harbour is in Lisbon. I love that harbour."
    )
    assert summarize(text, by_topic) == "My beagle is called Rex. A walnut gives me a rash. The harbour is in Lisbon."


def test_a_text_with_few_sentences_is_its_own_summary() -> None:
    assert summarize("I live in Lisbon now. Ok.", encode) == "I live in Lisbon now."
    assert summarize("Yes.", encode) == "Yes."
    assert len(summarize("1 " * 5000, encode)) <= 500


def test_short_texts_are_not_embedded() -> None:
    def never(texts: Sequence[str]) -> Vectors:
        raise AssertionError("nothing to choose from")

    assert summarize("I live in Lisbon now.", never)


def test_equal_vectors_do_not_break_the_choice() -> None:
    def same(texts: Sequence[str]) -> Vectors:
        return np.tile(np.eye(4, dtype=np.float32)[0], (len(texts), 1))

    def opposite(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = same(texts)
        vectors[::2] *= -1
        return vectors

    text = " ".join(f"This is sentence number {number}." for number in range(6))
    assert summarize(text, same).count(".") == 3
    assert summarize(text, opposite).count(".") == 3


# keywords


def test_keywords_are_phrases_of_the_text() -> None:
    found = keywords(" ".join(STORY).replace("[user]: ", "").replace("[assistant]: ", ""), "en").split("; ")
    assert "Rex" in " ".join(found)
    assert len(found) <= 12


@pytest.mark.parametrize("language", ["en", "es", "zh", "xx", "pt", ""])
def test_keywords_of_any_language_are_some_text(language: str) -> None:
    assert keywords("Vivo en el puerto de Lisboa y navego los domingos.", language)
    assert keywords("!!!", language) == ""


# both


@settings(max_examples=100)
@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_can_be_derived_from(turns: list[str]) -> None:
    derived = derive(turns, encode)
    assert isinstance(derived.summary, str)
    assert isinstance(derived.keywords, str)
    if not "".join(turns).strip():
        assert derived == ("", "")


def test_who_spoke_is_not_part_of_what_was_said() -> None:
    derived = derive(STORY, encode)
    assert "[" not in derived.summary
    assert "user" not in derived.keywords
    assert "assistant" not in derived.keywords


def test_the_texts_that_were_embedded_can_be_named_afterwards() -> None:
    seen: set[str] = set()

    def watching(texts: Sequence[str]) -> Vectors:
        seen.update(texts)
        return encode(texts)

    long = [
        f"[user]: This is turn number {number}, and it says something. It has two sentences." for number in range(900)
    ]
    for turns in (STORY, long):
        derive(turns, watching)
        assert seen <= {*embedded_texts(STORY), *embedded_texts(turns)}
    assert seen


def test_a_very_long_session_is_derived_from_some_of_its_turns() -> None:
    turns = [
        f"[user]: Turn {number} is about the harbour, the bees and number {number * 7}." for number in range(20_000)
    ]
    began = process_time()
    derived = derive(turns, encode)
    assert process_time() - began < 15
    assert derived.summary
    assert derived.keywords


def test_phrases_of_one_user_do_not_stay_in_memory() -> None:
    from yake.core.Levenshtein import Levenshtein
    from yake.core.yake import KeywordExtractor

    keywords("My sister Ottilie keeps bees. Ottilie sells honey, and Ottilies bees sting.", "en")
    assert KeywordExtractor._ultra_fast_similarity.cache_info().currsize == 0
    assert Levenshtein.ratio.cache_info().currsize == 0
