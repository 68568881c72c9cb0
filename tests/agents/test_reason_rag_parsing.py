"""What an output says, in all the forms that models write it in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.reason_rag.parsing import Output, closed, read_evidence, read_forced, read_reasoning
from memagent.prompts.reason_rag import STOPS, TAGS, thoughts_text


@pytest.mark.parametrize(
    ("text", "kind", "content"),
    [
        ("I know. So the answer is <answer>Paris</answer>", "answer", "Paris"),
        ("So the next query is <query>mayor of Lyon</query>", "query", "mayor of Lyon"),
        ("So the next query is <query>mayor of Lyon", "query", "mayor of Lyon"),
        ("<answer>J. K. Rowling</answer>", "answer", "J. K. Rowling"),
        ("<query> who wrote it? </query>", "query", "who wrote it?"),
        ("So the answer is J. K. Rowling.", "answer", "J. K. Rowling"),
        ("So the answer is: 3.5", "answer", "3.5"),
        ("So the answer is 3.5.", "answer", "3.5"),
        ("So the answer is Washington, D.C.", "answer", "Washington, D.C."),
        ('so the answer is "Yes".', "answer", "Yes"),
        ("So the answer is Paris.\nI am sure of it.", "answer", "Paris"),
        ("So the next query is mayor of Lyon", "query", "mayor of Lyon"),
        ("So the next query is: mayor of Lyon\nand then more", "query", "mayor of Lyon"),
        ("SO THE ANSWER IS <ANSWER>Paris</ANSWER>", "answer", "Paris"),
        ("<query>mayor</query> So the answer is <answer>Paris</answer>", "query", "mayor"),
        ("Either <query> or <answer>. So the answer is <answer>Paris", "answer", "Paris"),
        ("So the next query is <query>mayor of Lyon</answer>", "query", "mayor of Lyon"),
        ("<answer>two\nlines</answer>", "answer", "two\nlines"),
        ("<answer></answer>", "unknown", None),
        ("So the answer is", "unknown", None),
        ("I do not know what to do.", "unknown", None),
        ("<evidence>It is Paris.</evidence>", "unknown", None),
        ("", "unknown", None),
        ("   \n", "unknown", None),
    ],
)
def test_a_reasoning_output_is_a_query_or_an_answer_by_its_tag_or_its_lead_in(
    text: str, kind: str, content: str | None
) -> None:
    output = read_reasoning(text)
    assert (output.kind, output.content) == (kind, content)


@pytest.mark.parametrize(
    ("text", "kind", "content"),
    [
        ("The relevant evidence is <evidence>It is Paris.</evidence>", "evidence", "It is Paris."),
        ("<evidence>It is Paris.", "evidence", "It is Paris."),
        ("<evidence>None</evidence>", "evidence", None),
        ("<evidence> none. </evidence>", "evidence", None),
        ("<evidence></evidence>", "evidence", None),
        ("None", "evidence", None),
        ("<evidence>It says <query>Rome</query> there.", "evidence", "It says Rome"),
        ("The text says that it is Paris.", "evidence", "The text says that it is Paris."),
        ("The relevant evidence is: It is Paris.", "evidence", "It is Paris."),
        ("The relevant evidence is None", "evidence", None),
        ("It is Paris.</evidence>", "evidence", "It is Paris."),
        ("None</evidence>", "evidence", None),
        ("So the answer is <answer>Paris</answer>", "unknown", None),
        ("So the next query is mayor of Lyon", "unknown", None),
        ("", "unknown", None),
    ],
)
def test_evidence_may_say_none_or_miss_its_tag_but_is_no_answer(text: str, kind: str, content: str | None) -> None:
    output = read_evidence(text)
    assert (output.kind, output.content) == (kind, content)


def test_a_forced_answer_may_stand_alone_if_it_is_short() -> None:
    assert read_forced("Paris").content == "Paris"
    assert not read_forced("Paris").tagged
    assert read_forced("So the answer is <answer>3.5").content == "3.5"
    assert read_forced("word " * 20).kind == "unknown"
    assert read_forced("<query>mayor of Lyon</query>").kind == "unknown"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("The answer is no.", "no"),
        ("The answer is no.\n</thoughts>", "no"),
        ("Therefore, the final answer is: Paris.\nIt was asked for.", "Paris"),
        ("Nothing more was found in any of the documents that were shown to me. The answer is Paris", "Paris"),
        ("Paris\n</thoughts>", "Paris"),
        ("The answer is", None),
        ("I cannot say what the answer is to a question about which none of the documents says a word", None),
    ],
)
def test_a_forced_answer_may_miss_the_first_word_of_its_lead_in(text: str, content: str | None) -> None:
    """As SmolLM2-135M-Instruct writes them."""
    assert read_forced(text).content == content


def test_that_the_answer_is_not_known_yet_is_no_answer_of_a_reasoning_step() -> None:
    assert read_reasoning("The answer is not known yet.").kind == "unknown"


def test_the_closing_tag_that_a_server_cuts_off_is_put_back() -> None:
    assert closed("So the next query is <query>mayor") == "So the next query is <query>mayor</query>"
    assert closed("<answer>Paris</answer> and more <query>x</query>") == "<answer>Paris</answer>"
    assert closed("no tag") == "no tag"


def test_the_thought_shown_later_holds_the_one_tag_and_nothing_else_that_looks_like_one() -> None:
    output = read_evidence("See <b>. <evidence>It says <answer>Rome</answer> here.")
    shown = thoughts_text([output.thought])
    assert shown == "See ‹b>. <evidence>It says Rome</evidence>"
    assert shown.count("<") == 2


@given(st.text(max_size=200), st.sampled_from(TAGS))
def test_any_content_in_a_tag_is_read_back_as_it_stands(content: str, tag: str) -> None:
    if any(mark in content.lower().replace(" ", "") for mark in (*STOPS, *(f"<{name}>" for name in TAGS))):
        return
    read = read_evidence if tag == "evidence" else read_reasoning
    output = read(f"Some words. <{tag}>{content}")
    if content.strip():
        assert output.kind == tag
        assert output.content in (content.strip(), None)
        assert output.content is not None or tag == "evidence"
    assert output.text.startswith("Some words.")


_JUMBLE = [*STOPS, *(f"<{tag}>" for tag in TAGS), "< /ANSWER >", "<answer", "So the answer is", "So the next query is"]
_JUMBLE += [
    "The answer is",
    "None",
    "[m1]",
    "\n",
    " ",
    "</reference>",
    "<|im_end|>",
    "\u200b",
    "\x00",
    "J. K.",
    "3.5",
    ".",
]
_HOSTILE = st.lists(st.sampled_from(_JUMBLE) | st.text(max_size=5), max_size=25).map("".join)


@given(_HOSTILE)
def test_however_tags_and_lead_ins_are_jumbled_an_output_is_read_whole_and_shown_with_one_tag_at_most(
    text: str,
) -> None:
    for read, kinds in (
        (read_reasoning, {"query", "answer", "unknown"}),
        (read_evidence, {"evidence", "unknown"}),
        (read_forced, {"answer", "unknown"}),
    ):
        output = read(text)
        assert output.kind in kinds
        assert output.content is None or output.content == output.content.strip() != ""
        shown = thoughts_text([output.thought])
        assert len(re.findall(r"<\s*/?\s*[a-z]", shown, re.IGNORECASE)) == (0 if output.kind == "unknown" else 2)
        # What was read is read again from what is kept of it.
        if output.kind != "unknown" and output.tagged and output.content:
            assert read(output.text).content == output.content


@given(st.text(max_size=300))
def test_whatever_a_model_writes_is_read_as_something(text: str) -> None:
    for read in (read_reasoning, read_evidence, read_forced):
        output = read(text)
        assert isinstance(output, Output)
        assert (output.content is None) == (output.kind == "unknown") or output.kind == "evidence"
