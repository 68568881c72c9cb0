from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent import records
from memagent.errors import InvalidTime, UnknownName
from memagent.records import Attachment, Granularity, MemoryUnit, Message, as_utc, from_micros, to_micros, utc_now

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # noqa: DTZ001 - given a zone


@given(moments)
def test_microseconds_and_back_is_the_same_moment(moment: datetime) -> None:
    micros = to_micros(moment)
    assert from_micros(micros) == moment
    assert from_micros(micros).tzinfo is UTC
    assert to_micros(from_micros(micros)) == micros


@given(moments, moments)
def test_microseconds_keep_the_order_of_moments(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


@given(moments)
def test_an_aware_time_keeps_its_moment_as_a_datetime_and_as_a_text(moment: datetime) -> None:
    for value in (moment, moment.isoformat()):
        converted = as_utc(value)
        assert converted == moment
        assert converted.utcoffset() == timedelta(0)


def test_a_text_with_z_is_a_time_in_utc() -> None:
    assert as_utc("2025-03-01T10:00:00Z") == datetime(2025, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2025, 3, 1),  # noqa: DTZ001 - naive on purpose
        "2025-03-01T10:00:00",
        "2025-03-01",
        "yesterday",
        "",
        "x" * 10_000,
        date(2025, 3, 1),
        1_740_823_200,
        1.5,
        None,
        b"2025-03-01T10:00:00Z",
    ],
)
def test_what_is_not_one_moment_everywhere_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTime, match="when") as caught:
        as_utc(value, "when")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_a_time_outside_the_calendar_is_refused(value: str) -> None:
    with pytest.raises(InvalidTime, match="outside the years"):
        as_utc(value)


def test_now_is_aware() -> None:
    assert utc_now().utcoffset() == timedelta(0)


def test_a_granularity_is_found_by_its_name() -> None:
    assert [Granularity.of(str(member)) for member in Granularity] == list(Granularity)
    assert Granularity.of(Granularity.TURN) is Granularity.TURN


@pytest.mark.parametrize("name", ["turns", "TURN", "", None, 3])
def test_an_unknown_granularity_names_the_valid_ones(name: Any) -> None:
    with pytest.raises(UnknownName, match="'session', 'turn', 'summary', 'keywords'"):
        Granularity.of(name)


def test_a_message_is_shown_with_who_said_it() -> None:
    said = Message(role="user", content="hello", event_at=utc_now())
    assert said.line == "[user]: hello"
    assert dataclasses.replace(said, name="Ann").line == "[Ann]: hello"
    assert dataclasses.replace(said, bare=True).line == "hello"


def test_a_message_without_text_is_shown_by_what_is_attached() -> None:
    picture = Attachment(kind="image_url", reference="https://example.com/rex.jpg")
    silent = Message(role="user", content="", event_at=utc_now(), attachments=(picture, Attachment(kind="file")))
    assert silent.line == "[user]: (image_url, file)"
    assert dataclasses.replace(silent, content="Rex").line == "[user]: Rex"


def public_dataclasses() -> list[type[Any]]:
    values = (getattr(records, name) for name in dir(records) if not name.startswith("_"))
    return [
        v for v in values if isinstance(v, type) and dataclasses.is_dataclass(v) and v.__module__ == records.__name__
    ]


@pytest.mark.parametrize("record", public_dataclasses())
def test_records_are_frozen_slotted_and_keyword_only(record: type[Any]) -> None:
    parameters = record.__dataclass_params__
    assert parameters.frozen
    assert hasattr(record, "__slots__")
    assert all(field.kw_only for field in dataclasses.fields(record))


def test_a_record_cannot_be_changed() -> None:
    said = Message(role="user", content="hello", event_at=utc_now())
    with pytest.raises(dataclasses.FrozenInstanceError):
        said.content = "bye"  # type: ignore[misc]
    unit = MemoryUnit(
        key=1,
        id="a",
        user_id="ann",
        session_id="s",
        granularity=Granularity.TURN,
        text="hello",
        event_at=utc_now(),
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    with pytest.raises(TypeError):
        unit.metadata["topic"] = "food"  # type: ignore[index]
