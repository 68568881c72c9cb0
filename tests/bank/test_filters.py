from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.bank.filters import compile_filter, same_value
from memagent.errors import InvalidFilter, InvalidTime
from memagent.records import to_micros
from memagent.stores.port import Attributes

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def unit(
    *,
    session_id: str = "s",
    event_at: datetime = NOON,
    created_at: datetime = NOON,
    roles: tuple[str, ...] = ("user", "assistant"),
    agent_id: str | None = None,
    **metadata: Any,
) -> Attributes:
    return Attributes(session_id, to_micros(event_at), to_micros(created_at), roles, agent_id, metadata)


def passes(filters: dict[str, Any], **fields: Any) -> bool:
    return compile_filter(filters)(unit(**fields))


# operators


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("food", "food", True),
        ("food", "Food", False),
        ({"eq": "food"}, "food", True),
        ({"ne": "food"}, "food", False),
        ({"ne": "food"}, "work", True),
        ({"gt": 3}, 4, True),
        ({"gt": 3}, 3, False),
        ({"gte": 3}, 3, True),
        ({"lt": 3}, 2.5, True),
        ({"lt": 3}, 3, False),
        ({"lte": 3}, 3, True),
        ({"gte": 10, "lt": 20}, 15, True),
        ({"gte": 10, "lt": 20}, 20, False),
        ({"gt": "a"}, "b", True),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"in": []}, "c", False),
        ({"nin": ["a", "b"]}, "c", True),
        ({"nin": ["a", "b"]}, "a", False),
        ({"contains": "oo"}, "food", True),
        ({"contains": "OO"}, "food", False),
        ({"contains": "fish"}, ["meat", "fish"], True),
        ({"contains": "fis"}, ["meat", "fish"], False),
        ({"icontains": "OO"}, "food", True),
        ({"icontains": "STRASSE"}, "Hauptstraße 5", True),
        ({"icontains": "caf\u00e9"}, "Cafe\u0301 Central", True),
        ("*", "anything", True),
        ("*", None, True),
        ({"eq": "*"}, "anything", False),
        ({"eq": "*"}, "*", True),
        (None, None, True),
        ([1, 2], [1, 2], True),
        ({"eq": {"a": 1}}, {"a": 1}, True),
    ],
)
def test_an_operator_does_what_its_name_says(condition: Any, value: Any, expected: bool) -> None:
    assert passes({"topic": condition}, topic=value) is expected


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ({"gt": 3}, "4"),
        ({"lt": "3"}, 2),
        ({"gte": 0}, None),
        ({"gt": 0}, True),
        ({"lt": True}, 0),
        ({"gt": 0}, [1]),
        ({"eq": 1}, "1"),
        ({"contains": 1}, "123"),
        ({"contains": "a"}, {"a": 1}),
        ({"contains": "a"}, 7),
        ({"icontains": "a"}, ["a"]),
        ({"icontains": 1}, "1"),
        ({"in": [1]}, "1"),
        ({"gt": float("nan")}, 1),
        ({"lte": float("nan")}, 1),
    ],
)
def test_a_comparison_of_different_kinds_is_false_and_no_error(condition: Any, value: Any) -> None:
    assert passes({"topic": condition}, topic=value) is False


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (False, 0), (1.0, True), ([True], [1]), ({"a": 0}, {"a": False}), ("", None)]
)
def test_a_flag_is_not_a_number(one: Any, other: Any) -> None:
    assert not same_value(one, other)
    assert not passes({"topic": {"eq": one}}, topic=other)
    assert not passes({"topic": {"in": [one]}}, topic=other)
    assert passes({"topic": {"ne": one}}, topic=other)
    assert passes({"topic": {"nin": [one]}}, topic=other)
    assert passes({"topic": {"contains": one}}, topic=[other]) is False


def test_whole_and_decimal_numbers_are_equal() -> None:
    assert passes({"price": 3}, price=3.0)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("food", False),
        (None, False),
        ("*", False),
        ({"gt": 1}, False),
        ({"in": ["food", None]}, False),
        ({"contains": "f"}, False),
        ({"ne": "food"}, True),
        ({"nin": ["food"]}, True),
    ],
)
def test_a_missing_field_passes_only_what_denies(condition: Any, expected: bool) -> None:
    assert passes({"topic": condition}) is expected


# combinations


def test_several_fields_and_several_operators_must_all_hold() -> None:
    filters = {"topic": "food", "price": {"gt": 1, "lt": 5}}
    assert passes(filters, topic="food", price=3)
    assert not passes(filters, topic="food", price=5)
    assert not passes(filters, topic="work", price=3)


def test_and_or_not_combine() -> None:
    assert passes({"AND": [{"a": 1}, {"b": 2}]}, a=1, b=2)
    assert not passes({"AND": [{"a": 1}, {"b": 2}]}, a=1, b=3)
    assert passes({"OR": [{"a": 1}, {"b": 2}]}, a=0, b=2)
    assert not passes({"OR": [{"a": 1}, {"b": 2}]}, a=0, b=0)
    assert passes({"NOT": {"a": 1}}, a=2)
    assert not passes({"NOT": {"a": 1}}, a=1)
    assert passes({"NOT": [{"a": 1}, {"b": 2}]}, a=0, b=0)
    assert not passes({"NOT": [{"a": 1}, {"b": 2}]}, a=0, b=2)
    assert passes({"NOT": {"OR": [{"AND": [{"a": 1}, {"NOT": {"b": 1}}]}, {"c": 1}]}}, a=1, b=1, c=0)
    assert passes({"a": 1, "NOT": {"b": 1}}, a=1, b=0)


def test_an_empty_filter_passes_everything() -> None:
    assert passes({})
    assert passes({"AND": [{}]})


# fields


def test_times_are_compared_as_moments() -> None:
    berlin = "2025-03-01T13:00:00+01:00"
    assert passes({"event_at": berlin})
    assert passes({"event_at": {"gte": NOON, "lt": NOON + timedelta(microseconds=1)}})
    assert not passes({"event_at": {"gt": NOON}})
    assert passes({"event_at": {"in": [berlin]}})
    assert passes({"event_at": {"nin": ["2025-03-01T12:00:01Z"]}})
    assert passes({"event_at": "*"})
    assert passes({"created_at": {"lt": NOON}}, created_at=NOON - timedelta(days=1))
    assert not passes({"created_at": {"lt": NOON}}, event_at=NOON - timedelta(days=1))


def test_the_role_holds_if_any_source_message_has_it() -> None:
    assert passes({"role": "assistant"})
    assert passes({"role": {"in": ["tool", "user"]}})
    assert not passes({"role": "tool"})
    assert not passes({"role": {"ne": "assistant"}})
    assert passes({"role": {"ne": "tool"}})
    assert not passes({"role": {"nin": ["tool", "user"]}})
    assert not passes({"role": "user"}, roles=())
    assert not passes({"role": "*"}, roles=())


def test_session_and_agent_are_fields() -> None:
    assert passes({"session_id": "s"})
    assert passes({"session_id": {"icontains": "S"}})
    assert passes({"agent_id": "cook"}, agent_id="cook")
    assert not passes({"agent_id": "*"})
    assert passes({"agent_id": {"ne": "cook"}})


@pytest.mark.parametrize("name", ["role", "session_id", "agent_id", "event_at", "created_at", "AND", "OR", "NOT"])
def test_metadata_with_the_name_of_a_field_is_reached_with_a_prefix(name: str) -> None:
    with_metadata = Attributes("s", 0, 0, ("user",), None, {name: "mine"})
    assert compile_filter({f"metadata.{name}": "mine"})(with_metadata)
    assert compile_filter({f"metadata.{name}": {"contains": "in"}})(with_metadata)


def test_a_plain_metadata_key_may_be_written_with_the_prefix_too() -> None:
    assert passes({"metadata.topic": "food"}, topic="food")
    assert passes({"metadata.a.b": 1}, **{"a.b": 1})


# refusals


@pytest.mark.parametrize(
    "filters",
    [
        {"topic": {"equals": "food"}},
        {"topic": {"$eq": "food"}},
        {"topic": {"EQ": "food"}},
        {"topic": {3: "food"}},
        {"OR": [{"topic": {"equals": 1}}]},
    ],
)
def test_an_unknown_operator_names_the_valid_ones(filters: Any) -> None:
    with pytest.raises(InvalidFilter, match="eq, ne, gt, gte, lt, lte, in, nin, contains, icontains"):
        compile_filter(filters)


@pytest.mark.parametrize(
    "filters",
    [
        None,
        [],
        [{"topic": "food"}],
        "topic",
        {"": 1},
        {3: 1},
        {"topic": {}},
        {"topic": {"in": "food"}},
        {"topic": {"in": 3}},
        {"topic": {"nin": {"a": 1}}},
        {"topic": {"in": {"a", "b"}}},
        {"topic": {"eq": {1, 2}}},
        {"topic": {"gt": NOON}},
        {"topic": [object()]},
        {"AND": []},
        {"OR": []},
        {"NOT": []},
        {"AND": "topic"},
        {"OR": [3]},
        {"NOT": None},
        {"event_at": 3},
        {"event_at": {"gte": None}},
        {"event_at": {"in": [3]}},
    ],
)
def test_a_malformed_filter_is_refused(filters: Any) -> None:
    with pytest.raises(InvalidFilter):
        compile_filter(filters)


@pytest.mark.parametrize("time", ["2025-03-01", "2025-03-01T12:00:00", "noon", datetime(2025, 3, 1)])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(time: Any) -> None:
    with pytest.raises(InvalidTime, match="event_at"):
        compile_filter({"event_at": {"gte": time}})


def test_a_bottomless_filter_is_refused() -> None:
    filters: dict[str, Any] = {"a": 1}
    for _ in range(2000):
        filters = {"NOT": filters}
    with pytest.raises(InvalidFilter, match="deep"):
        compile_filter(filters)


# against a plain evaluator

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.sampled_from(["", "a", "ab", "B"])
)
values = scalars | st.lists(scalars, max_size=2)
fields = st.sampled_from(["x", "y", "metadata.x", "role", "session_id", "agent_id"])
conditions = st.one_of(
    values,
    st.just("*"),
    st.dictionaries(
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "contains", "icontains"]),
        scalars,
        min_size=1,
        max_size=2,
    ),
    st.dictionaries(st.sampled_from(["in", "nin"]), st.lists(scalars, max_size=3), min_size=1),
)
plain_filters = st.dictionaries(fields, conditions, max_size=2)
filters_of_all_kinds = st.recursive(
    plain_filters,
    lambda inner: st.one_of(
        st.dictionaries(
            st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=2
        ),
        st.fixed_dictionaries({"NOT": inner}),
    ),
    max_leaves=4,
)
units = st.builds(
    lambda metadata, roles, session_id, agent_id: Attributes(session_id, 0, 0, roles, agent_id, metadata),
    st.dictionaries(st.sampled_from(["x", "y"]), values),
    st.sampled_from([(), ("user",), ("user", "assistant"), ("a",)]),
    st.sampled_from(["a", "ab", "s"]),
    st.sampled_from([None, "a", "B"]),
)


def plainly(filters: dict[str, Any], unit: Attributes) -> bool:
    return all(plain_clause(name, condition, unit) for name, condition in filters.items())


def plain_clause(name: str, condition: Any, unit: Attributes) -> bool:
    if name in ("AND", "OR", "NOT"):
        parts = [plainly(part, unit) for part in (condition if isinstance(condition, list) else [condition])]
        return {"AND": all(parts), "OR": any(parts), "NOT": not any(parts)}[name]
    if name == "role":
        present = list(unit.roles)
    elif name == "session_id":
        present = [unit.session_id]
    elif name == "agent_id":
        present = [] if unit.agent_id is None else [unit.agent_id]
    else:
        key = name.removeprefix("metadata.")
        present = [unit.metadata[key]] if key in unit.metadata else []
    if condition == "*" and isinstance(condition, str):
        return bool(present)
    tests = condition if isinstance(condition, dict) else {"eq": condition}
    return all(plain_test(operator, wanted, present) for operator, wanted in tests.items())


def plain_test(operator: str, wanted: Any, present: list[Any]) -> bool:
    if operator == "ne":
        return not plain_test("eq", wanted, present)
    if operator == "nin":
        return not plain_test("in", wanted, present)
    return any(plain_one(operator, value, wanted) for value in present)


def kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def plain_equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(plain_equal(a, b) for a, b in zip(value, wanted, strict=True))
    return kind(value) == kind(wanted) and bool(value == wanted)


def plain_one(operator: str, value: Any, wanted: Any) -> bool:
    if operator == "eq":
        return plain_equal(value, wanted)
    if operator == "in":
        return any(plain_equal(value, item) for item in wanted)
    if operator in ("contains", "icontains") and kind(value) == kind(wanted) == "str":
        return wanted in value if operator == "contains" else wanted.lower() in value.lower()
    if operator == "contains":
        return isinstance(value, list) and any(plain_equal(item, wanted) for item in value)
    if operator == "icontains" or kind(value) != kind(wanted) or kind(value) not in ("number", "str"):
        return False
    return bool({"gt": value > wanted, "gte": value >= wanted, "lt": value < wanted, "lte": value <= wanted}[operator])


@settings(max_examples=300)
@given(filters_of_all_kinds, units)
def test_a_filter_decides_as_a_plain_reading_of_it_does(filters: dict[str, Any], unit: Attributes) -> None:
    assert compile_filter(filters)(unit) is plainly(filters, unit)
