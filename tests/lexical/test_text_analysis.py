"""Words, stems and hashes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import UnknownName
from memagent.lexical import LANGUAGES, Terms, analyze, clear_cache, query_terms
from memagent.lexical.stopwords import STOP_WORDS
from memagent.lexical.words import words


def shared(one: str, other: str, language: str = "en") -> int:
    """How many terms two texts have in common."""
    return len(np.intersect1d(analyze(one, language).hashes, analyze(other, language).hashes))


def as_counts(terms: Terms) -> dict[int, int]:
    return dict(zip(terms.hashes.tolist(), terms.counts.tolist(), strict=True))


def hashed(stem: str) -> int:
    return int.from_bytes(blake2b(stem.encode(), digest_size=8).digest(), "little")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! 2023", ["hello", "world", "2023"]),
        ("snake_case 3pm e-mail", ["snake", "case", "3pm", "e", "mail"]),
        ("Don’t ʼtis O'Brien's", ["don't", "tis", "o'brien's"]),
        ("Ｆｕｌｌ ﬁne Straße", ["full", "fine", "strasse"]),
        ("cafe\u0301 soft\u00adhyphen", ["café", "softhyphen"]),
        ("मेरी बहन", ["मेरी", "बहन"]),
        ("我的猫", ["我的", "的猫"]),
        ("猫 и Python3", ["猫", "и", "python3"]),
        ("私はコーヒー", ["私は", "はコ", "コー", "ーヒ", "ヒー"]),
        ("학교에서", ["학교", "교에", "에서"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("用Python写", ["用", "python", "写"]),
        ("x" * 200, ["x" * 64]),
        ("😀 — … ", []),
        ("", []),
    ],
)
def test_text_is_cut_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=80))
def test_any_text_gives_terms_in_the_promised_form(text: str) -> None:
    for language in LANGUAGES:
        terms = analyze(text, language)
        assert terms.hashes.dtype == np.uint64
        assert terms.counts.dtype == np.uint32
        assert (terms.hashes[1:] > terms.hashes[:-1]).all()
        assert (terms.counts > 0).all()


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=80))
def test_ascii_text_is_cut_the_same_with_and_without_other_characters_beside_it(text: str) -> None:
    assert words(text + " é")[:-1] == words(text)


def test_terms_are_hashes_of_stems_with_their_counts() -> None:
    assert as_counts(analyze("running runs run jumped", "en")) == {hashed("run"): 3, hashed("jump"): 1}


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "Caroline's paintings", "caroline painted"),
        ("en", "café naïve résumé", "cafe naive resume"),
        ("es", "canciones", "canción"),
        ("es", "hermanas", "hermana"),
        ("fr", "l'école", "écoles"),
        ("de", "Häuser Straße", "haus strasse"),
        ("it", "dell'arte", "arte"),
        ("pt", "músicas", "musica"),
        ("nl", "boeken", "boek"),
        ("sv", "hundarna", "hund"),
        ("da", "hundene", "hund"),
        ("no", "hundene", "hund"),
        ("fi", "kahvista", "kahvi"),
        ("pl", "książki", "ksiazki"),
        ("ru", "кошками", "кошка"),
        ("el", "γάτες", "γάτα"),
        ("ar", "الكتاب", "كتاب"),
        ("cjk", "我喜欢咖啡", "咖啡"),
        ("none", "कॉफ़ी पसंद", "कॉफ़ी"),
    ],
)
def test_forms_of_a_word_have_a_term_in_common(language: str, one: str, other: str) -> None:
    assert shared(one, other, language) == len(set(words(other)))


def test_a_word_with_an_apostrophe_is_found_however_the_apostrophe_is_typed() -> None:
    assert as_counts(analyze("aujourd’hui", "fr")) == as_counts(analyze("aujourd'hui", "fr"))
    assert as_counts(analyze("O’Brien’s", "en")) == as_counts(analyze("o'brien", "en"))


@pytest.mark.parametrize("language", sorted(STOP_WORDS))
def test_function_words_are_left_out(language: str) -> None:
    assert len(analyze(" ".join(STOP_WORDS[language]), language).hashes) == 0


def test_english_question_words_and_contractions_are_function_words() -> None:
    text = "What when who where which how why did do does what's she'll don't can't I'm they've"
    assert len(analyze(text, "en").hashes) == 0


def test_names_of_months_are_kept() -> None:
    assert shared("in May 2023", "may") == 1


def test_words_of_another_script_are_treated_in_their_own_language() -> None:
    assert shared("Встретил кошками Paintings", "кошка painted", "de") == 1
    assert shared("Встретил кошками Paintings", "кошка painted", "ru") == 2
    assert shared("I love 北京烤鸭", "北京", "en") == 1


def test_accents_are_folded_only_where_they_are_accents() -> None:
    assert shared("が", "か", "cjk") == 0
    assert shared("की", "का", "none") == 0
    assert shared("smørrebrød", "smorrebrod", "da") == 1


def test_a_query_of_an_english_bank_is_analyzed_as_english() -> None:
    text = "Die Hard was on in Los Angeles, l'école, don't you know, know"
    assert as_counts(query_terms(text, ["en"])) == as_counts(analyze(text, "en"))
    assert as_counts(query_terms(text, ["en", "cjk", "ru"])) == as_counts(analyze(text, "en"))
    assert as_counts(query_terms(text, [])) == as_counts(analyze(text, "en"))


def test_a_query_of_a_mixed_bank_finds_each_language_by_its_own_stems() -> None:
    terms = as_counts(query_terms("hermanas painting painting", ["en", "es"]))
    for word, language, count in [("hermana", "es", 1), ("paint", "en", 2)]:
        assert terms[int(analyze(word, language).hashes[0])] == count


def test_a_word_counts_once_for_a_stem_it_has_in_several_languages() -> None:
    assert set(as_counts(query_terms("Toby", ["en", "es", "it"])).values()) == {1}


def test_function_words_of_the_query_are_left_out_under_every_language() -> None:
    terms = query_terms("What did Miguel do with the dog?", ["en", "es", "de"])
    kept = {stem for word in ("Miguel", "dog") for language in ("en", "es", "de") for stem in _stems(word, language)}
    assert set(terms.hashes.tolist()) == kept


def _stems(word: str, language: str) -> list[int]:
    stems: list[int] = analyze(word, language).hashes.tolist()
    return stems


@given(st.text(max_size=60), st.sets(st.sampled_from(LANGUAGES), max_size=4))
def test_any_query_gives_terms_in_the_promised_form(text: str, languages: set[str]) -> None:
    terms = query_terms(text, languages)
    assert (terms.hashes[1:] > terms.hashes[:-1]).all()
    assert (terms.counts > 0).all()


def test_unknown_languages_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"'xx'.*en, es"):
        analyze("word", "xx")
    with pytest.raises(UnknownName, match="'xx'"):
        query_terms("word", ["en", "xx"])


def test_threads_get_the_same_terms() -> None:
    texts = [" ".join(f"{stem}{ending}" for ending in ("ing", "ed", "s", "ation")) for stem in map(str, range(300))]
    expected = [as_counts(analyze(text, "en")) for text in texts]
    clear_cache()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(lambda text: as_counts(analyze(text, "en")), texts)) == expected


def test_every_word_list_is_in_normal_form_without_spaces() -> None:
    for language, stop in STOP_WORDS.items():
        for word in stop:
            assert not re.search(r"\s", word), (language, word)
            assert words(word) == [word], (language, word)
