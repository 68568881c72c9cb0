"""A run keeps what it has, goes on where it stopped, and tells failures from low scores."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qa_examples import adversarial, run, small, topic_answer, unanswerable, yes

from memagent.errors import (
    InvalidInput,
    MalformedReply,
    ModelDenied,
    ModelRefused,
    ModelUnavailable,
    Stopped,
    UnknownName,
)
from memagent.llm.cache import ReplyCache
from memagent.llm.meter import Budget, Meter
from memagent.prompts import judges
from memagent.prompts.prompt import Prompt
from memagent.testing.models import ScriptedModel, ScriptedReply


def test_every_question_has_a_row_with_answer_verdict_and_scores() -> None:
    data = small()
    found = run(data, ScriptedModel(topic_answer), ScriptedModel(yes))
    assert [row.question_id for row in found.rows] == [question.id for question in data.questions]
    for row, question in zip(found.rows, data.questions, strict=True):
        assert row.hypothesis == question.answer
        assert row.metrics["accuracy"] == row.metrics["f1"] == row.metrics["evidence_shown"] == 1
        assert (row.verdict, row.failure, row.known) == ("yes", "", True)
        assert set(question.gold_sessions) <= set(row.shown)
        assert set(row.citations) <= set(row.shown)
        assert row.reader.input_tokens > 0
        assert row.reader.milliseconds is not None
        assert json.loads(row.as_hypothesis()) == {"question_id": question.id, "hypothesis": question.answer}
        assert type(row).of_json(row.as_json()) == row


def test_without_a_judge_there_is_no_accuracy() -> None:
    found = run(small(users=1), ScriptedModel(topic_answer))
    assert all("accuracy" not in row.metrics and row.verdict == "" for row in found.rows)


def test_the_judge_is_asked_by_type_and_abstention_by_its_own_criterion() -> None:
    data = small(users=1)
    data = replace(data, questions=(*data.questions, unanswerable()))
    judge = ScriptedModel(yes)
    found = run(data, ScriptedModel(topic_answer), judge)
    asked = sorted(prompt.name.removeprefix("judge-longmemeval-") for prompt in judge.prompts)
    assert asked == ["abstention", "fact", "fact", "preference", "time", "update"]
    last = found.rows[-1]
    assert (last.unanswerable, last.known, last.metrics["said_unknown"]) == (True, False, 1)
    assert "evidence_shown" not in last.metrics


def test_adversarial_questions_are_abstentions_unless_the_trap_is_wanted() -> None:
    for wanted, name in (("abstain", "judge-longmemeval-abstention"), ("trap", "judge-locomo")):
        judge = ScriptedModel(['{"reasoning": "x", "label": "WRONG"}' if wanted == "trap" else "no"])
        [row] = run(
            adversarial(), ScriptedModel(topic_answer), judge, settings={"criteria": "locomo", "adversarial": wanted}
        ).rows
        assert judge.prompts[0].name == name
        assert "a trap" in judge.prompts[0].user
        assert row.unanswerable is (wanted == "abstain")
        assert row.metrics["accuracy"] == 0


def test_memgas_counts_the_trap_as_right_only_if_the_trap_is_wanted() -> None:
    for wanted, name, reply in (
        ("trap", "judge-memgas", "[yes]"),
        ("abstain", "judge-longmemeval-abstention", "no"),
    ):
        judge = ScriptedModel([reply])
        settings = {"criteria": "memgas", "adversarial": wanted}
        [row] = run(adversarial(), ScriptedModel(topic_answer), judge, settings=settings).rows
        assert (judge.prompts[0].name, row.metrics["accuracy"]) == (name, wanted == "trap")


def test_a_judge_that_decides_nothing_counts_as_wrong_and_is_told() -> None:
    found = run(small(users=1), ScriptedModel(topic_answer), ScriptedModel(lambda _: "well"))
    assert {row.metrics["accuracy"] for row in found.rows} == {0.0}
    assert {row.failure for row in found.rows} == {"the judge says neither yes nor no"}


def failing_for(topic: str, reply: ScriptedReply) -> Any:
    def answer(prompt: Prompt[Any]) -> ScriptedReply:
        return reply if topic in prompt.user.partition("<question>")[2] else topic_answer(prompt)

    return answer


@pytest.mark.parametrize(
    ("reply", "failure"),
    [("no JSON here", "MalformedReply: no JSON"), (ModelRefused("the prompt is too long"), "ModelRefused: the prompt")],
)
def test_one_question_that_cannot_be_answered_is_a_failure_and_the_rest_goes_on(
    reply: ScriptedReply, failure: str
) -> None:
    reader = ScriptedModel(failing_for("boiler", reply))
    found = run(small(), reader, ScriptedModel(yes))
    failed = [row for row in found.rows if row.failure]
    assert [row.question_id for row in failed] == ["user0-q2", "user1-q2"]
    assert all(row.failure.startswith(failure) and row.hypothesis == "" for row in failed)
    assert all(row.metrics == {"accuracy": 0, "f1": 0, "exact_match": 0} for row in failed)
    assert sum(row.metrics["accuracy"] for row in found.rows) == len(found.rows) - 2


def test_a_judge_that_fails_leaves_the_answer(tmp_path: Path) -> None:
    judge = ScriptedModel(lambda _: ModelRefused("filtered"))
    with pytest.raises(ModelRefused):
        run(small(), ScriptedModel(topic_answer), judge, partial=tmp_path / "rows")
    broken = ScriptedModel(lambda _: MalformedReply("x", reason="no JSON"))
    found = run(small(users=1), ScriptedModel(topic_answer), broken, settings={"criteria": "locomo"})
    assert all(row.hypothesis and row.metrics["f1"] == 1 and row.metrics["accuracy"] == 0 for row in found.rows)


def test_a_model_that_refuses_everything_ends_the_run_and_nothing_is_kept(tmp_path: Path) -> None:
    reader = ScriptedModel(lambda _: ModelRefused("the server said 401", hint="check the API key"))
    with pytest.raises(ModelRefused, match="401"):
        run(small(users=4), reader, partial=tmp_path / "rows", concurrency=2)
    assert len(reader.prompts) < 10
    assert len((tmp_path / "rows").read_text().splitlines()) == 1
    few = replace(small(users=1), questions=small(users=1).questions[:2])
    with pytest.raises(ModelRefused, match="401"):
        run(few, reader)


def test_a_model_that_cannot_be_reached_stops_the_run_and_the_same_call_ends_it(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    left = threading.Semaphore(3)

    def for_a_while(prompt: Prompt[Any]) -> ScriptedReply:
        return topic_answer(prompt) if left.acquire(blocking=False) else ModelUnavailable("the server is gone")

    with pytest.raises(Stopped, match=r"stopped after 3 of 10 questions: .*gone.*run the same command"):
        run(small(), ScriptedModel(for_a_while, retries=0), partial=rows, concurrency=1)
    reader = ScriptedModel(topic_answer)
    assert len(run(small(), reader, partial=rows).rows) == 10
    assert len(reader.prompts) == 7


def test_a_model_that_serves_us_no_more_stops_the_run_and_no_question_counts_as_wrong(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    left = threading.Semaphore(3)

    def until_unpaid(prompt: Prompt[Any]) -> ScriptedReply:
        return topic_answer(prompt) if left.acquire(blocking=False) else ModelDenied("insufficient_quota")

    with pytest.raises(Stopped, match=r"stopped after 3 of 10 questions: insufficient_quota.*run the same command"):
        run(small(), ScriptedModel(until_unpaid), partial=rows, concurrency=2)
    found = run(small(), ScriptedModel(topic_answer), partial=rows)
    assert [row.failure for row in found.rows] == [""] * 10


def test_a_model_that_serves_nothing_at_all_ends_the_run_with_its_own_error() -> None:
    reader = ScriptedModel(lambda _: ModelDenied("the server said 401", hint="check the API key"))
    with pytest.raises(ModelDenied, match="401"):
        run(small(users=4), reader, concurrency=1)
    assert len(reader.prompts) == 1


def test_a_continued_run_may_meet_nothing_but_questions_that_are_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    run(small(), ScriptedModel(topic_answer), partial=rows, settings={"limit": 4})
    found = run(small(), ScriptedModel(lambda _: ModelRefused("too long")), partial=rows)
    assert sum(bool(row.failure) for row in found.rows) == 6


def test_what_a_failed_question_took_is_counted() -> None:
    found = run(small(users=1), ScriptedModel(lambda _: "no JSON here"), ScriptedModel([]))
    for row in found.rows:
        assert row.failure == "MalformedReply: no JSON"
        assert row.reader.input_tokens > 100
        assert row.reader.output_tokens == 6
        assert (row.reader.cached, row.reader.milliseconds) == (False, None)
        assert (row.judge.input_tokens, row.judge.cached) == (0, False)


def test_text_that_no_file_can_hold_does_not_end_a_run(tmp_path: Path) -> None:
    judge = ScriptedModel(lambda _: "yes \ud83d")
    reader = ScriptedModel(failing_for("boiler", ModelRefused("odd \ud800 words")))
    found = run(small(users=1), reader, judge, partial=tmp_path / "rows")
    assert [row.metrics["accuracy"] for row in found.rows] == [1, 1, 0, 1, 1]
    assert json.loads((tmp_path / "rows").read_text().splitlines()[-1])["verdict"] == "yes \ufffd"
    for row in found.rows:
        (row.as_json() + row.as_hypothesis()).encode()


def test_rows_of_other_criteria_are_not_reused_though_the_version_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows"
    run(small(), ScriptedModel(topic_answer), ScriptedModel(yes), partial=rows, settings={"limit": 4})
    monkeypatch.setitem(judges._CRITERIA, "time", "Say yes.")
    more = ScriptedModel(topic_answer)
    run(small(), more, ScriptedModel(yes), partial=rows)
    assert len(more.prompts) == 10


def test_a_spent_budget_stops_the_run_cleanly(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    reader = ScriptedModel(topic_answer, meter=Meter(Budget(calls=4)))
    with pytest.raises(Stopped, match="raise the budget, and run the same command to resume"):
        run(small(), reader, partial=rows, concurrency=2)
    assert len(rows.read_text().splitlines()) == 1 + 4
    second = ScriptedModel(topic_answer, meter=Meter(Budget(calls=6)))
    assert len(run(small(), second, partial=rows).rows) == 10


def test_rows_of_other_settings_are_not_reused_but_more_questions_of_the_same_are_added(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    run(small(), ScriptedModel(topic_answer), partial=rows, settings={"limit": 4})
    more = ScriptedModel(topic_answer)
    run(small(), more, partial=rows)
    assert len(more.prompts) == 6
    other = ScriptedModel(topic_answer)
    run(small(), other, partial=rows, settings={"top_k": 2})
    assert len(other.prompts) == 10


def test_a_second_run_takes_every_reply_from_the_cache(tmp_path: Path) -> None:
    for expected in (10, 0):
        with ReplyCache(tmp_path / "replies.sqlite") as cache:
            reader, judge = (ScriptedModel(script, cache=cache) for script in (topic_answer, yes))
            found = run(small(users=1), reader, judge)
        assert len(reader.prompts) + len(judge.prompts) == expected
        assert all((row.reader.milliseconds is None) is (expected == 0) for row in found.rows)
        assert all(row.reader.cached is row.judge.cached is (expected == 0) for row in found.rows)


def test_as_many_questions_as_allowed_are_under_way_at_once() -> None:
    class Slow(ScriptedModel):
        under_way = most = 0

        async def aask(self, prompt: Any) -> Any:
            import asyncio

            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _ in range(6_000):  # a minute
                if self.most == 4:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            reply = await super().aask(prompt)
            self.under_way -= 1
            return reply

    reader = Slow(topic_answer)
    run(small(), reader, concurrency=4)
    assert reader.most == 4


def test_an_interrupt_is_a_stop(tmp_path: Path) -> None:
    def interrupted(prompt: Prompt[Any]) -> ScriptedReply:
        if "boiler" in prompt.user.partition("<question>")[2]:
            raise KeyboardInterrupt
        return topic_answer(prompt)

    with pytest.raises(Stopped, match="run the same command to resume"):
        run(small(), ScriptedModel(interrupted), partial=tmp_path / "rows", concurrency=1)
    assert len((tmp_path / "rows").read_text().splitlines()) == 1 + 2


def test_options_are_answered_by_letter_and_nobody_judges() -> None:
    base = small(users=1)
    asked = replace(base.questions[0], options=("Yes.", "No."), answer="b", no_gold="all documents are evidence")
    reader, judge = ScriptedModel(["(b)"]), ScriptedModel([])
    [row] = run(replace(base, questions=(asked,)), reader, judge).rows
    assert row.metrics == {"accuracy": 1.0}
    assert '<option letter="b">\nNo.\n</option>' in reader.prompts[0].user


def test_the_controls_stand_in_place_of_a_retriever() -> None:
    shown = {}
    for control in ("none", "full", "gold"):
        reader = ScriptedModel(topic_answer)
        found = run(small(users=1), reader, source=control)
        assert found.source.label == control
        shown[control] = [row.metrics["evidence_shown"] for row in found.rows]
        counts = [len(row.shown) for row in found.rows]
        assert counts == {"none": [0] * 5, "full": [5] * 5, "gold": [1] * 5}[control]
        assert (len(reader.prompts) == 0) is (control == "none")
    assert shown == {"none": [0.0] * 5, "full": [1.0] * 5, "gold": [1.0] * 5}


def test_only_what_was_said_before_the_question_is_seen_if_that_is_wanted() -> None:
    base = small(users=1)
    early = replace(base, questions=(replace(base.questions[4], date=base.histories[0].sessions[2].date),))
    for as_of, shown in (("none", 5), ("question", 3)):
        [row] = run(early, ScriptedModel(topic_answer), source="full", settings={"as_of": as_of}).rows
        assert len(row.shown) == shown


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"granularity": "word"}, UnknownName, "'turn'"),
        ({"granularity": "summary"}, InvalidInput, "--summaries extractive"),
        ({"top_k": 0}, InvalidInput, "top_k"),
        ({"adversarial": "maybe"}, UnknownName, "'trap'"),
        ({"criteria": "strict"}, UnknownName, "memgas"),
        ({"criteria": "longmemeval"}, InvalidInput, "tiny has even, odd"),
        ({"summaries": "dataset"}, InvalidInput, "has no summaries"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], error: type[Exception], says: str) -> None:
    data = small(users=1)
    if settings.get("criteria") == "longmemeval":
        data = replace(
            data, questions=tuple(replace(q, type=("odd", "even")[i % 2]) for i, q in enumerate(data.questions))
        )
    with pytest.raises(error, match=says):
        run(data, ScriptedModel([]), settings=settings)
    with pytest.raises(InvalidInput, match="no questions"):
        run(replace(data, questions=()), ScriptedModel([]))


def test_a_prompt_that_cannot_hold_the_question_is_told_before_anything_is_asked() -> None:
    from memagent.answering.steps import AnswerSettings

    with pytest.raises(InvalidInput, match="do not hold"):
        run(small(users=1), ScriptedModel([]), settings={"answer": AnswerSettings(max_tokens=50)})


CHILD = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from qa_examples import run, small, topic_answer
from memagent.llm.cache import ReplyCache
from memagent.testing.models import ScriptedModel

asked = []
def answer(prompt):
    asked.append(prompt)
    if len(asked) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return topic_answer(prompt)

run(small(), ScriptedModel(answer), partial=Path(sys.argv[1]), concurrency=1)
"""


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    here = Path(__file__).parent
    code = CHILD.format(paths=[str(here), str(here.parents[1])])
    killed = subprocess.run([sys.executable, "-c", code, str(rows)], capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(rows.read_text().splitlines()) == 1 + 4
    with rows.open("a") as file:
        file.write('{"retriever": "bm25", "question_id": "cut o')
    reader = ScriptedModel(topic_answer)
    assert len(run(small(), reader, partial=rows).rows) == 10
    assert len(reader.prompts) == 6
