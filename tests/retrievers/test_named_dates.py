from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.records import to_micros
from memagent.retrievers.dates import NamedDate, named_dates, nearness


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("When did Ana go camping in June?", [(None, 6, None)]),
        ("What did she show me on October 13, 2023?", [(2023, 10, 13)]),
        ("the week before August 3rd, 2023", [(2023, 8, 3)]),
        ("on the 3rd of May", [(None, 5, 3)]),
        ("5th June and Sept. 7", [(None, 6, 5), (None, 9, 7)]),
        ("in December 2023 and on July 4", [(2023, 12, None), (None, 7, 4)]),
        ("Was war am 3. Mai 2023?", [(2023, 5, 3)]),
        ("¿Qué hice el 3 de mayo de 2023?", [(2023, 5, 3)]),
        ("le 14 août 2022", [(2022, 8, 14)]),
        ("o que fiz em março", [(None, 3, None)]),
        ("co robiłem 7 września 2021", [(2021, 9, 7)]),
        ("что было 3 мая 2023", [(2023, 5, 3)]),
        ("2023年5月3日 and 2022年", [(2023, 5, 3), (2022, None, None)]),
        ("2023-05-03 or 03.05.2024", [(2023, 5, 3), (2024, 5, 3)]),
        ("on 03/05/2023", [(2023, 5, 3), (2023, 3, 5)]),
        ("on 23/05/2023", [(2023, 5, 23)]),
        ("What happened in 2023?", [(2023, None, None)]),
        ("29 February", [(None, 2, 29)]),
        ("on 14 March 10:30", [(None, 3, 14)]),
        ("on 3 May, 2 people came", [(None, 5, 3)]),
        ("12 December, 2 January 2024", [(None, 12, 12), (2024, 1, 2)]),
        ("Am 5. Mai 12 Leute", [(None, 5, 5)]),
        ("3 May, 2023", [(2023, 5, 3)]),
        ("June 10:30", [(None, 6, None)]),
    ],
)
def test_dates_are_found_as_people_write_them(text: str, dates: list[tuple[int | None, ...]]) -> None:
    assert [tuple(named) for named in named_dates(text)] == dates


@pytest.mark.parametrize(
    "text",
    [
        "May I ask you something?",
        "I may go",
        "march past the gate",
        "an august gentleman",
        "deux ou sept jours",
        "2023-13-45",
        "12345 steps",
        "room 101",
        "What may 5 people do?",
        "2023年0月5日",
        "",
    ],
)
def test_words_and_numbers_that_are_no_dates_are_left_alone(text: str) -> None:
    assert named_dates(text) == []


def test_month_names_that_are_words_need_a_number_or_a_small_word_beside_them() -> None:
    assert named_dates("I may come in May") == [NamedDate(None, 5)]
    assert named_dates("the march of May 2020") == [NamedDate(2020, 5)]


def moments(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in texts], np.int64)


def test_nearness_is_one_inside_and_falls_slowly_after_and_fast_before() -> None:
    at = moments("2023-05-02T00:00", "2023-05-03T08:00", "2023-05-04T00:00", "2023-05-14T00:00")
    found = nearness([NamedDate(2023, 5, 3)], at, after=10.0, before=3.0)
    # One day before, inside, at its end, ten days after its end.
    assert found == pytest.approx([math.exp(-1 / 3), 1.0, 1.0, math.exp(-1)])


def test_a_month_without_a_year_recurs() -> None:
    at = moments("2021-06-15T00:00", "2022-06-01T00:00", "2022-12-01T00:00")
    found = nearness([NamedDate(None, 6)], at, after=10.0, before=3.0)
    assert found[:2].tolist() == [1.0, 1.0]
    assert found[2] < 1e-6


def test_the_nearest_of_several_dates_counts() -> None:
    at = moments("2021-06-15T00:00", "2022-03-05T00:00")
    assert nearness([NamedDate(2021), NamedDate(2022, 3, 5)], at, after=1.0, before=1.0).tolist() == [1.0, 1.0]


def test_no_moments_and_impossible_dates_give_nothing() -> None:
    assert nearness([NamedDate(2023)], np.empty(0, np.int64), after=1.0, before=1.0).shape == (0,)
    at = moments("2023-02-28T00:00")
    assert nearness([NamedDate(2023, 2, 29), NamedDate(9999, 12, 31), NamedDate(0)], at, after=1.0, before=1.0) == 0.0


@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    at = moments("0001-01-02T00:00", "2023-02-28T00:00", "9999-12-30T00:00")
    found = nearness(named_dates(text), at, after=10.0, before=3.0)
    assert ((found >= 0) & (found <= 1)).all()


@given(st.dates(), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"]))
def test_a_written_day_is_found_again(day: datetime, form: str) -> None:
    if day.year < 1000:
        return  # written with three digits
    found = named_dates(f"on {day.strftime(form)}?")
    assert NamedDate(day.year, day.month, day.day) in found
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=5)
    assert nearness(found, np.array([to_micros(begin)]), after=1.0, before=1.0)[0] == 1.0
