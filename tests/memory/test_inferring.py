from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inferring_models import answer, facts_of, held_model, shown_facts, shown_messages

from memagent import AsyncMemory, Memory
from memagent.errors import InvalidInput, ModelRefused, ModelTimeout, ModelUnavailable, StoreBusy, UnknownUser
from memagent.llm import Budget
from memagent.memory import inference_loop
from memagent.memory.inference import write_facts
from memagent.memory.queueing import Inferring
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.stores import sqlite_inference
from memagent.testing import HashingEncoder, ScriptedModel

ENCODER = HashingEncoder(32)
JANUARY, JUNE, JULY = ("2025-01-01T10:00:00+00:00", "2025-06-01T10:00:00+00:00", "2025-07-01T10:00:00+00:00")
SETTLED = {"queued": 0, "running": 0, "failed": 0, "problems": []}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_loop, "_FIRST_WAIT", 0.02)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(answer)


@pytest.fixture
def memory(model: ScriptedModel) -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        yield memory


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def facts(memory: Memory, user_id: str = "ann", **options: Any) -> list[str]:
    return facts_of(memory.get_all(user_id=user_id, granularity="fact", top_k=None, **options)["results"])


def summaries(memory: Memory, user_id: str = "ann") -> list[str]:
    return facts_of(memory.get_all(user_id=user_id, granularity="summary")["results"])


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memagent-inferrer"]


# what is written


def test_facts_are_written_from_what_was_said(memory: Memory) -> None:
    reply = memory.add(
        [
            {"role": "user", "content": "I live in Oslo.", "id": "m1"},
            {"role": "assistant", "content": "Nice.", "id": "m2"},
        ],
        user_id="ann",
        session_id="s",
        timestamp=JANUARY,
        metadata={"topic": "home"},
        agent_id="helper",
        infer=True,
        wait=True,
    )
    assert reply["inference"] | SETTLED == reply["inference"]
    assert (reply["inference"]["done"], reply["inference"]["open"]) == (1, 1)
    first, second = memory.get_all(user_id="ann", granularity="fact")["results"]
    assert (first["memory"], first["source_ids"], first["roles"]) == ("The home of user is Oslo.", ["m1"], ["user"])
    assert (first["session_id"], first["agent_id"], first["metadata"]) == ("s", "helper", {"topic": "home"})
    assert (first["event_at"], first["granularity"]) == (JANUARY, "fact")
    assert (first["valid_from"], first["valid_to"], first["superseded_by"], first["supersedes"]) == (
        None,
        None,
        None,
        [],
    )
    assert (second["source_ids"], second["roles"]) == (["m2"], ["assistant"])
    assert memory.get(first["id"]) == first
    assert memory.verify()["ok"]


def test_nothing_is_written_unless_it_is_asked_for(memory: Memory, model: ScriptedModel) -> None:
    memory.add("I live in Oslo.", user_id="ann", session_id="s")
    memory.close_session("s", user_id="ann")
    assert memory.wait(user_id="ann")["done"] == 0
    assert model.prompts == []
    assert summaries(memory) == ["I live in Oslo."]


@pytest.mark.parametrize("retriever", ["dense", "bm25", "hybrid", "adaptive", "rf-mem"])
def test_facts_are_found_by_every_retriever(memory: Memory, retriever: str) -> None:
    for number, text in enumerate(("I keep bees", "My sister sails", "I live in Oslo")):
        memory.add(text, user_id="ann", session_id=f"s{number}", infer=True)
    memory.wait(user_id="ann")
    found = memory.search("Who sails?", user_id="ann", granularity="fact", retriever=retriever, explain=True)
    assert "user said: My sister sails" in facts_of(found["results"])
    assert len(memory.context("sister", user_id="ann", granularity="fact")) > 20


def test_a_session_is_described_when_it_is_closed(memory: Memory, model: ScriptedModel) -> None:
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True, wait=True)
    assert [prompt.name for prompt in model.prompts] == ["extract-facts"]
    memory.close_session("s", user_id="ann")
    assert summaries(memory) == ["I keep bees."]  # extracted, until the model has written one
    assert memory.wait(user_id="ann")["done"] == 2
    assert summaries(memory)[0].startswith("Summary of")
    (keywords,) = memory.get_all(user_id="ann", granularity="keywords")["results"]
    assert keywords["memory"] == "written; by a model"
    assert memory.search("model", user_id="ann", granularity="keywords", retriever="bm25")["results"]
    assert [entry["event"] for entry in memory.history(keywords["id"])] == ["ADD", "UPDATE"]


def test_the_next_session_closes_the_one_before(memory: Memory) -> None:
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True)
    memory.add("Another day.", user_id="ann", session_id="t")
    status = memory.wait(user_id="ann")
    assert (status["done"], status["open"]) == (2, 0)
    assert summaries(memory)[0].startswith("Summary of")


def test_many_sessions_are_queued_with_one_call(memory: Memory, model: ScriptedModel) -> None:
    reply = memory.add_many(
        [{"session_id": f"s{n}", "messages": [f"I keep {n} hives."], "timestamp": JANUARY} for n in range(5)],
        user_id="ann",
        infer=True,
        wait=30,
    )
    assert reply["inference"]["done"] == 10
    assert len(facts(memory)) == len(summaries(memory)) == 5
    assert model.meter.totals().by_prompt == {"extract-facts/2": 5, "session-summary/1": 5, "session-keywords/1": 5}


def test_a_stored_session_can_be_handed_to_the_model_when_it_is_closed(memory: Memory) -> None:
    memory.add(["I keep bees.", "I live in Oslo."], user_id="ann", session_id="s")
    reply = memory.close_session("s", user_id="ann", infer=True, wait=True)
    assert reply["inference"]["done"] == 3
    assert len(facts(memory)) == 2
    assert memory.close_session("s", user_id="ann", infer=True, wait=True)["inference"]["done"] == 3
    assert len(facts(memory)) == 2, "what is done is not done again"


def test_only_what_the_settings_name_is_written(model: ScriptedModel) -> None:
    for inferring, names in (
        (Inferring(facts=False), {"session-summary", "session-keywords"}),
        (Inferring(summaries=False), {"extract-facts"}),
    ):
        model.requests.clear()
        with Memory(":memory:", encoder=ENCODER, background=False, model=model, inferring=inferring) as memory:
            memory.add_many([{"messages": ["I keep bees."]}], user_id="ann", infer=True, wait=True)
        assert {prompt.name for prompt in model.prompts} == names


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"known": -1},
        {"characters": 10},
        {"lease": 0},
        {"longest_wait": float("inf")},
        {"messages": True},
        {"facts": False, "summaries": False},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Inferring(**wrong)


def test_without_a_model_inference_is_refused_and_nothing_is_stored() -> None:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        for call in (
            lambda: memory.add("I keep bees.", user_id="ann", infer=True),
            lambda: memory.add("I keep bees.", user_id="ann", wait=True),
            lambda: memory.add_many([{"messages": "x"}], user_id="ann", infer=True),
            memory.wait,
        ):
            with pytest.raises(InvalidInput, match="model"):
                call()
        assert memory.users() == []
    with pytest.raises(InvalidInput, match="model is 3"):
        Memory(":memory:", model=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"infer": "yes"}, {"infer": True, "wait": -1}, {"wait": "long"}])
def test_odd_arguments_are_refused(memory: Memory, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        memory.add("I keep bees.", user_id="ann", **wrong)
    assert memory.users() == []


def test_an_unknown_user_has_no_queue(memory: Memory) -> None:
    for call in (memory.inference, memory.wait, memory.retry_failed):
        with pytest.raises(UnknownUser):
            call(user_id="nobody")
    assert memory.wait()["done"] == 0


# facts that supersede others


def moved(memory: Memory) -> tuple[Any, Any]:
    """Two homes, one after the other."""
    memory.add("I live in Oslo since I was born in 1990.", user_id="ann", session_id="s", timestamp=JANUARY, infer=True)
    memory.add("I moved to Porto in 2025.", user_id="ann", session_id="t", timestamp=JUNE, infer=True, wait=True)
    old, new = memory.get_all(user_id="ann", granularity="fact", superseded=True)["results"]
    return old, new


def test_a_new_fact_supersedes_an_old_one_which_stays(memory: Memory) -> None:
    old, new = moved(memory)
    assert (old["memory"], new["memory"]) == ("The home of user is Oslo.", "The home of user is Porto.")
    assert (old["valid_from"], old["valid_to"]) == ("1990-01-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00")
    assert (old["superseded_by"], new["supersedes"]) == (new["id"], [old["id"]])
    assert (new["valid_from"], new["valid_to"], new["superseded_by"]) == ("2025-01-01T00:00:00+00:00", None, None)
    assert memory.verify()["ok"]


@pytest.mark.parametrize("retriever", ["dense", "bm25", "hybrid"])
def test_a_search_over_facts_shows_what_holds(memory: Memory, retriever: str) -> None:
    moved(memory)

    def found(**options: Any) -> list[str]:
        reply = memory.search("the home of user", user_id="ann", granularity="fact", retriever=retriever, **options)
        return sorted(facts_of(reply["results"]))

    assert found() == ["The home of user is Porto."]
    assert found(superseded=True) == ["The home of user is Oslo.", "The home of user is Porto."]
    assert found(as_of="2025-03-01T00:00:00Z") == ["The home of user is Oslo."]
    assert found(as_of="2024-03-01T00:00:00Z") == []
    assert found(as_of=JULY) == ["The home of user is Porto."]
    assert facts(memory) == ["The home of user is Porto."]
    block = memory.context("home", user_id="ann", granularity="fact")
    assert "Porto" in block
    assert "Oslo" not in block


def test_what_was_said_later_does_not_show_in_what_held_before(memory: Memory) -> None:
    moved(memory)
    (then,) = memory.get_all(user_id="ann", granularity="fact", as_of="2025-03-01T00:00:00Z")["results"]
    assert (then["memory"], then["valid_to"], then["superseded_by"]) == ("The home of user is Oslo.", None, None)
    assert memory.get_all(user_id="ann", granularity="fact")["total"] == 1
    assert memory.stats(user_id="ann")["fact_units"] == 2


def test_history_tells_by_what_a_fact_was_superseded(memory: Memory) -> None:
    old, new = moved(memory)
    entries = memory.history(old["id"])
    assert [(entry["event"], entry["new_memory"]) for entry in entries] == [
        ("ADD", old["memory"]),
        ("SUPERSEDE", old["memory"]),
    ]
    assert entries[1]["superseded_by"] == new["id"]
    assert [entry["event"] for entry in memory.history(new["id"])] == ["ADD"]


def test_an_old_fact_holds_again_when_the_new_one_goes(memory: Memory) -> None:
    old, new = moved(memory)
    memory.delete(new["id"])
    assert facts(memory) == ["The home of user is Oslo."]
    assert (memory.get(old["id"])["valid_to"], memory.get(old["id"])["superseded_by"]) == (None, None)
    assert [entry["event"] for entry in memory.history(old["id"])] == ["ADD"]
    assert memory.search("home", user_id="ann", granularity="fact")["results"][0]["id"] == old["id"]
    assert memory.verify()["ok"]


def test_an_open_memory_of_another_process_sees_what_was_superseded(tmp_path: Path, model: ScriptedModel) -> None:
    with (
        Memory(tmp_path, encoder=ENCODER, background=False, model=model) as memory,
        Memory(tmp_path, encoder=ENCODER, background=False) as other,
    ):
        memory.add("I live in Oslo.", user_id="ann", infer=True, wait=True)
        assert facts(other) == ["The home of user is Oslo."]
        memory.add("I moved to Porto.", user_id="ann", infer=True, wait=True)
        assert facts(other) == ["The home of user is Porto."]
        memory.delete(memory.get_all(user_id="ann", granularity="fact")["results"][0]["id"])
        assert facts(other) == ["The home of user is Oslo."]


def test_facts_that_do_not_exist_cannot_be_superseded() -> None:
    hostile = Facts(
        facts=[
            Fact(text="I own everything.", messages=[1, 1, 7, -3], replaces=["k9", "k0", "9" * 500, "", "kk1", "K1"]),
            Fact(text="From nowhere.", messages=[]),
            Fact(text="x" * 5000, messages=[1]),
            Fact(text="I own nothing.", messages=[1], replaces=["k2", "k2"]),
        ]
    )
    model = ScriptedModel([Facts(facts=[Fact(text="The first.", messages=[1])]), hostile])
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        memory.add("one", user_id="ann", session_id="s", infer=True, wait=True)
        status = memory.add("two", user_id="ann", session_id="s", infer=True, wait=True)["inference"]
        assert status["ignored"] == 2 + 5 + 1 + 1
        listed = memory.get_all(user_id="ann", granularity="fact", superseded=True)["results"]
        assert [(item["memory"], len(item["supersedes"])) for item in listed] == [
            ("The first.", 0),
            ("I own everything.", 1),  # "K1" does name a fact
            ("I own nothing.", 1),  # which is told in the same reply, before
        ]
        assert memory.verify()["ok"]


def test_what_is_known_already_is_not_stored_again(memory: Memory, model: ScriptedModel) -> None:
    for _ in range(3):
        memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=True)
    assert facts(memory) == ["The home of user is Oslo."]
    same = ScriptedModel(lambda _: Facts(facts=[Fact(text="the home of USER is oslo", messages=[1], replaces=["k1"])]))
    with Memory(":memory:", encoder=ENCODER, background=False, model=same) as other:
        other.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=True)
        other.add("I live in Oslo!", user_id="ann", session_id="s", infer=True, wait=True)
        assert facts(other) == ["the home of USER is oslo"]


def test_facts_said_later_are_not_superseded_by_what_is_stored_late(memory: Memory, model: ScriptedModel) -> None:
    memory.add("I moved to Porto.", user_id="ann", session_id="t", timestamp=JUNE, infer=True, wait=True)
    memory.add("I live in Oslo.", user_id="ann", session_id="s", timestamp=JANUARY, infer=True, wait=True)
    assert shown_facts(model.prompts[-1]) == {}
    assert len(facts(memory)) == 2


def test_what_a_late_batch_tells_of_before_does_not_supersede_what_was_said_meanwhile(memory: Memory) -> None:
    memory.add("I moved to Porto.", user_id="ann", session_id="t", timestamp=JUNE, infer=True, wait=True)
    late = [
        {"role": "user", "content": "I live in Oslo.", "timestamp": JANUARY},
        {"role": "assistant", "content": "Noted.", "timestamp": JANUARY},
        {"role": "user", "content": "I keep bees.", "timestamp": JULY},
    ]
    status = memory.add(late, user_id="ann", session_id="s", infer=True, wait=True)["inference"]
    assert "The home of user is Porto." in facts(memory)
    assert status["ignored"] == 1


def test_the_facts_closest_to_what_was_said_are_shown(model: ScriptedModel) -> None:
    settings = Inferring(known=2, summaries=False)
    with Memory(":memory:", encoder=HashingEncoder(64), background=False, model=model, inferring=settings) as memory:
        for text in ("bees make honey", "my boat is red", "bees need flowers", "tea at five"):
            memory.add(text, user_id="ann", session_id=text, infer=True, wait=True)
        memory.add("bees again", user_id="ann", infer=True, wait=True)
        assert set(shown_facts(model.prompts[-1]).values()) == {
            "user said: bees make honey",
            "user said: bees need flowers",
        }


# changes


def test_a_reply_is_looked_through_when_it_comes(memory: Memory, model: ScriptedModel) -> None:
    memory.add({"role": "user", "content": "I keep bees."}, user_id="ann", session_id="s", infer=True, wait=True)
    memory.add({"role": "assistant", "content": "How many?"}, user_id="ann", session_id="s", infer=True, wait=True)
    assert [noted for _, _, noted, _ in shown_messages(model.prompts[-1])] == [True, False]
    assert facts(memory) == ["user said: I keep bees.", "assistant said: How many?"]
    assert memory.inference(user_id="ann")["done"] == 1


def test_a_changed_turn_is_looked_through_anew(memory: Memory, model: ScriptedModel) -> None:
    added = memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=True)["results"][0]["id"]
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True)
    memory.close_session("s", user_id="ann", wait=True)
    kept = memory.get_all(user_id="ann", granularity="fact")["results"][1]
    memory.update(added, "I live in Lisbon.")
    assert facts(memory) == ["user said: I keep bees."]
    assert memory.inference(user_id="ann")["queued"] == 2  # the turn's facts, and the session's summary
    memory.wait(user_id="ann")
    assert facts(memory) == ["user said: I keep bees.", "The home of user is Lisbon."]
    assert memory.get(kept["id"]) == kept
    assert summaries(memory)[0].startswith("Summary of")
    assert len(memory.get_all(user_id="ann", granularity="fact")["results"][1]["source_ids"]) == 1
    assert memory.verify()["ok"]


def test_facts_go_with_the_turn_that_tells_them(memory: Memory) -> None:
    added = memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=True)["results"][0]["id"]
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True, wait=True)
    gone = memory.get_all(user_id="ann", granularity="fact")["results"][0]["id"]
    memory.delete(added)
    assert facts(memory) == ["user said: I keep bees."]
    assert [(entry["event"], entry["new_memory"]) for entry in memory.history(gone)] == [
        ("ADD", None),
        ("DELETE", None),
    ]
    memory.delete_all(user_id="ann", session_id="s")
    assert memory.inference(user_id="ann") == SETTLED | {"done": 0, "open": 0, "ignored": 0}
    assert facts(memory, superseded=True) == []
    assert memory.verify()["ok"]


def test_a_fact_of_two_turns_is_extracted_anew_when_one_of_them_goes(memory: Memory) -> None:
    def both(prompt: Prompt[Any]) -> Facts:
        numbers = [number for number, *_ in shown_messages(prompt)]
        return Facts(facts=[Fact(text=f"Told by {len(numbers)}.", messages=numbers)])

    memory._core.model = ScriptedModel(both)
    added = memory.add(["I keep bees.", "Two hives."], user_id="ann", session_id="s", infer=True, wait=True)["results"]
    assert facts(memory) == ["Told by 2."]
    memory.delete(added[0]["id"])
    assert facts(memory) == []
    memory.wait(user_id="ann")
    assert facts(memory) == ["Told by 1."]
    assert memory.verify()["ok"]


def test_new_labels_of_a_turn_are_those_of_its_facts(memory: Memory, model: ScriptedModel) -> None:
    options: dict[str, Any] = {"user_id": "ann", "session_id": "s", "metadata": {"topic": "home"}, "infer": True}
    added = memory.add("I live in Oslo.", wait=True, **options)["results"][0]["id"]
    asked = len(model.prompts)
    memory.update(added, metadata={"topic": "secret"})
    (fact,) = memory.get_all(user_id="ann", granularity="fact")["results"]
    assert fact["metadata"] == {"topic": "secret"}
    assert facts(memory, filters={"topic": "home"}) == []
    assert memory.search("Oslo", user_id="ann", granularity="fact", filters={"topic": "secret"})["results"]
    assert len(model.prompts) == asked


def test_turns_with_other_labels_are_looked_through_apart(memory: Memory, model: ScriptedModel) -> None:
    for number, topic in enumerate(("a", "a", "b", "a")):
        memory.add(f"About {topic} {number}.", user_id="ann", session_id="s", metadata={"topic": topic}, infer=True)
    memory.wait(user_id="ann")
    assert [len(shown_messages(prompt)) for prompt in model.prompts] == [2, 1, 1]
    assert len(facts(memory, filters={"topic": "b"})) == 1
    assert len(facts(memory, filters={"topic": {"ne": "b"}})) == 3


def test_a_fact_can_be_corrected_by_hand(memory: Memory) -> None:
    memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=True)
    fact = memory.get_all(user_id="ann", granularity="fact")["results"][0]["id"]
    memory.update(fact, "The home of user is Bergen.", metadata={"checked": True})
    assert memory.search("Bergen", user_id="ann", granularity="fact", retriever="bm25")["results"][0]["id"] == fact
    assert [entry["new_memory"] for entry in memory.history(fact)][-1] == "The home of user is Bergen."
    assert memory.get(fact)["metadata"] == {"checked": True}
    memory.delete(fact)
    assert memory.wait(user_id="ann")["done"] == 1
    assert facts(memory) == []
    assert memory.verify()["ok"]


def test_what_is_described_by_hand_is_not_overwritten(memory: Memory, model: ScriptedModel) -> None:
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True)
    memory.close_session("s", user_id="ann")
    memory.describe_session("s", user_id="ann", summary="Ann keeps bees.", keywords="bees")
    memory.wait(user_id="ann")
    assert summaries(memory) == ["Ann keeps bees."]
    assert {prompt.name for prompt in model.prompts} == {"extract-facts"}


def test_a_session_that_goes_on_is_described_again(memory: Memory) -> None:
    memory.add("I keep bees.", user_id="ann", session_id="s", infer=True)
    memory.close_session("s", user_id="ann", wait=True)
    before = summaries(memory)
    memory.add("And hens, since May.", user_id="ann", session_id="s")
    assert memory.wait(user_id="ann")["open"] == 1
    memory.close_session("s", user_id="ann", wait=True)
    assert summaries(memory) != before
    assert facts(memory) == ["user said: I keep bees."], "the second turn was stored without infer"


def test_facts_are_embedded_again_with_the_rest(tmp_path: Path, model: ScriptedModel) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, model=model) as memory:
        moved(memory)
    with Memory(tmp_path, encoder=HashingEncoder(48), background=False) as memory:
        memory.reindex(user_id="ann")
        assert facts_of(memory.search("Porto", user_id="ann", granularity="fact")["results"]) == [
            "The home of user is Porto."
        ]
        assert memory.verify()["ok"]


def test_summaries_that_are_not_kept_are_not_asked_for(model: ScriptedModel) -> None:
    with Memory(":memory:", encoder=ENCODER, background=False, model=model, granularities=["turn"]) as memory:
        memory.add_many([{"messages": ["I keep bees."]}], user_id="ann", infer=True, wait=True)
        assert [prompt.name for prompt in model.prompts] == ["extract-facts"]
    with Memory(":memory:", encoder=ENCODER, background=False, model=model, granularities=["keywords"]) as memory:
        memory.add_many([{"messages": ["I keep bees."]}], user_id="ann", infer=True, wait=True)
        assert memory.stats(user_id="ann")["summary_units"] == 0
        assert memory.get_all(user_id="ann", granularity="keywords")["results"][0]["memory"] == "written; by a model"


# when the model fails


def test_a_model_that_is_away_is_waited_for() -> None:
    away = [True]

    def reply(prompt: Prompt[Any]) -> Any:
        return ModelUnavailable("no connection") if away[0] else answer(prompt)

    with Memory(":memory:", encoder=ENCODER, model=ScriptedModel(reply, retries=0)) as memory:
        status = memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True, wait=0.2)["inference"]
        assert (status["queued"] + status["running"], status["failed"]) == (1, 0)
        assert memory.search("Oslo", user_id="ann")["results"], "what was said is there, word for word"
        assert eventually(lambda: bool(memory.inference(user_id="ann")["problems"]))
        (problem,) = memory.inference(user_id="ann")["problems"]
        assert (problem["state"], problem["kind"], problem["session_id"]) == ("queued", "facts", "s")
        assert problem["reason"] == "ModelUnavailable: no connection"
        assert problem["attempts"] >= 1
        away[0] = False
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1
        assert memory.inference(user_id="ann")["problems"] == []
        assert facts(memory) == ["The home of user is Oslo."]


def long_session(memory: Memory) -> None:
    said = [{"role": "user", "content": f"{number} " + "word " * 190} for number in range(5)]
    memory.add(said, user_id="ann", session_id="s", infer=True)
    memory.close_session("s", user_id="ann")


def test_parts_that_were_answered_before_the_model_went_away_are_not_asked_again() -> None:
    outages = [3, 8, 14]

    def reply(prompt: Prompt[Any]) -> Any:
        return ModelUnavailable("no connection") if len(script.prompts) in outages else answer(prompt)

    script = ScriptedModel(reply, retries=0)
    settings = Inferring(characters=1000, concurrency=1)
    with Memory(":memory:", encoder=ENCODER, background=False, model=script, inferring=settings) as memory:
        long_session(memory)
        assert memory.wait(user_id="ann", timeout=60)["failed"] == 0
    assert len(script.prompts) == len({(prompt.name, prompt.user) for prompt in script.prompts}) + len(outages)


def test_what_was_answered_is_not_asked_again_when_the_file_could_not_be_written(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_loop, "_STORE_WAIT", 0.02)
    failures = [StoreBusy("the user's file is in use by another process")] * 2

    def busy(*given: Any) -> bool:
        if failures:
            raise failures.pop()
        return write_facts(*given)

    monkeypatch.setattr(inference_loop, "write_facts", busy)
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        memory.add("I keep bees.", user_id="ann", infer=True)
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1
    assert len(model.prompts) == 1


def test_a_session_in_many_parts_is_asked_about_within_the_concurrency() -> None:
    model, wire = held_model()
    settings = Inferring(characters=1000, concurrency=2, facts=False)
    with Memory(":memory:", encoder=ENCODER, model=model, inferring=settings) as memory:
        long_session(memory)
        assert eventually(lambda: wire.waiting == 2)
        time.sleep(0.05)  # a third would come at once
        wire.open = True
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1
    assert wire.most == 2


def test_a_clock_that_is_put_back_does_not_stop_the_queue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = [True]

    def reply(prompt: Prompt[Any]) -> Any:
        return ModelUnavailable("no connection") if away[0] else answer(prompt)

    now, now_ns = time.time, time.time_ns
    settings = Inferring(longest_wait=0.2)
    model = ScriptedModel(reply, retries=0)
    with Memory(tmp_path, encoder=ENCODER, model=model, inferring=settings) as memory:
        memory.add("I live in Oslo.", user_id="ann", infer=True)
        assert eventually(lambda: bool(memory.inference(user_id="ann")["problems"]))
        monkeypatch.setattr(time, "time", lambda: now() - 3600)
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 3600 * 10**9)
        away[0] = False
        assert memory.wait(user_id="ann", timeout=10)["done"] == 1


def test_a_model_that_is_away_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_loop, "_FIRST_WAIT", 300.0)
    model = ScriptedModel(lambda _: ModelUnavailable("no connection"), retries=0)
    settings = Inferring(longest_wait=300.0)
    with Memory(":memory:", encoder=ENCODER, model=model, inferring=settings) as memory:
        for number in range(30):
            memory.add("I keep bees.", user_id=f"user{number}", infer=True)
        assert eventually(lambda: bool(memory.inference()["problems"]))
        time.sleep(0.2)
        assert len(model.prompts) <= settings.concurrency  # those that were under way when the first came back
        assert memory.inference()["failed"] == 0


def test_closing_does_not_wait_for_a_model_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_loop, "_FIRST_WAIT", 300.0)
    model = ScriptedModel(lambda _: ModelUnavailable("no connection"), retries=0)
    with Memory(":memory:", encoder=ENCODER, model=model) as memory:
        memory.add("I keep bees.", user_id="ann", infer=True)
        assert eventually(lambda: bool(memory.inference()["problems"]))
        began = time.monotonic()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("no facts today", "MalformedReply"),
        (ModelRefused("the prompt is too long"), "ModelRefused: the prompt is too long"),
    ],
)
def test_a_reply_that_cannot_be_used_fails_the_job_and_the_rest_stays(reply: Any, reason: str) -> None:
    broken = [True]
    model = ScriptedModel(lambda prompt: reply if broken[0] else answer(prompt))
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        memory.add("I keep bees.", user_id="ann", session_id="s", infer=True)
        memory.close_session("s", user_id="ann")
        status = memory.wait(user_id="ann")
        assert (status["failed"], status["done"]) == (2, 0)
        assert all(problem["reason"].startswith(reason) for problem in status["problems"])
        assert {problem["kind"] for problem in status["problems"]} == {"facts", "summary"}
        assert memory.get(status["problems"][0]["memory_id"])["memory"] == "I keep bees."
        assert summaries(memory) == ["I keep bees."]
        broken[0] = False
        assert memory.wait(user_id="ann")["failed"] == 2, "what has failed is not tried again by itself"
        assert memory.retry_failed(user_id="ann") == 2
        assert memory.wait(user_id="ann") | SETTLED == memory.inference(user_id="ann")
        assert facts(memory) == ["user said: I keep bees."]
        assert memory.retry_failed() == 0


def test_a_second_try_mends_a_malformed_reply() -> None:
    model = ScriptedModel(["nothing", Facts(facts=[Fact(text="Mended.", messages=[1])])])
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        memory.add("I keep bees.", user_id="ann", session_id="s", infer=True, wait=True)
        assert facts(memory) == ["Mended."]


def test_a_job_on_which_the_model_always_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(lambda _: ModelTimeout("no answer in time"), retries=0)
    settings = Inferring(longest_wait=0.02)
    with Memory(":memory:", encoder=ENCODER, background=False, model=model, inferring=settings) as memory:
        status = memory.add("I keep bees.", user_id="ann", infer=True, wait=20)["inference"]
        assert (status["failed"], len(model.prompts)) == (1, inference_loop._TIMEOUTS)


def test_a_spent_budget_is_a_failure_that_can_be_retried() -> None:
    model = ScriptedModel(answer, budget=Budget(calls=1))
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        for text in ("one", "two"):
            memory.add(text, user_id="ann", session_id=text, infer=True, wait=True)
        status = memory.inference(user_id="ann")
        assert status["failed"] >= 1
        assert "BudgetExceeded" in status["problems"][0]["reason"]


def test_halves_of_characters_in_a_reply_do_no_harm() -> None:
    model = ScriptedModel(
        lambda prompt: (
            '{"facts": [{"text": "odd \\ud800 end", "messages": [1]}]}'
            if prompt.name == "extract-facts"
            else '{"summary": "\\udfff", "keywords": ["\\ud800"]}'
        )
    )
    with Memory(":memory:", encoder=ENCODER, background=False, model=model) as memory:
        memory.add("x", user_id="ann", session_id="s", infer=True)
        memory.close_session("s", user_id="ann", wait=True)
        assert memory.inference(user_id="ann")["done"] == 2
        assert facts(memory) == ["odd \ufffd end"]


def test_a_model_is_not_paid_for_what_cannot_be_stored(tmp_path: Path, model: ScriptedModel) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, model=model) as memory:
        memory.add_many([{"messages": ["I keep bees."]}], user_id="ann", infer=True)
    with Memory(tmp_path, encoder=HashingEncoder(16), background=False, model=model) as memory:
        assert eventually(lambda: len(memory.wait(user_id="ann", timeout=0.1)["problems"]) == 2)
        status = memory.inference(user_id="ann")
    assert status["queued"] == 2
    assert {problem["reason"].partition(":")[0] for problem in status["problems"]} == {"EncoderMismatch"}
    assert model.prompts == []


def test_a_file_that_cannot_be_used_is_left_alone_for_a_while(
    tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inference_loop, "_STORE_WAIT", 0.3)
    tried: list[str] = []

    def busy(core: object, user_id: str, holder: str) -> None:
        tried.append(user_id)
        raise StoreBusy("the user's file is in use by another process")

    with Memory(tmp_path, encoder=ENCODER, background=False, model=model) as memory:
        memory.add("I keep bees.", user_id="ann", infer=True)
        with monkeypatch.context() as patch:
            patch.setattr(inference_loop, "claim", busy)
            began = time.monotonic()
            memory.wait(user_id="ann", timeout=0.8)  # somebody who waits does not hurry it
            assert eventually(lambda: bool(tried))
        waits = [0.3 * (2**times - 1) for times in range(20)]  # it is tried after 0, 0.3, 0.9 s and so on
        assert len(tried) <= sum(wait <= time.monotonic() - began for wait in waits)
        assert eventually(lambda: len(caplog.records) == len(tried))  # the last warning comes after its try
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1


def test_what_nobody_wants_written_is_refused(model: ScriptedModel) -> None:
    settings = Inferring(facts=False)
    with Memory(":memory:", encoder=ENCODER, model=model, granularities=["turn"], inferring=settings) as memory:
        with pytest.raises(InvalidInput, match="nothing for a language model"):
            memory.add("I keep bees.", user_id="ann", infer=True)
        assert memory.users() == []


# the thread


def test_work_is_done_in_the_background_by_one_thread() -> None:
    model, wire = held_model()
    with Memory(":memory:", encoder=ENCODER, model=model, inferring=Inferring(concurrency=3)) as memory:
        for number in range(6):
            memory.add("I live in Oslo.", user_id=f"user{number}", infer=True)
        assert eventually(lambda: wire.waiting == 3)
        assert len(workers()) == 1
        assert memory.inference()["running"] == 3
        wire.open = True
        assert eventually(lambda: memory.inference()["done"] == 6)
        assert wire.most == 3
        assert eventually(lambda: workers() == [])
        memory.add("I keep bees.", user_id="user0", infer=True)
        assert eventually(lambda: memory.inference()["done"] == 8)  # with the summary of the session before


def test_a_long_queue_of_one_user_is_worked_off(memory: Memory, model: ScriptedModel) -> None:
    sessions = [{"session_id": f"s{n}", "messages": [f"turn {n} {m}" for m in range(8)]} for n in range(30)]
    memory.add_many(sessions, user_id="ann", infer=True)
    status = memory.wait(user_id="ann", timeout=60)
    assert status["done"] == 30 * 9
    assert sum(prompt.name == "extract-facts" for prompt in model.prompts) == 30


def test_without_background_nothing_is_asked_before_somebody_waits(memory: Memory, model: ScriptedModel) -> None:
    memory.add("I keep bees.", user_id="ann", infer=True)
    time.sleep(0.1)
    assert model.prompts == []
    assert memory.wait()["done"] == 1


def test_facts_of_one_user_are_extracted_one_batch_after_the_other() -> None:
    model, wire = held_model()
    with Memory(":memory:", encoder=ENCODER, model=model) as memory:
        for number in range(3):
            memory.add("I live in Oslo.", user_id="ann", session_id=f"s{number}", infer=True)
        assert eventually(lambda: wire.waiting == 3)  # two summaries, and the facts of the first session
        assert sorted(prompt.name for prompt in [r.prompt for r in wire.requests]) == []
        wire.open = True
        memory.wait(user_id="ann", timeout=60)
    assert facts_names(wire) == 3


def facts_names(wire: Any) -> int:
    return sum(request.prompt.name == "extract-facts" for request in wire.requests)


def test_closing_gives_up_calls_under_way_and_loses_nothing(tmp_path: Path) -> None:
    model, wire = held_model()
    memory = Memory(tmp_path, encoder=ENCODER, model=model)
    memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True)
    assert eventually(lambda: wire.waiting == 1)
    began = time.monotonic()
    memory.close()
    assert time.monotonic() - began < 30  # the server would never answer
    assert workers() == []
    assert wire.waiting == 0
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        assert memory.inference(user_id="ann")["queued"] == 1
        assert memory.inference(user_id="ann")["problems"] == []


def test_who_waits_or_closes_waits_for_a_thread_that_is_ending(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = inference_loop.InferenceLoop.run

    def end_slowly(loop: inference_loop.InferenceLoop) -> None:
        run(loop)
        time.sleep(0.2)

    monkeypatch.setattr(inference_loop.InferenceLoop, "run", end_slowly)
    for background in (False, True):
        with Memory(":memory:", encoder=ENCODER, background=background, model=model) as memory:
            memory.add("I keep bees.", user_id="ann", infer=True, wait=True)
            inferrer = memory._core.inferrer
            assert inferrer is not None
            assert eventually(lambda: inferrer._loop is None)  # noqa: B023
        assert workers() == []


def test_what_earlier_processes_left_is_done_at_the_first_use(tmp_path: Path, model: ScriptedModel) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, model=model) as memory:
        for user_id in ("ann", "bob"):
            memory.add("I live in Oslo.", user_id=user_id, infer=True)
        memory.add("I keep bees.", user_id="eve")
    with Memory(tmp_path, encoder=ENCODER, model=model) as memory:
        assert model.prompts == []
        memory.users()
        assert eventually(lambda: len(facts(memory)) == len(facts(memory, "bob")) == 1)
        assert eventually(lambda: workers() == [])
    assert len(model.prompts) == 2


def test_two_memories_on_one_store_do_not_do_the_same_twice(tmp_path: Path) -> None:
    models = [ScriptedModel(answer), ScriptedModel(answer)]
    memories = [Memory(tmp_path, encoder=HashingEncoder(32), model=model) for model in models]
    for number in range(12):
        memories[number % 2].add(f"I keep {number} hives.", user_id="ann", session_id=f"s{number}", infer=True)
    for memory in memories:
        assert memory.wait(user_id="ann", timeout=300) | SETTLED == memory.inference(user_id="ann")
    assert len(facts(memories[0])) == 12
    assert sum(len([p for p in model.prompts if p.name == "extract-facts"]) for model in models) == 12
    for memory in memories:
        assert memory.verify()["ok"]
        memory.close()


def test_a_claim_that_was_lost_writes_nothing(tmp_path: Path) -> None:
    model, wire = held_model()
    settings = Inferring(lease=1.0)
    with Memory(tmp_path, encoder=ENCODER, model=model, inferring=settings) as memory:
        memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True)
        assert eventually(lambda: wire.waiting == 1)
        time.sleep(2.5)  # more than two leases: the claim is renewed
        assert memory.inference(user_id="ann")["running"] == 1
        turn = memory.get_all(user_id="ann")["results"][0]["id"]
        memory.update(turn, "I live in Bergen.")  # takes the job away
        wire.open = True
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1
        assert facts(memory) == ["The home of user is Bergen."]


def test_a_batch_of_which_a_turn_goes_is_begun_again_without_it(tmp_path: Path) -> None:
    model, wire = held_model()
    with Memory(tmp_path, encoder=ENCODER, model=model) as memory:
        added = memory.add(["I keep bees.", "I live in Oslo."], user_id="ann", session_id="s", infer=True)["results"]
        assert eventually(lambda: wire.waiting == 1)
        memory.delete(added[0]["id"])
        wire.open = True
        assert memory.wait(user_id="ann", timeout=60)["done"] == 1
        assert facts(memory) == ["The home of user is Oslo."]


def test_a_user_forgotten_meanwhile_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, wire = held_model()
    with Memory(tmp_path, encoder=ENCODER, model=model) as memory:
        for user_id in ("ann", "bob"):
            memory.add("I live in Oslo.", user_id=user_id, infer=True)
        assert eventually(lambda: wire.waiting == 2)
        memory.forget_user(user_id="ann")
        wire.open = True
        assert memory.wait(timeout=60)["done"] == 1
        assert memory.users() == ["bob"]
    assert caplog.text == ""


def test_an_event_loop_can_wait_too(tmp_path: Path) -> None:
    async def use() -> None:
        model, wire = held_model()
        async with AsyncMemory(tmp_path, encoder=ENCODER, model=model) as memory:
            await memory.add("I live in Oslo.", user_id="ann", session_id="s", infer=True)
            waiting = asyncio.create_task(memory.wait(user_id="ann"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            wire.open = True
            assert (await waiting)["done"] == 1
            found = await memory.search("Oslo", user_id="ann", granularity="fact")
            assert facts_of(found["results"]) == ["The home of user is Oslo."]
            reply = await memory.close_session("s", user_id="ann", wait=True)
            assert reply["inference"]["done"] == 2
            assert await memory.retry_failed(user_id="ann") == 0
            many = await memory.add_many([{"messages": ["x"]}], user_id="ann", infer=True, wait=True)
            assert many["inference"]["done"] == 4
        assert workers() == []

    asyncio.run(use())


def test_an_unknown_failure_of_a_model_is_named_and_ends_the_thread_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_value))

    def broken(prompt: Prompt[Any]) -> Any:
        raise ZeroDivisionError("a fault of the provider's client")

    with Memory(":memory:", encoder=ENCODER, background=False, model=ScriptedModel(broken)) as memory:
        status = memory.add("I keep bees.", user_id="ann", infer=True, wait=True)["inference"]
        assert status["failed"] == 1
        assert status["problems"][0]["reason"] == "ZeroDivisionError: a fault of the provider's client"
    assert [type(error) for error in seen] == [ZeroDivisionError]


ENDING = """
import asyncio, sys, time
from memagent import Memory
from memagent.prompts.facts import Facts
from memagent.testing import HashingEncoder, ScriptedModel

class Threaded(ScriptedModel):
    async def aask(self, prompt):
        print("asked", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.5)
        return await super().aask(prompt)

memory = Memory(sys.argv[1], encoder=HashingEncoder(), model=Threaded(lambda prompt: Facts(facts=[])))
for number in range(8):
    memory.add(f"{number} bees.", user_id="ann", infer=True, session_id=str(number))
while memory.inference()["running"] == 0:
    time.sleep(0.01)
"""
"""A program that ends without closing its memory, while a model answers in a thread of its event loop."""


def test_a_job_that_the_end_of_a_process_cuts_off_waits_for_the_next_one(tmp_path: Path) -> None:
    program = [sys.executable, "-c", ENDING, str(tmp_path)]
    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "asked" in ended.stdout
    with Memory(tmp_path, encoder=HashingEncoder(), model=ScriptedModel(answer), background=False) as memory:
        status = memory.inference()
    assert status["queued"] > 0
    assert status["failed"] == status["running"] == 0


def test_what_a_fault_has_left_is_done_at_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    failing = [True]

    def reply(prompt: Prompt[Any]) -> Any:
        if failing.pop() if failing else False:
            raise ZeroDivisionError("a fault of the provider's client")
        return answer(prompt)

    settings = Inferring(concurrency=1)
    with Memory(tmp_path, encoder=ENCODER, model=ScriptedModel(answer), background=False) as memory:
        for user in ("ann", "bob", "cy"):
            memory.add("I keep bees.", user_id=user, infer=True)
    with Memory(tmp_path, encoder=ENCODER, model=ScriptedModel(reply), inferring=settings) as memory:
        memory.users()
        assert eventually(lambda: memory.inference()["failed"] == 1 and memory.inference()["done"] == 2)


def test_what_is_queued_is_not_read_anew_for_every_job(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = sqlite_inference._job

    def counted(row: Any) -> Any:
        read.append(row[0])
        return real(row)

    monkeypatch.setattr(sqlite_inference, "_job", counted)
    counts: dict[int, int] = {}
    for size in (20, 60):
        settings = Inferring(messages=1)
        with Memory(":memory:", encoder=ENCODER, background=False, model=model, inferring=settings) as memory:
            sessions = [{"messages": [f"I keep {n} hives."]} for n in range(size)]
            read.clear()
            memory.add_many(sessions, user_id="ann", infer=True, wait=True)
            counts[size] = len(read)
    assert counts[60] <= 3.3 * counts[20]
