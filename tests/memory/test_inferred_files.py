"""Facts and jobs in exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferring_models import answer, facts_of

from memagent import Memory
from memagent.errors import DataError, ModelRefused
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.testing import HashingEncoder, ScriptedModel

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)
Records = list[dict[str, Any]]


def open_memory(model: ScriptedModel | None = None) -> Memory:
    return Memory(":memory:", encoder=ENCODER, background=False, model=model or ScriptedModel(answer))


def lines_of(path: Path) -> Records:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def seen(memory: Memory, user_id: str) -> dict[str, Any]:
    """Everything about facts and jobs, without what belongs to one user's file."""

    def own(identifier: str | None) -> str | None:
        return identifier and identifier.rpartition("-")[2]

    listed = memory.get_all(user_id=user_id, granularity="fact", superseded=True, top_k=None)["results"]
    status = memory.inference(user_id=user_id)
    return {
        "facts": [
            {
                **fact,
                "id": own(fact["id"]),
                "user_id": "",
                "superseded_by": own(fact["superseded_by"]),
                "supersedes": [own(old) for old in fact["supersedes"]],
            }
            for fact in listed
        ],
        "history": [
            [(e["event"], e["new_memory"], own(e.get("superseded_by"))) for e in memory.history(fact["id"])]
            for fact in listed
        ],
        "current": facts_of(memory.get_all(user_id=user_id, granularity="fact", top_k=None)["results"]),
        "jobs": {name: status[name] for name in ("failed", "done", "open", "ignored")},
        "pending": status["queued"] + status["running"],
        "problems": [{**job, "user_id": "", "memory_id": own(job["memory_id"])} for job in status["problems"]],
    }


def fill(memory: Memory) -> None:
    memory.add("I live in Oslo since 1990.", user_id="ann", session_id="s", timestamp=START, infer=True)
    memory.add("I moved to Porto.", user_id="ann", session_id="t", timestamp=START + timedelta(days=9), infer=True)
    memory.wait(user_id="ann")
    memory.add("I keep bees.", user_id="ann", session_id="t", timestamp=START + timedelta(days=10), infer=True)


def test_facts_and_jobs_come_back_as_they_were(tmp_path: Path) -> None:
    with open_memory() as memory:
        fill(memory)
        before = seen(memory, "ann")
        assert (len(before["facts"]), before["pending"]) == (2, 1)
        memory.export(tmp_path / "a.jsonl", user_id="ann")
        memory.import_(tmp_path / "a.jsonl", user_id="bob")
        assert seen(memory, "bob") == before
        assert memory.verify() == {"ok": True, "users": 2, "problems": {}}
        memory.export(tmp_path / "b.jsonl", user_id="bob")
        kinds = [[line["type"] for line in lines_of(tmp_path / name)] for name in ("a.jsonl", "b.jsonl")]
        assert kinds[0] == kinds[1]
        assert kinds[0].count("job") == 5
        found = [memory.search("home", user_id=user, granularity="fact")["results"][0] for user in ("ann", "bob")]
        assert found[0]["score"] == pytest.approx(found[1]["score"])


def test_an_import_goes_on_with_what_was_queued(tmp_path: Path) -> None:
    with open_memory() as memory:
        fill(memory)
        memory.export(tmp_path / "a.jsonl", user_id="ann")
    with open_memory() as memory:
        memory.import_(tmp_path / "a.jsonl")
        assert memory.wait(user_id="ann")["done"] == 4
        assert seen(memory, "ann")["current"] == ["The home of user is Porto.", "user said: I keep bees."]
        memory.delete(memory.get_all(user_id="ann", granularity="fact")["results"][0]["id"])
        assert "The home of user is Oslo." in seen(memory, "ann")["current"]


def test_only_exports_with_something_new_have_the_new_format(tmp_path: Path) -> None:
    with open_memory() as memory:
        memory.add("I keep bees.", user_id="ann")
        memory.export(tmp_path / "plain", user_id="ann")
        memory.add("I live in Oslo.", user_id="ann", infer=True)
        memory.export(tmp_path / "queued", user_id="ann")
        assert [lines_of(tmp_path / name)[0]["format"] for name in ("plain", "queued")] == [1, 2]


def first(records: Records, **wanted: Any) -> dict[str, Any]:
    return next(r for r in records if all(r.get(name) == value for name, value in wanted.items()))


def fact(records: Records, **changes: Any) -> None:
    first(records, granularity="fact").update(changes)


def job(records: Records, **changes: Any) -> None:
    first(records, type="job").update(changes)


def twice(records: Records) -> None:
    records.insert(-1, dict(first(records, type="job")))
    records[-1]["lines"] += 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: fact(r, superseded_by="nobody"), "is no fact"),
        (lambda r: fact(r, superseded_by=first(r, granularity="turn")["id"]), "is no fact"),
        (lambda r: fact(r, superseded_by=first(r, granularity="fact")["id"]), "is no fact"),
        (lambda r: fact(r, superseded_by=3), "not a text"),
        (lambda r: fact(r, valid_to=None), "valid_to"),
        (lambda r: fact(r, valid_from="yesterday"), "valid_from"),
        (lambda r: first(r, granularity="fact").pop("valid_from"), "is missing"),
        (lambda r: job(r, unit="nobody"), "there is no"),
        (lambda r: job(r, unit=first(r, granularity="fact")["id"]), "there is no"),
        (lambda r: job(r, state="running"), "there is no job"),
        (lambda r: job(r, kind="dreams"), "there is no job"),
        (lambda r: job(r, seen=-1), "whole number"),
        (lambda r: job(r, attempts=True), "whole number"),
        (lambda r: job(r, ignored=1 << 70), "whole number"),
        (lambda r: job(r, asked_at="2025-01-01T00:00:00"), "no time zone"),
        (lambda r: job(r, reason=None), "not a text"),
        (twice, "two jobs"),
    ],
)
def test_damage_is_named_and_nothing_is_imported(tmp_path: Path, change: Callable[[Records], Any], said: str) -> None:
    with open_memory() as memory:
        fill(memory)
        memory.export(tmp_path / "a.jsonl", user_id="ann")
        records = lines_of(tmp_path / "a.jsonl")
        change(records)
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        with pytest.raises(DataError, match=said):
            memory.import_(tmp_path / "a.jsonl", user_id="bob")
        assert memory.users() == ["ann"]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda t: bool(t.strip()))
told = st.builds(
    lambda text, messages, date, replaces: Fact(text=text, messages=messages, event_date=date, replaces=replaces),
    words,
    st.lists(st.integers(-1, 4), max_size=3),
    st.sampled_from([None, "2020", "2021-05", "2024-02-29", "0001", "9999-12-31", "2023-02-30"]),
    st.lists(st.sampled_from(["k1", "k2", "k3", "K4", "5", "k0", "nonsense"]), max_size=2),
)
steps = st.tuples(
    st.sampled_from(["s", "t"]),
    words,
    st.lists(told, max_size=3),
    st.integers(0, 10**6),
    st.sampled_from(["wait", "wait", "queue", "close", "update", "delete", "fail"]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=6))
def test_any_facts_and_jobs_come_back_as_they_were(tmp_path: Path, sequence: list[Any]) -> None:
    found: list[Fact] = []
    refused = [False]

    def reply(prompt: Prompt[Any]) -> Any:
        if refused[0]:
            return ModelRefused("no")
        return Facts(facts=found) if prompt.name == "extract-facts" else answer(prompt)

    with open_memory(ScriptedModel(reply)) as memory:
        for session, text, facts, seconds, what in sequence:
            found[:], refused[0] = facts, what == "fail"
            moment = START + timedelta(seconds=seconds)
            options: dict[str, Any] = {"session_id": session, "user_id": "ann", "timestamp": moment}
            turn = memory.add(text, infer=True, wait=what != "queue", **options)["results"][0]["id"]
            if what == "close":
                memory.close_session(session, user_id="ann")
            elif what == "update":
                memory.update(turn, "something else", metadata={"k": 1})
            elif what == "delete":
                memory.delete(turn)
            assert memory.verify()["ok"]
        memory.export(tmp_path / "a.jsonl", user_id="ann")
        memory.import_(tmp_path / "a.jsonl", user_id="bob")
        assert seen(memory, "bob") == seen(memory, "ann")
        assert memory.verify()["ok"]
