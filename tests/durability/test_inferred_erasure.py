"""What a language model has written of a text goes with it, to the last byte; so does what is still queued."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from observer import Observer, mark, observer
from stored_turns import fast_directory

from memagent import Memory
from memagent.encoders.cache import CachedEncoder
from memagent.errors import ModelRefused
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.prompts.summary import SessionKeywords, SessionSummary
from memagent.testing import HashingEncoder, ScriptedModel

_MARK = re.compile(r"[gjkpqvwxyz]{9,}")
_NUMBERED = re.compile(r'<message number="(\d+)"[^>]*>\n(.*?)\n</message>', re.DOTALL)


def repeats(prompt: Prompt[Any]) -> Any:
    """A model that repeats what it was shown: a fact for each message, and one that all of them tell together."""
    if prompt.name != "extract-facts":
        marks = _MARK.findall(prompt.user)
        is_summary = prompt.name == "session-summary"
        return SessionSummary(summary=" ".join(marks)) if is_summary else SessionKeywords(keywords=marks[:20])
    said = _NUMBERED.findall(prompt.user)
    facts = [Fact(text=f"It is said: {text}", messages=[int(number)]) for number, text in said]
    if len(said) > 1:
        facts.append(Fact(text="; ".join(text for _, text in said), messages=[int(number) for number, _ in said]))
    known = re.findall(r'<memory id="(k\d+)"', prompt.user)
    if facts:
        facts[0].replaces.extend(known[:1])
    return Facts(facts=facts)


@pytest.fixture(scope="module")
def watcher() -> Iterator[Observer]:
    with observer() as watching:
        yield watching


@pytest.fixture
def root() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


def open_inferring(root: Path, model: ScriptedModel | None = None) -> Memory:
    return Memory(root, encoder=HashingEncoder(32), background=False, model=model or ScriptedModel(repeats))


@pytest.mark.parametrize("change", ["delete", "delete_all", "session", "update then delete"])
def test_no_byte_of_what_was_inferred_from_a_deleted_text_is_left(root: Path, watcher: Observer, change: str) -> None:
    rng = random.Random(change)
    words = [mark(rng) for _ in range(4)]
    with open_inferring(root) as memory:
        memory.add(words[0], user_id="ann", session_id="before", infer=True, wait=True)
        added = memory.add([words[1], words[2]], user_id="ann", session_id="s", infer=True)["results"]
        memory.close_session("s", user_id="ann", wait=True)
        memory.add(words[3], user_id="ann", session_id="after", infer=True, wait=True)
        assert memory.stats(user_id="ann")["fact_units"] >= 5
        assert watcher.left(root, words[1:2]), "the text can be seen before it is deleted"
        gone = words[1:2]
        if change == "delete":
            memory.delete(added[0]["id"])
        elif change == "delete_all":
            memory.delete_all(user_id="ann", filters={"AND": [{"session_id": "s"}]})
            gone = words[1:3]
        elif change == "session":
            own = memory.get_all(user_id="ann", granularity="session", filters={"session_id": "s"})["results"]
            memory.delete(own[0]["id"])
            gone = words[1:3]
        else:
            other = mark(rng)
            memory.update(added[0]["id"], other)
            memory.wait(user_id="ann")
            memory.delete(added[0]["id"])
            gone = [*gone, other]
        kept = [word for word in words if word not in gone]
        assert watcher.left(root, gone, kept) == {}
        memory.wait(user_id="ann")
        assert watcher.left(root, gone, kept) == {}
        assert memory.verify()["ok"]
    assert watcher.left(root, gone, kept) == {}


def test_no_byte_of_a_deleted_fact_is_left(root: Path, watcher: Observer) -> None:
    rng = random.Random(1)
    said, corrected = mark(rng), mark(rng)
    with open_inferring(root, ScriptedModel(lambda _: Facts(facts=[Fact(text=said, messages=[1])]))) as memory:
        memory.add("Something.", user_id="ann", session_id="s", infer=True, wait=True)
        fact = memory.get_all(user_id="ann", granularity="fact")["results"][0]["id"]
        memory.update(fact, corrected)
        assert watcher.left(root, [said])
        memory.delete(fact)
        assert watcher.left(root, [said, corrected]) == {}
        assert memory.verify()["ok"]


def test_the_reason_of_a_failure_goes_with_what_it_is_about(root: Path, watcher: Observer) -> None:
    rng = random.Random(2)
    word = mark(rng)
    with open_inferring(root, ScriptedModel(lambda _: f"I cannot read {word}")) as memory:
        added = memory.add(word, user_id="ann", session_id="s", infer=True, wait=True)["results"][0]["id"]
        assert memory.inference(user_id="ann")["failed"] == 1
        memory.add("Something else.", user_id="ann", session_id="s")
        memory.delete(added)
        assert memory.inference(user_id="ann")["failed"] == 0
        assert watcher.left(root, [word]) == {}


def test_the_reason_of_a_failure_does_not_quote_what_was_deleted_of_the_same_prompt(
    root: Path, watcher: Observer
) -> None:
    rng = random.Random(4)
    word, other = mark(rng), mark(rng)
    refusal = ModelRefused(f"the server said 400: cannot read {word} {other}")
    with open_inferring(root, ScriptedModel(lambda _: refusal)) as memory:
        added = memory.add([word, other], user_id="ann", session_id="s", infer=True, wait=True)["results"]
        assert memory.inference(user_id="ann")["failed"] == 2
        memory.delete(added[0]["id"])
        assert watcher.left(root, [word], [other]) == {}
        (problem,) = memory.inference(user_id="ann")["problems"]
        assert problem["reason"] == "ModelRefused"
        assert memory.verify()["ok"]


def test_nothing_inferred_of_a_forgotten_user_is_left(root: Path, watcher: Observer) -> None:
    rng = random.Random(3)
    words = [mark(rng) for _ in range(6)]
    encoder = CachedEncoder(HashingEncoder(32), root / "cache.sqlite")
    with Memory(root / "store", encoder=encoder, background=False, model=ScriptedModel(repeats)) as memory:
        memory.add("Something else.", user_id="bob", infer=True, wait=True)
        before = encoder.stats().entries
        for place, word in enumerate(words):
            memory.add(word, user_id="ann", session_id=f"s{place % 2}", infer=True, wait=place % 2 == 0)
        memory.close_session("s1", user_id="ann", wait=True)
        memory.add(words[0], user_id="ann", session_id="s9", infer=True)  # still queued
        assert watcher.left(root, words)
        memory.forget_user(user_id="ann")
        assert watcher.left(root, words) == {}
        assert encoder.stats().entries == before
        assert memory.inference()["done"] == 1
        assert memory.users() == ["bob"]
    encoder.close()
