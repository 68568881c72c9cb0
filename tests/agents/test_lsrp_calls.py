"""The file of replies: what is paid for is kept, and nothing damaged is taken for a reply."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memagent.agents.lsrp.calls import Said, open_call_log, said
from memagent.agents.lsrp.cast import Cast, Scene, one, play
from memagent.errors import BudgetExceeded, DataError, InvalidInput, MalformedReply, ModelRefused, Stopped
from memagent.llm import Budget, Usage
from memagent.prompts.lsrp import leader_alone
from memagent.prompts.lsrp_judges import judge_relevance
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel

ASKED = leader_alone("Write a toast.", "writing")
JUDGED = judge_relevance("Write a toast.", "name: Kim", "Cheers!")


def test_a_reply_comes_back_for_the_same_prompt_and_model_only(tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    model = ScriptedModel(["Cheers!", '{"score": 7}'])
    with open_call_log(place) as log:
        log.keep("1", ASKED, "a", said(model.ask(ASKED)))
        log.keep("1", JUDGED, "a", said(model.ask(JUDGED)))
    with open_call_log(place) as log:
        found, judged = log.find(ASKED, "a"), log.find(JUDGED, "a")
        assert found is not None
        assert judged is not None
        assert (found.value, found.kept, judged.value.score) == ("Cheers!", True, 7)
        assert log.find(ASKED, "b") is None
        assert log.find(leader_alone("Write a toast.", "writing", max_tokens=5), "a") is None
        assert log.find(replace(ASKED, seed=666), "a") is None
        assert len(log) == 2


def test_what_could_not_be_read_is_not_asked_again(tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    cast = Cast(leader=ScriptedModel([]), subordinate=ScriptedModel([]), judge=ScriptedModel(["no", "still not"]))
    for _ in range(2):
        found = play({"1": one(JUDGED)}, cast, calls=place)
        assert isinstance(found["1"], MalformedReply)


@pytest.mark.parametrize("content", ["something else\n", '{"memagent": "lsrp calls", "schema": 1}\nnot a call\n'])
def test_a_damaged_file_is_not_written_over(content: str, tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    place.write_text(content)
    with pytest.raises(DataError, match=r"calls\.jsonl"), open_call_log(place):
        pass
    assert place.read_text() == content


def test_a_file_serves_one_run_at_a_time_and_must_be_writable(tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    with open_call_log(place), pytest.raises(InvalidInput, match="another run"), open_call_log(place):
        pass
    with pytest.raises(InvalidInput, match="cannot be written"), open_call_log(tmp_path / "missing" / "calls.jsonl"):
        pass


def test_a_full_disk_is_told_and_what_was_kept_before_is_found_again(tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    first, second = leader_alone("Write a eulogy.", "writing"), leader_alone("Write a toast.", "writing")
    reply = Said(value="x" * 500, text="x" * 500, fluency=None, usage=Usage(), kept=False)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with open_call_log(place) as log:
            log.keep("1", first, "m", reply)
            resource.setrlimit(resource.RLIMIT_FSIZE, (place.stat().st_size + 100, most[1]))
            log.keep("2", second, "m", reply)

    try:
        with pytest.raises(InvalidInput, match=r"calls\.jsonl cannot be written"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    with open_call_log(place) as log:
        found = log.find(first, "m")
        assert found is not None
        assert found.value == reply.value
        assert log.find(second, "m") is None


def two(first: Prompt[str], second: Prompt[str]) -> Scene[list[str]]:
    replies = yield [first, second]
    return [reply.value for reply in replies]


def test_prompts_asked_at_once_are_all_kept_before_the_first_error_is_raised(tmp_path: Path) -> None:
    place = tmp_path / "calls.jsonl"
    bad = leader_alone("Write a eulogy.", "writing")

    def reply(prompt: Prompt[Any]) -> Any:
        return ModelRefused("no") if "eulogy" in prompt.user else "Cheers!"

    cast = Cast(leader=ScriptedModel(reply), subordinate=ScriptedModel([]))
    found = play({"1": two(bad, ASKED), "2": one(ASKED)}, cast, calls=place, concurrency=1)
    assert isinstance(found["1"], ModelRefused)
    assert not isinstance(found["2"], Exception)
    assert len(cast.leader.prompts) == 2  # type: ignore[attr-defined]
    with pytest.raises(ModelRefused):  # where nothing is answered it is no matter of single tasks
        play({"1": one(bad)}, cast)


def test_what_two_scenes_ask_at_once_is_asked_once() -> None:
    model = ScriptedModel(lambda prompt: "Cheers!")
    found = play({str(n): one(ASKED) for n in range(5)}, Cast(leader=model, subordinate=model))
    assert len(found) == 5
    assert len(model.prompts) == 1


def test_a_spent_budget_is_a_stop_and_a_judgement_without_a_judge_an_error() -> None:
    cast = Cast(leader=ScriptedModel(["Cheers!"], budget=Budget(calls=0)), subordinate=ScriptedModel([]))
    with pytest.raises(Stopped, match="raise the budget"):
        play({"1": one(ASKED)}, cast)
    with pytest.raises(InvalidInput, match="no judge"):
        cast.model(JUDGED)
    with pytest.raises(InvalidInput, match="concurrency"):
        play({"1": one(ASKED)}, cast, concurrency=0)
    with pytest.raises(InvalidInput, match="text_tokens"):
        Cast(leader=cast.leader, subordinate=cast.leader, text_tokens=0)
    assert issubclass(BudgetExceeded, Exception)
