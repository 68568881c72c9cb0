"""What the guard finds: facts however they are typed, personal data by its form, and nothing in ordinary text."""

from __future__ import annotations

import pytest
from guard_examples import task

from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.ports import Verdict, Written

GUARD = ProfileGuard()


def kinds(text: str, profile: dict[str, str] | None = None, **given: object) -> set[str]:
    return {finding.kind for finding in GUARD.check(task(text, profile, **given)).findings}


@pytest.mark.parametrize(
    "text",
    [
        "Write an e-mail to the parents about a school trip for my class.",
        "Explain why I could like the film The Long Harbour, in five points and 300 words.",
        "Describe the weekend of a sister and a brother who went away and paid too much.",
        "Draft a teachers' newsletter for June; it doesn't need a picture (or a photo).",
        "Compare C++ and Python 3.11 for a beginner: speed, safety, and €20 books.",
        "Meeting on 3 May 2025 at 10:30, 2018-2024 figures attached.",
        "Write 2 haiku: один про снег, einen über den Schnee, 一首关于雪的诗.",
        "",
        "!!! ... ??? 🙂",
    ],
)
def test_a_task_that_holds_nothing_private_passes_unchanged(text: str) -> None:
    checked = GUARD.check(task(text))
    assert (checked.verdict, checked.text, checked.findings) == (Verdict.PASSED, text, ())


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("Anna Kovalenko", "name"),
        ("anna", "name"),
        ("KOVALENKO'S", "name"),
        ("Kovalenkos", "name"),
        ("annakovalenko87", "name"),
        ("31", "number"),
        ("31-year-old", "number"),
        ("thirty-one", "number"),
        ("F", "profile"),
        ("new  haven", "place"),
        ("primary-school teacher", "profile"),
        ("1987-03-14", "date"),
        ("March 14th", "date"),
        ("14.03.87", "date"),
        ("Olena", "word"),
        ("Bergen", "word"),
        ("2019", "number"),
        ("12500", "number"),
        ("12.500,", "number"),
    ],
)
def test_facts_of_profile_and_history_are_found(written: str, kind: str) -> None:
    checked = GUARD.check(task(f"Write about {written} please"))
    assert kind in {finding.kind for finding in checked.findings}
    assert f" {written.strip(',')} " not in checked.text


@pytest.mark.parametrize(
    "written",
    [
        "ＫＯＶＡＬＥＮＫＯ",  # full width
        "𝓚𝓸𝓿𝓪𝓵𝓮𝓷𝓴𝓸",
        "🅺🅾🆅🅰🅻🅴🅽🅺🅾",
        "K\u200bo\u200dv\u2060a\ufefflenko",
        "Kova\u00adlenko",
        "K\u0336o\u0336v\u0336a\u0336l\u0336e\u0336n\u0336k\u0336o\u0336",
        "Kóvàlénkö",
        "Kоvаlеnkо",  # Cyrillic o, a, e
        "Κονalenκο",  # Greek
        "ᴋᴏᴠᴀʟᴇɴᴋᴏ",
        "K0v4l3nk0",
        "Kov@lenko",
        "K o v a l e n k o",
        "K-O-V-A-L-E-N-K-O",
        "K.o.v.a.l.e.n.k.o",
        "Kova lenko",
        "Kova-\nlenko",
        "Kovaelnko",
        "Kovalenka",
        "\u202eoknelavoK\u202c",
        "Ko\u200fva\u200elenko",
        "".join(chr(0xE0000 + ord(character)) for character in "Kovalenko"),
        "xKovalenkox",
        "K\u3164ovalenko",
    ],
)
def test_a_name_is_found_however_it_is_typed(written: str) -> None:
    text = f"Write to {written} today"
    checked = GUARD.check(task(text))
    assert checked.verdict is Verdict.REDACTED
    assert written not in checked.text
    assert "today" in checked.text
    assert GUARD.restored(checked.text, checked) == text


@pytest.mark.parametrize("written", ["３１", "٣١", "3\u200b1", "3 1", "𝟛𝟙", "031", "x31"])
def test_a_number_is_found_however_it_is_typed(written: str) -> None:
    assert kinds(f"Write about {written} please") == {"number"}


@pytest.mark.parametrize("written", ["forty\u2011two", "forty\u2013two", "fortytwo", "ten, forty two", "Forty-two"])
def test_a_number_in_words_is_found_with_any_dash_or_none(written: str) -> None:
    assert kinds(f"Write that she is {written} now", {"age": "42"}, history=()) == {"number"}


@pytest.mark.parametrize(
    "written", ["seven three oh", "seven three five one", "Seven, three, five, one", "zero-one-two"]
)
def test_a_number_is_found_when_it_is_said_digit_by_digit(written: str) -> None:
    found = kinds(f"The code is {written}.", {"pin": "7351", "door": "012"}, history=())
    assert found == (set() if "oh" in written else {"number"})


@pytest.mark.parametrize("text", ["hundred " * 3_000, "one " * 6_000, "million thousand " * 2_000])
def test_endless_numbers_in_words_are_read_in_parts(text: str) -> None:
    history = (Written(title="", text=text),)
    assert GUARD.check(task(text, {"age": "42"}, history=())).verdict is Verdict.PASSED
    assert GUARD.check(task("Write a card", {"note": text}, history=history)).verdict is Verdict.PASSED


def test_letters_of_several_scripts_in_one_word_are_suspicious() -> None:
    assert kinds("Write about a gаrden") == {"suspicious"}  # a Cyrillic a


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mail me: j.doe+x@shop.example.org", "email"),
        ("mail me: doe [at] shop [dot] org", "email"),
        ("call +44 20 7946 0958", "phone"),
        ("call (415) 555-0132", "phone"),
        ("my card is 4111 1111 1111 1111", "card"),
        ("pay to GB82 WEST 1234 5698 7654 32", "account"),
        ("number 078-05-1120", "id"),
        ("passport AB1234567", "id"),
        ("the server 192.168.10.7", "network"),
        ("ask @some_one77", "id"),
        ("I live at 12 Long Meadow Road", "address"),
        ("My name is Ulf Sandberg", "name"),
        ("a gift for my wife Brunhilde", "name"),
    ],
)
def test_personal_data_is_found_by_its_form_alone(text: str, kind: str) -> None:
    assert kind in kinds(text, {}, history=())


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 is a number",
        "a budget of 250000 and not 1000000 or more",
        "GB82 WEST 1234 5698 7654 33",
        "from 1998 - 2005",
        "on 2024-01-05",
        "1.2.3.4.5",
    ],
)
def test_what_only_looks_like_a_card_an_account_or_a_network_is_none(text: str) -> None:
    assert not kinds(text, {}, history=()) & {"card", "account", "network", "date"}


def test_a_value_of_common_words_counts_as_a_whole_and_a_name_in_its_words_too() -> None:
    profile = {"name": "Rose Baker", "job": "night nurse", "hobby": "reading"}
    assert kinds("a rose for a nurse at night", profile) == {"name"}
    assert kinds("the baker and the night  nurse", profile) == {"name", "profile"}
    assert kinds("she likes reading", profile) == {"profile"}


@pytest.mark.parametrize(
    "private",
    [
        "My daughter Mina plays chess with Hans and Ella.",
        "Mina came first. Hans and Ella cheered.",
        "I write to Mina, Hans, Ella",
    ],
)
def test_a_name_that_is_a_function_word_of_another_language_is_private(private: str) -> None:
    for profile, history in (({"about": private}, ()), ({}, (Written(title="Chess", text=private),))):
        checked = GUARD.check(task("Invite Mina, then hans and Ella.", profile, history=history))
        assert not any(name in checked.text.casefold() for name in ("mina", "hans", "ella")), checked.text


def test_function_words_of_another_language_are_no_names_in_it() -> None:
    history = (Written(title="", text="Dann kam er nicht mehr, aber wir waren noch unter uns. Dann ging sie."),)
    assert GUARD.check(task("dann aber noch nicht", {}, history=history)).verdict is Verdict.PASSED


def test_a_value_of_one_letter_counts_in_its_own_case_alone() -> None:
    assert kinds("Plan F", {"sex": "F"}) == {"profile"}
    assert kinds("f of x, and Farm", {"sex": "F"}) == set()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("（＾▽＾）", "（＾▽＾）"),
        ("（＾▽＾）", "(^▽^)"),
        ("！！", "！！"),
        ("！", "！"),
        ("\u2764\ufe0f", "\u2764"),
        ("\u2764", "\u2764\ufe0f"),
        ("♥♥", "♥♥"),
    ],
)
def test_a_value_of_signs_alone_is_found_in_any_of_its_forms(value: str, written: str) -> None:
    checked = GUARD.check(task(f"Sign with {written}, please!", {"signature": value}, history=()))
    assert checked.text == "Sign with [NAME_1], please!"


def test_a_value_of_nothing_that_is_seen_takes_nothing_out() -> None:
    assert GUARD.check(task("Write a card", {"note": "\ufe0f"}, history=())).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("private", "said", "found"),
    [
        ("14 March 1987", "on May 1st", False),
        ("14 March 1987 and 14 March", "of 2 January 2020", False),
        ("14 March 1987", "on 14 March", True),
        ("on 14 March", "of 14 March 1987", True),
        ("14 March 1987", "of 3/14/1987", True),
        ("5 June 1987", "of 5 June 1988", False),
    ],
)
def test_a_date_is_private_only_if_it_may_be_one_of_the_users(private: str, said: str, found: bool) -> None:
    assert ("date" in kinds(f"Tell the story {said}", {"birthday": private}, history=())) is found


def test_a_public_word_of_the_history_is_not_private_but_its_number_is() -> None:
    history = (Written(title="", text="The garden has 7 trees, and a Zwetschgenbaum."),)
    assert kinds("Write about a garden with trees", {}, history=history) == set()
    assert kinds("seven trees, 7 trees, a zwetschgenbaum", {}, history=history) == {"number", "word"}


@pytest.mark.parametrize("value", ["北京市", "山田太郎", "서울", "กรุงเทพ", "Κωνσταντίνος", "Екатерина", "محمد"])
def test_values_in_other_scripts_are_found_with_and_without_spaces_around(value: str) -> None:
    checked = GUARD.check(task(f"Write: 我住在{value}很久", {"city": value}))
    assert value not in checked.text


def test_a_german_name_is_found_in_its_other_spelling() -> None:
    assert kinds("for Mueller", {"name": "Müller"}) == {"name"}
    assert kinds("for Muller", {"name": "Müller"}) == {"name"}


def test_a_passage_copied_from_an_earlier_text_is_found_though_all_its_words_are_public() -> None:
    history = (Written(title="", text="He left me in the spring and took the car with him."),)
    checked = GUARD.check(task("Write: he left me, in the spring, and took the car!", {}, history=history))
    assert checked.text == "Write: [PASSAGE_1]!"
    assert kinds("He took the car in the spring", {}, history=history) == set()


def test_a_number_that_an_earlier_text_has_in_words_is_found_in_digits() -> None:
    history = (Written(title="", text="She was forty-two, and had a thousand reasons."),)
    assert kinds("She is 42, for 1000 reasons", {}, history=history) == {"number"}
    assert GUARD.check(task("for 1000 reasons", {}, history=history)).verdict is Verdict.PASSED


def test_pieces_that_meet_when_something_between_them_is_cut_out_are_found() -> None:
    checked = GUARD.check(task("Kova 31 lenko"))
    assert "Kova" not in checked.text


def test_very_long_words_values_and_texts_take_no_time_that_grows_with_their_square() -> None:
    length = 20_000
    profile = {"note": "x" * length, "list": "Zanzibar " * (length // 9)}
    checked = GUARD.check(
        task("y" * length + " " + "a1" * (length // 2) + " a b" * (length // 40), profile, history=())
    )
    assert checked.verdict is Verdict.PASSED
