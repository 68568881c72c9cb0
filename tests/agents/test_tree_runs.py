from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tree_examples import TOWNS, JumpingLoop, Towns, case, hashed_policy

from memagent.agents.reason_rag import tree_run
from memagent.agents.reason_rag.pairs import all_pairs
from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.tree import Tree
from memagent.agents.reason_rag.tree_log import open_tree_log, read_trees, write_trees
from memagent.agents.reason_rag.tree_run import Searching, agrow_trees, grow_trees
from memagent.errors import (
    DataError,
    InvalidInput,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    Stopped,
    StoreUnavailable,
)
from memagent.llm import Budget, Meter
from memagent.llm.reply import Raw
from memagent.llm.request import Request
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel
from memagent.testing.models import ScriptedWire

SMALL = SearchSettings(iterations=6)
CASES = [case(number) for number in range(4)]


def searching(model: ScriptedModel, **options: Any) -> Searching:
    return Searching(**{"policy": model, "judge": model, "searcher": Towns(), "settings": SMALL, **options})


def alone(number: int, settings: SearchSettings = SMALL) -> Tree:
    return grow_trees([case(number)], searching(ScriptedModel(hashed_policy), settings=settings))[0]


def test_many_questions_at_once_give_the_trees_that_each_gives_alone() -> None:
    model = ScriptedModel(hashed_policy)
    told: list[tuple[int, int]] = []
    trees = grow_trees(CASES, searching(model), progress=lambda done, total: told.append((done, total)))
    assert trees == [alone(number) for number in range(4)]
    assert told == sorted(told)
    assert told[-1] == (24, 24)
    assert model.meter.totals().calls == len(model.prompts)


class Slow:
    """A server that takes a second for each call, however many there are; counts the calls of each question."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.busy = 0
        self.most = 0

    def __call__(self, wire: ScriptedWire) -> None:
        send = wire.send

        async def asend(request: Request, timeout: float | None) -> Raw:
            self.calls[request.prompt.user.partition("</question>")[0]] += 1
            self.busy += 1
            self.most = max(self.most, self.busy)
            await asyncio.sleep(1.0)
            self.busy -= 1
            return send(request, timeout)

        wire.asend = asend  # type: ignore[method-assign]


def seconds(questions: int, concurrency: int) -> tuple[float, Slow]:
    """What a run takes by a clock that moves only while all wait for the server."""
    slow, model = Slow(), ScriptedModel(hashed_policy, concurrency=concurrency)
    slow(model.wire)
    whole = searching(model, concurrency=concurrency, settings=replace(SMALL, iterations=16))
    cases = [case(number) for number in range(questions)]
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        loop = runner.get_loop()
        assert len(runner.run(agrow_trees(cases, whole))) == questions
        return loop.time(), slow


def test_32_questions_take_little_longer_than_the_longest_chain_of_calls_of_one() -> None:
    took, slow = seconds(32, 32)
    longest = max(slow.calls.values())
    assert len(slow.calls) == 32
    assert slow.most == 32
    assert longest <= took <= 1.3 * longest


def test_no_more_questions_are_under_way_than_allowed() -> None:
    took, slow = seconds(8, 2)
    assert slow.most == 2
    assert took >= sum(slow.calls.values()) / 2


def test_policy_and_judge_may_be_different_models() -> None:
    policy, judge = ScriptedModel(hashed_policy), ScriptedModel(hashed_policy)
    trees = grow_trees(CASES[:1], searching(policy, judge=judge))
    assert trees == [alone(0)]
    assert {prompt.name for prompt in judge.prompts} == {"reason-rag-judge"}
    assert "reason-rag-judge" not in {prompt.name for prompt in policy.prompts}


def test_gold_answers_reach_neither_the_policy_nor_the_kept_steps_nor_the_pairs(tmp_path: Path) -> None:
    log, gold = tmp_path / "trees.partial", "Zyzzyvaville"
    policy, judge = ScriptedModel(hashed_policy), ScriptedModel(hashed_policy)
    cases = [case(number, answer=f"{gold} of {TOWNS[number]}") for number in range(4)]
    trees = grow_trees(cases, searching(policy, judge=judge, settings=replace(SMALL, iterations=40)), log=log)
    assert all(gold in request.text for request in judge.requests)
    assert not any(gold in request.text for request in policy.requests)
    assert gold not in log.read_text()
    pairs = all_pairs(trees)
    assert pairs
    assert not any(gold in json.dumps(pair.record()) for pair in pairs)


def interrupted(calls: int, error: ModelError) -> ScriptedModel:
    """Answers so many calls, and then none."""
    left = [calls]

    def reply(prompt: Prompt[Any]) -> Any:
        left[0] -= 1
        return hashed_policy(prompt) if left[0] >= 0 else error

    return ScriptedModel(reply, retries=0)


@pytest.mark.parametrize("calls", [1, 7, 20, 33])
def test_a_stopped_run_goes_on_where_it_was_and_repeats_no_call(calls: int, tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    whole = ScriptedModel(hashed_policy)
    expected = grow_trees(CASES, searching(whole))
    with pytest.raises(Stopped, match="see to the model"):
        grow_trees(CASES, searching(interrupted(calls, ModelUnavailable("down"))), log=log)
    rest = ScriptedModel(hashed_policy)
    assert grow_trees(CASES, searching(rest), log=log) == expected
    assert len(rest.prompts) == len(whole.prompts) - calls
    nothing = ScriptedModel([])
    assert grow_trees(CASES, searching(nothing), log=log) == expected


def test_a_run_killed_while_it_writes_asks_at_most_the_call_again_whose_line_was_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    whole = ScriptedModel(hashed_policy)
    expected = grow_trees(CASES[:2], searching(whole), log=log)
    content = log.read_bytes()
    lines = content.count(b"\n") - 1
    assert lines == len(whole.prompts)
    for cut in (len(content) - 5, len(content) // 2, content.index(b"\n") + 1, content.index(b"\n") + 30):
        log.write_bytes(content[:cut])
        rest = ScriptedModel(hashed_policy)
        assert grow_trees(CASES[:2], searching(rest), log=log) == expected
        assert len(rest.prompts) == lines - (content[:cut].count(b"\n") - 1)
        assert grow_trees(CASES[:2], searching(ScriptedModel([])), log=log) == expected


def test_every_reply_is_in_the_file_before_the_next_is_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    kept: list[int] = []

    def reply(prompt: Prompt[Any]) -> str:
        kept.append(log.read_bytes().count(b"\n") - 1)
        return hashed_policy(prompt)

    grow_trees(CASES[:1], searching(ScriptedModel(reply)), log=log)
    assert kept == list(range(len(kept)))


def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    grow_trees(CASES[:1], searching(ScriptedModel(hashed_policy)), log=log)
    lines = log.read_text().splitlines(keepends=True)
    for content, error, said in (
        ("".join([*lines[:3], '{"case": 1}\n', *lines[3:]]), DataError, "line 4"),
        ("".join([*lines[:3], *lines[5:]]), DataError, "do not follow"),
        ("my own notes", InvalidInput, "was begun with another"),
    ):
        log.write_text(content)
        with pytest.raises(error, match=said):
            grow_trees(CASES[:1], searching(ScriptedModel([])), log=log)
        assert log.read_text() == content
    log.unlink()
    log.mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        grow_trees(CASES[:1], searching(ScriptedModel([])), log=log)


def test_two_runs_do_not_write_to_one_file(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    identity = {"name": "x"}
    with open_tree_log(log, identity), pytest.raises(InvalidInput, match="another run"), open_tree_log(log, identity):
        pass
    with open_tree_log(log, identity) as again:
        assert again.events(CASES[0]) == ()


def test_a_run_of_other_prompts_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "trees.partial"
    grow_trees(CASES[:1], searching(ScriptedModel(hashed_policy)), log=log)
    monkeypatch.setattr(tree_run, "_PROMPTS", tree_run._PROMPTS[1:])
    with pytest.raises(InvalidInput, match="was begun with another"):
        grow_trees(CASES[:1], searching(ScriptedModel([])), log=log)


def test_a_key_that_is_revoked_ends_the_run_and_spoils_no_tree(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    expected = grow_trees(CASES, searching(ScriptedModel(hashed_policy)))
    with pytest.raises(ModelDenied, match="revoked"):
        grow_trees(CASES, searching(interrupted(17, ModelDenied("revoked"))), log=log)
    assert grow_trees(CASES, searching(ScriptedModel(hashed_policy)), log=log) == expected


def test_a_run_goes_on_with_more_questions_but_not_with_other_settings(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    grow_trees(CASES[:2], searching(ScriptedModel(hashed_policy)), log=log)
    more = ScriptedModel(hashed_policy)
    assert len(grow_trees(CASES[:3], searching(more), log=log)) == 3
    assert len(more.prompts) == sum(len(node.values) + (node.step is not None) for node in alone(2).nodes)
    other = [replace(CASES[0], answers=("Porto",))]
    again = ScriptedModel(hashed_policy)
    grow_trees(other, searching(again), log=log)
    assert again.prompts
    before = log.read_bytes()
    another = ScriptedModel([])
    another.wire.identity = "another"
    for change in (
        {"settings": replace(SMALL, iterations=7)},
        {"identity": {"corpus": "another"}},
        {"policy": another},
        {"judge": another},
    ):
        with pytest.raises(InvalidInput, match="was begun with another"):
            grow_trees(CASES[:2], searching(ScriptedModel([]), **change), log=log)
    assert log.read_bytes() == before


def test_a_spent_budget_stops_the_run_and_a_larger_one_resumes_it(tmp_path: Path) -> None:
    log = tmp_path / "trees.partial"
    poor = ScriptedModel(hashed_policy, meter=Meter(Budget(calls=9)))
    with pytest.raises(Stopped, match="raise the budget"):
        grow_trees(CASES, searching(poor), log=log)
    rich = ScriptedModel(hashed_policy)
    grow_trees(CASES, searching(rich), log=log)
    assert (poor.meter.totals().calls, len(rich.prompts)) == (9, len_of_all() - 9)


def len_of_all() -> int:
    model = ScriptedModel(hashed_policy)
    grow_trees(CASES, searching(model))
    return len(model.prompts)


def test_a_question_that_fails_lets_the_others_go_on_no_further_than_their_next_reply() -> None:
    first = CASES[0].question

    def broken(prompt: Prompt[Any]) -> Any:
        return ModelUnavailable("down") if first in prompt.user else hashed_policy(prompt)

    model = ScriptedModel(broken, retries=0)
    with pytest.raises(Stopped):
        grow_trees(CASES, searching(model))
    assert len(model.prompts) < len_of_all() / 2


def test_what_makes_no_sense_ends_the_run_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="wrong key"):
        grow_trees(CASES, searching(ScriptedModel(lambda _: ModelRefused("wrong key"))))
    with pytest.raises(InvalidInput, match="same id"):
        grow_trees([CASES[0], CASES[0]], searching(ScriptedModel([])))
    with pytest.raises(InvalidInput, match="concurrency"):
        searching(ScriptedModel([]), concurrency=0)
    with pytest.raises(InvalidInput, match="cannot be written"):
        grow_trees(CASES, searching(ScriptedModel([])), log=tmp_path / "no" / "such" / "folder")

    class Broken:
        def search(self, query: str, k: int) -> list[Document]:
            raise StoreUnavailable("the disk is gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        grow_trees(CASES, searching(ScriptedModel(hashed_policy), searcher=Broken()))


def test_a_search_that_finds_nothing_is_told_to_the_policy() -> None:
    class Empty:
        def search(self, query: str, k: int) -> list[Document]:
            return []

    model = ScriptedModel(hashed_policy)
    (tree,) = grow_trees([case(1)], searching(model, searcher=Empty()))
    assert tree.nodes[0].visits == 6
    grounding = [prompt for prompt in model.prompts if prompt.name == "reason-rag-evidence"]
    assert grounding
    assert all("(nothing was found)" in prompt.user for prompt in grounding)


def test_trees_are_written_and_read(tmp_path: Path) -> None:
    trees = grow_trees(CASES, searching(ScriptedModel(hashed_policy)))
    place = tmp_path / "trees.jsonl"
    write_trees(place, trees)
    assert read_trees(place) == trees
    place.write_text(place.read_text() + json.dumps({"schema": 1}) + "\n")
    with pytest.raises(DataError, match="line 5"):
        read_trees(place)
    place.write_text("{")
    with pytest.raises(DataError, match="line 1"):
        read_trees(place)
    place.write_text("")
    with pytest.raises(DataError, match="no trees"):
        read_trees(place)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_trees(tmp_path / "missing")
