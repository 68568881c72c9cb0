from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from memagent import Memory
from memagent.errors import InvalidInput
from memagent.records import Granularity, Query, Retrieval, to_micros
from memagent.retrievers import Adaptive
from memagent.retrievers.adaptive import contrast
from memagent.testing import HashingEncoder
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

TURNS = (
    (0, "the boat left the harbour"),
    (1, "a ship sank in the storm"),
    (2, "we drank tea"),
    (3, "nothing happened today"),
)


def search(
    retriever: Adaptive,
    text: str,
    granularity: Granularity = Granularity.SESSION,
    related: Mapping[str, Sequence[tuple[str, float]]] | None = None,
    units: Sequence[ViewUnit] | None = None,
) -> Retrieval:
    query = Query(text=text, vector=word_vector(text), granularity=granularity, related=related or {})
    return retriever.retrieve(query, ArrayView(history(TURNS) if units is None else units), 10)


def test_contrast_is_measured_from_the_candidate_at_depth() -> None:
    # The third best (depth 2) has 0.4 and the best 0.8: (x - 0.4) / 0.4, not below -3.
    scores = np.array([0.6, 0.8, 0.4, 0.2, -2.0])
    assert contrast(scores, 2) == pytest.approx([0.5, 1.0, 0.0, -0.5, -3.0])


def test_contrast_does_not_depend_on_how_many_candidates_lie_below_depth() -> None:
    random = np.random.default_rng(3)
    top = np.array([0.9, 0.7, 0.65, 0.5])
    many = np.concatenate([top, random.uniform(0.1, 0.45, 1000)])
    assert contrast(many, 3)[:4].tolist() == contrast(top, 3).tolist()


@pytest.mark.parametrize("scores", [[], [0.3], [0.2, 0.2, 0.2], [0.5, 0.5, 0.5, 0.1]])
def test_contrast_of_candidates_that_do_not_differ_is_zero(scores: list[float]) -> None:
    assert contrast(np.array(scores), 2).tolist() == [0.0] * len(scores)


def test_a_session_that_says_it_in_other_words_is_found() -> None:
    related = {"vessel": (("ship", 0.8), ("boat", 0.5), ("tea", 0.1))}
    words_only = Adaptive(dense=0.0)
    with_them, without = (search(words_only, "vessel", related=given) for given in (related, {}))
    assert [hit.parts["words_session"] > 0 for hit in with_them.hits] == [True, True, False, False]
    assert with_them.trace["related"] == {"vessel": ["ship", "boat"]}
    assert not any(hit.score for hit in without.hits)


def test_related_words_count_by_a_power_of_their_cosine() -> None:
    # One word of each session, the same length but for "we drank tea": compare boat (0.5 ** 2) and ship (1.0 ** 2).
    units = history([(0, "boat one two"), (1, "ship one two"), (2, "tea one two")])
    related = {"vessel": (("ship", 1.0), ("boat", 0.5))}
    found = search(Adaptive(dense=0.0, window=0.0, related_power=2.0), "vessel", related=related, units=units)
    assert [hit.parts["words_session"] for hit in found.hits] == pytest.approx([1.0, 0.25, 0.0])


def test_related_words_can_be_left_out() -> None:
    plain = Adaptive(related=False)
    assert not plain.uses_related_words
    assert Adaptive().uses_related_words
    related = {"vessel": (("ship", 0.9),)}
    assert search(plain, "vessel", related=related).hits == search(plain, "vessel").hits


def test_a_named_date_lifts_what_was_said_then() -> None:
    days = ["2023-01-10", "2023-05-03", "2023-05-13", "2023-09-01"]
    stamps = [to_micros_of(day) for day in days]
    units = [
        ViewUnit(
            key=unit.key,
            session=unit.session,
            text=unit.text,
            vector=unit.vector,
            granularity=unit.granularity,
            event_at=stamps[unit.session],
        )
        for unit in history([(place, "the same words") for place in range(4)])
    ]
    for granularity in Granularity:
        found = search(Adaptive(dates=1.0), "the same words on 3 May 2023", granularity, units=units)
        nearness = {hit.key: hit.parts["dates"] for hit in found.hits}
        assert [nearness[key] for key in sorted(nearness)] == pytest.approx(
            [0.0, 1.0, math.exp(-9 / 10), 0.0], abs=1e-4
        )
        assert found.trace["dates"] == [{"year": 2023, "month": 5, "day": 3}]


def to_micros_of(day: str) -> int:
    from datetime import UTC, datetime

    return to_micros(datetime.fromisoformat(day).replace(tzinfo=UTC))


def test_a_question_without_dates_has_no_part_of_them() -> None:
    assert all("dates" not in hit.parts for hit in search(Adaptive(), "the boat").hits)
    assert all("dates" not in hit.parts for hit in search(Adaptive(dates=0.0), "the boat in May 2023").hits)


def test_the_score_is_the_sum_of_its_parts() -> None:
    for granularity in Granularity:
        for hit in search(Adaptive(), "the boat in the storm in 2023", granularity).hits:
            assert hit.score == pytest.approx(sum(hit.parts.values()))


@pytest.mark.parametrize(
    "params",
    [
        {"related_cosine": 1.5},
        {"related_power": -1.0},
        {"depth": 0},
        {"m": 0},
        {"told_after": 0.0},
        {"dates": -0.1},
        {"b": 2.0},
        {"session": 0.0, "window": 0.0, "dense": 0.0},
        {"turns_turn": 0.0, "turns_window": 0.0, "turns_session": 0.0, "turns_dense": 0.0},
        {"own_text": 0.0, "own_dense": 0.0},
    ],
)
def test_settings_that_cannot_be_used_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Adaptive(**params)


def test_words_alone_need_no_vector() -> None:
    words = Adaptive(dense=0.0, turns_dense=0.0, own_dense=0.0)
    assert not words.uses_vector
    assert len(words.retrieve(Query(text="boat", granularity=Granularity.TURN), ArrayView(history(TURNS)), 4).hits) == 4


class _Knowing(HashingEncoder):
    """Knows one related word."""

    def related_words(self, words: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
        return {word: (("ship", 0.9),) for word in words if word == "vessel"}


@pytest.mark.parametrize("encoder", [_Knowing(), HashingEncoder()])
def test_a_memory_asks_the_encoder_for_related_words(encoder: HashingEncoder) -> None:
    memory = Memory(":memory:", encoder=encoder, retriever=Adaptive(turns_dense=0.0), background=False)
    for _, text in TURNS:
        memory.add(text, user_id="ann")
    reply = memory.search("Which VESSEL?", user_id="ann", explain=True, top_k=1)
    if isinstance(encoder, _Knowing):
        assert reply["trace"]["related"] == {"vessel": ["ship"]}
        assert "ship" in reply["results"][0]["memory"]
    else:
        assert reply["trace"]["related"] == {}
