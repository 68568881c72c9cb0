"""What a reasoning model thinks is no part of its answer, whole or in pieces."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memagent.llm.thoughts import AfterThoughts, without_thoughts


def in_pieces(text: str, cuts: list[int]) -> str:
    taken = AfterThoughts()
    ends = [*sorted(min(cut, len(text)) for cut in cuts), len(text)]
    starts = [0, *ends[:-1]]
    return "".join(taken.feed(text[start:end]) for start, end in zip(starts, ends, strict=True)) + taken.close()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>Who?</think>Hi.", "Hi."),
        ("<seed:think>Hm.</seed:think>Hi.", "Hi."),
        ("\n<Thinking depth=2>\n<b>?</b></thinking >\n\nHi.", "\n\nHi."),
        ("<think>never closed", ""),
        ("<thin", "<thin"),
        ("<thought", "<thought"),
        ("<b>Hi</b>", "<b>Hi</b>"),
        ("Hi <think>no</think>", "Hi <think>no</think>"),
        ("<thinker>Hi", "<thinker>Hi"),
        ("a < b", "a < b"),
        ("", ""),
        ("  ", "  "),
    ],
)
def test_thoughts_at_the_beginning_are_taken_off(text: str, answer: str) -> None:
    assert without_thoughts(text) == answer
    assert in_pieces(text, list(range(len(text)))) == answer


def test_thoughts_that_the_prompt_began_are_taken_off_a_whole_reply() -> None:
    assert without_thoughts("Hmm.</think> Hi.") == " Hi."


PIECES = st.sampled_from(["<think>", "</think>", "<thinking>", "</thinking>", *"<>/ \n", "think", "Hi", "é"])


@given(st.lists(PIECES, max_size=12).map("".join), st.lists(st.integers(0, 60), max_size=6))
def test_in_pieces_it_is_the_same_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    # Thoughts that the prompt began cannot be known for what they are while they come.
    assume("</think>" not in text or text.lstrip().startswith(("<think>", "<thinking>")))
    assert in_pieces(text, cuts) == without_thoughts(text)
