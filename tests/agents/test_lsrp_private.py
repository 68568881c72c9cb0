"""A user's own memory as the device's store of private data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsrp_examples import HISTORY, PROFILE, TASK

from memagent import Memory
from memagent.agents.lsrp import PrivateMemory, PrivateTask, TaskType, Written, remember_private
from memagent.agents.lsrp.device_state import (
    begun,
    checked_from_json,
    checked_to_json,
    choice_from_json,
    choice_to_json,
    task_from_json,
    task_to_json,
)
from memagent.agents.lsrp.ports import Checked, Choice, Finding, Verdict
from memagent.agents.lsrp.private import profile_in, writings_in
from memagent.errors import InvalidInput
from memagent.testing import HashingEncoder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder(dim=64), background=False) as made:
        yield made


def test_profile_and_texts_are_brought_in_once_and_read_again(memory: Memory) -> None:
    assert remember_private(memory, user_id="ann", profile=PROFILE, history=HISTORY) == 5
    assert remember_private(memory, user_id="ann", profile=PROFILE, history=HISTORY) == 0
    assert profile_in(memory, user_id="ann") == PROFILE
    assert writings_in(memory, user_id="ann") == HISTORY


def test_a_new_value_takes_the_place_of_the_old_one(memory: Memory) -> None:
    remember_private(memory, user_id="ann", profile=PROFILE)
    assert remember_private(memory, user_id="ann", profile={**PROFILE, "city": "Faro", "age": "31"}) == 2
    assert profile_in(memory, user_id="ann") == {**PROFILE, "city": "Faro", "age": "31"}


def test_a_task_is_completed_with_what_it_lacks(memory: Memory) -> None:
    remember_private(memory, user_id="ann", profile=PROFILE, history=HISTORY)
    private = PrivateMemory(memory, user_id="ann")
    bare = PrivateTask(text="x", task_type=TaskType.WRITING)
    assert private.completed(bare) == PrivateTask(
        text="x", task_type=TaskType.WRITING, profile=PROFILE, history=HISTORY
    )
    other = PrivateTask(text="x", task_type=TaskType.WRITING, profile={"name": "B"}, history=HISTORY[:1])
    assert private.completed(other) == other


def test_profile_facts_are_not_looked_up_a_second_time(memory: Memory) -> None:
    remember_private(memory, user_id="ann", profile=PROFILE, history=HISTORY)
    memory.add("Porto has a new bridge.", user_id="ann", metadata={"topic": "town"})
    found = PrivateMemory(memory, user_id="ann", retriever="bm25").recalled(TASK)
    assert found[0].text == "Porto has a new bridge."
    assert not any("city: Porto" in one.text for one in found)
    towns = PrivateMemory(memory, user_id="ann", filters={"topic": "town"}).recalled(TASK)
    assert [one.text for one in towns] == ["Porto has a new bridge."]


def test_of_an_unknown_user_nothing_is_known(memory: Memory) -> None:
    private = PrivateMemory(memory, user_id="nobody")
    assert private.recalled(TASK) == ()
    assert private.completed(TASK) == TASK
    assert profile_in(memory, user_id="nobody") == {}
    assert PrivateMemory(memory, user_id="nobody", top_k=0).recalled(TASK) == ()
    with pytest.raises(InvalidInput, match="int stands"):
        remember_private(memory, user_id="nobody", profile={"age": 31})  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match="top_k"):
        PrivateMemory(memory, user_id="ann", top_k=-1)


TEXTS = st.text(max_size=20)


@given(
    TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.lists(st.builds(Written, title=TEXTS, text=TEXTS), max_size=2)
)
@settings(max_examples=50)
def test_a_task_is_kept_as_it_is(text: str, profile: dict[str, str], history: list[Written]) -> None:
    task = PrivateTask(text=text, task_type=TaskType.EXPLANATION, profile=profile, history=tuple(history))
    assert task_from_json(task_to_json(task)) == task
    assert begun(task)["task"] == task_to_json(task)


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.integers(0, 9), st.sampled_from(Verdict))
@settings(max_examples=50)
def test_verdicts_and_choices_are_kept_as_they_are(
    text: str, placeholders: dict[str, str], start: int, verdict: Verdict
) -> None:
    finding = Finding(start=start, end=start + 1, kind=text, found_by="rules")
    checked = Checked(verdict=verdict, text=text, placeholders=placeholders, findings=(finding,))
    assert checked_from_json(checked_to_json(checked)) == checked
    choice = Choice(strategy=text, reason=text, votes={text: start})
    assert choice_from_json(choice_to_json(choice)) == choice
