from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.lexical import LexicalIndex, analyze, query_terms, related_terms
from memagent.lexical.analysis import content_words, terms_of_word

DOCUMENTS = ("Anna broke her arm", "Ben was injured at work", "the injury healed", "tea with milk", "tea and cake")


def index_of(documents: tuple[str, ...]) -> LexicalIndex:
    index = LexicalIndex()
    count = len(documents)
    index.add(np.arange(1, count + 1), np.arange(count), [analyze(text, "en") for text in documents])
    return index


def test_without_related_words_the_terms_are_those_of_the_query() -> None:
    plain, related = query_terms("tea, tea and an injury", {"en"}), related_terms("tea, tea and an injury", {"en"}, {})
    assert related.hashes.tolist() == plain.hashes.tolist()
    assert related.weights.tolist() == plain.counts.tolist()
    assert related.caps.tolist() == list(range(len(plain.hashes)))
    index = index_of(DOCUMENTS)
    assert index.scores(related).tolist() == index.scores(plain).tolist()


def test_a_related_word_finds_what_the_word_itself_does_not() -> None:
    index = index_of(DOCUMENTS)
    asked = related_terms("hurt", {"en"}, {"hurt": [("injured", 0.5)]})
    assert not index.scores(query_terms("hurt", {"en"})).any()
    assert np.flatnonzero(index.scores(asked)).tolist() == [1]


def test_a_related_word_counts_for_its_weight_with_an_idf_no_higher_than_the_words_own() -> None:
    # "tea" is in 2 of 5 documents: idf = ln(1 + 3.5 / 2.5); "cake" in 1: ln(1 + 4.5 / 1.5), more, hence capped.
    # The documents have 3, 3, 2, 2 and 2 terms: the mean length is 12 / 5 = 2.4.
    # tea and cake: each once in a document of length 2: 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.4)).
    index = index_of(DOCUMENTS)
    scores = index.scores(related_terms("tea", {"en"}, {"tea": [("cake", 0.25)]}))
    saturated = 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.4))
    idf = math.log(1 + 3.5 / 2.5)
    assert scores[3] == pytest.approx(idf * saturated)
    assert scores[4] == pytest.approx(1.25 * idf * saturated)


def test_a_word_of_the_query_counts_as_itself_and_not_as_related_to_another() -> None:
    asked = related_terms("tea cake", {"en"}, {"tea": [("cake", 0.9)], "cake": [("tea", 0.9)]})
    assert asked.weights.tolist() == [1.0, 1.0]
    assert asked.caps.tolist() == [0, 1]


def test_a_word_related_to_several_counts_for_the_most() -> None:
    asked = related_terms("arm leg", {"en"}, {"arm": [("limb", 0.3)], "leg": [("limb", 0.6)]})
    (limb,) = terms_of_word("limb", {"en"})
    place = asked.hashes.tolist().index(limb)
    assert asked.weights[place] == 0.6
    (leg,) = terms_of_word("leg", {"en"})
    assert asked.hashes[asked.caps[place]] == leg


def test_function_words_have_no_related_words() -> None:
    assert related_terms("the tea", {"en"}, {"the": [("cake", 1.0)]}).hashes.tolist() == list(
        query_terms("tea", {"en"}).hashes
    )
    assert not len(related_terms("tea", {"en"}, {"tea": [("the", 1.0)]}).hashes) > 1


def test_related_words_are_stemmed_in_every_language_of_the_documents() -> None:
    languages = {"en", "es"}
    asked = related_terms("boat", languages, {"boat": [("barcos", 0.5)]})
    assert set(terms_of_word("barcos", languages)) <= set(asked.hashes.tolist())


@given(st.text(max_size=40), st.sampled_from([{"en"}, {"en", "fr"}, {"cjk"}, set()]))
def test_content_words_give_the_terms_of_the_query(text: str, languages: set[str]) -> None:
    terms = [term for _, terms in content_words(text, languages) for term in terms]
    plain = query_terms(text, languages)
    assert sorted(set(terms)) == plain.hashes.tolist()
    assert len(terms) == plain.counts.sum()
