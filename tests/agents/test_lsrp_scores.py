"""UDRR, fluency and z-scores by hand; scores that are not known; what a judge's reply is read as."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.lsrp.scores import (
    Scores,
    Unread,
    as_cells,
    counted,
    mean_logprob,
    means,
    perplexity,
    profile_text,
    udrr,
    zscores,
)
from memagent.errors import DataError, InvalidInput, MalformedReply
from memagent.llm.reply import TokenLogprob
from memagent.llm.structured import read_answer
from memagent.prompts.lsrp_judges import Rating


def tokens(*logprobs: float) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token="x", logprob=value) for value in logprobs)


@pytest.mark.parametrize(
    ("profile", "answer", "expected"),
    [
        ("a b c d", "b d x b", 0.5),
        ("a a b", "a", 0.5),  # distinct tokens
        ("Name: Ann", "name: ann", 0.0),  # case counts
        ("Ann,", "Ann", 0.0),  # and so does what stands at a word
        ("a b", "", 0.0),
        ("", "a b", 0.0),
    ],
)
def test_udrr_is_the_share_of_the_profiles_tokens_that_come_back(profile: str, answer: str, expected: float) -> None:
    assert udrr(profile, answer) == expected


def test_a_profile_is_written_as_the_data_sets_write_it() -> None:
    assert profile_text({"Age": "47", "Name": "Ann"}) == "Age: 47\nName: Ann"
    assert profile_text({"age": "47"}, between=":") == "age:47"


def test_fluency_is_the_mean_of_the_tokens_and_unknown_without_any() -> None:
    assert mean_logprob(tokens(-1.0, -3.0)) == -2.0
    assert mean_logprob(()) is None
    assert mean_logprob(None) is None
    assert mean_logprob(tokens(-math.inf)) is None


def test_an_answer_without_tokens_shifts_no_other_one() -> None:
    perplexed = perplexity([-1.0, None, -3.0])
    assert perplexed is not None
    assert math.isclose(perplexed, math.exp(2.0))
    assert perplexity([None]) is None


def test_zscores_are_over_all_tasks_and_styles_and_a_score_without_variance_is_zero() -> None:
    cells = np.zeros((2, 2, 3))
    cells[..., 0] = [[1.0, 2.0], [3.0, 4.0]]
    cells[..., 1] = 0.1  # its mean is not exactly 0.1
    found = zscores(cells)
    assert np.allclose(found[..., 0], [[-1.3416407865, -0.4472135955], [0.4472135955, 1.3416407865]])
    assert not found[..., 1:].any()


def test_a_score_that_is_not_known_counts_the_mean_or_as_published_zero_and_never_in_a_mean() -> None:
    rows = [[Scores(udrr=0.5, fluency=-1.0, relevance=value)] for value in (8.0, 4.0, None)]
    cells = as_cells(rows)
    assert zscores(cells)[:, 0, 2].tolist() == [1.0, -1.0, 0.0]
    zeroed = zscores(cells, unread=Unread.ZERO)
    assert zeroed[2, 0, 2] == pytest.approx(-math.sqrt(1.5))
    assert not np.isnan(counted(cells, unread=Unread.ZERO)).any()
    assert means(cells) == (0.5, -1.0, 6.0)
    assert means(cells[2:]) == (0.5, -1.0, None)


def test_every_task_has_all_styles() -> None:
    one = Scores(udrr=0.5, fluency=None, relevance=None)
    with pytest.raises(InvalidInput, match="styles"):
        as_cells([[one], [one, one]])
    with pytest.raises(InvalidInput, match="no styles"):
        as_cells([])


_KNOWN = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.floats(0, 1), _KNOWN, _KNOWN)
def test_scores_come_back_from_json(shared: float, fluency: float | None, relevance: float | None) -> None:
    scores = Scores(udrr=shared, fluency=fluency, relevance=relevance)
    assert Scores.from_json(scores.to_json()) == scores


@pytest.mark.parametrize(
    "change", [{"udrr": None}, {"fluency": "1"}, {"relevance": math.nan}, {"udrr": True}, {"x": 1}]
)
def test_anything_else_is_no_scores(change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Scores.from_json({"udrr": 0.1, "fluency": -1.0, "relevance": 5.0} | change)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 8}', 8),
        ("Score: 8/10", 8),
        ("It covers everything.\n**Score:** 7", 7),
        ("Score: 3\nNo, on reflection:\nScore: 4", 4),
        ('<answer>{"score": "9 out of 10"}</answer>', 9),
        ("0", 0),
    ],
)
def test_a_rating_is_read_from_json_and_from_a_labelled_line(reply: str, score: int) -> None:
    assert read_answer(reply, Rating).score == score


@pytest.mark.parametrize(
    "reply", ["", "I cannot rate this.", "Score: 11", "Score: 4/5", '{"score": true}', "Score: 80%"]
)
def test_what_is_no_whole_number_from_0_to_10_is_no_rating(reply: str) -> None:
    with pytest.raises(MalformedReply):
        read_answer(reply, Rating)
