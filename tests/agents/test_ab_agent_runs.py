"""Experiments with visitors who are language models: many at once, cut off, out of money, without an answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ab_agent_examples
import pytest
from ab_agent_examples import experiment, fond_of, part, policy, resumable, said
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, act, click, people
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.agents.ab.crew import going_on, worked
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.report import report_of
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.storing import read_events
from memagent.errors import (
    BudgetExceeded,
    DataError,
    InvalidInput,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    Stopped,
)
from memagent.evals.ab.usage import Usage
from memagent.llm import Budget, Prompt
from memagent.prompts.ab import are_you_there
from memagent.testing import ScriptedModel

Reply = Callable[[Prompt[Any]], Any]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, one user after the other, that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    trial = experiment(policy(ScriptedModel(fond_of("War"))), users=5, layout=Layout(max_pages=1))
    trial.run(folder)
    return folder


def test_many_users_at_once_leave_the_same_log(whole: Path, tmp_path: Path) -> None:
    lock, overlap, under_way, most = threading.Lock(), threading.Event(), [0], [0]
    reply = fond_of("War")

    def slow(prompt: Prompt[Any]) -> Any:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            if most[0] >= 2:
                overlap.set()
        overlap.wait(60)  # until a second call has begun, however late that is
        time.sleep(0.002)
        with lock:
            under_way[0] -= 1
        return reply(prompt)

    resumable(slow, tmp_path / "replies").run(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)
    assert 2 <= most[0] <= 4


def test_a_run_that_stops_early_stops_after_the_same_users_however_many_are_at_once(tmp_path: Path) -> None:
    arms = [FixedArm(IDS[:8], "long"), FixedArm(IDS[:4], "short")]
    trial = Experiment(
        catalogue=CATALOGUE,
        arms=arms,
        users=people(90),
        policy=Scripted([click(1), act(Kind.BACK), act(Kind.NEXT)]),
        fatigue=Fatigue(enabled=False),
        stopping=Stopping(least=30, tuned_for=30),
        block=10,
    )
    outcomes = [replace(trial, concurrency=n).run(tmp_path / str(n)) for n in (1, 5)]
    assert outcomes[0].stopped_early
    assert outcomes[0].visits == outcomes[1].visits
    assert contents(tmp_path / "1") == contents(tmp_path / "5")


@pytest.mark.parametrize("bad", [{"block": 0}, {"concurrency": 0}])
def test_no_users_at_once_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="1 or more"):
        experiment(policy(ScriptedModel([])), **bad)


def test_a_killed_run_ends_with_the_same_bytes_and_pays_for_nothing_twice(whole: Path, tmp_path: Path) -> None:
    run, cache = tmp_path / "run", tmp_path / "replies"
    script = [sys.executable, ab_agent_examples.__file__, str(run), str(cache)]
    killed = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list((run / "parts").iterdir())
    resumed = resumable(fond_of("War"), cache)
    resumed.run(run)
    assert contents(run) == contents(whole)
    used = resumed.policy.model.meter.totals()  # type: ignore[attr-defined]
    again = resumable(fond_of("War"), cache)
    again.run(tmp_path / "again")
    everything = again.policy.model.meter.totals()  # type: ignore[attr-defined]
    assert everything.calls == 0
    assert 0 < used.calls < everything.cached


def test_a_run_out_of_money_keeps_what_is_done_and_goes_on_with_more(whole: Path, tmp_path: Path) -> None:
    poor = resumable(fond_of("War"), tmp_path / "replies", model={"budget": Budget(calls=40)}, concurrency=1)
    with pytest.raises(BudgetExceeded):
        poor.run(tmp_path / "run")
    done = len(list((tmp_path / "run" / "parts").iterdir()))
    assert 0 < done < 5
    rich = resumable(fond_of("War"), tmp_path / "replies", model={"budget": Budget(calls=400)})
    rich.run(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)


class Outage:
    """A reader whose server is gone from one call on."""

    def __init__(self, at: int, error: Exception) -> None:
        self.left, self.error, self.reply = at, error, fond_of("War")

    def __call__(self, prompt: Prompt[Any]) -> Any:
        self.left -= 1
        return self.error if self.left < 0 else self.reply(prompt)


@pytest.mark.parametrize("error", [ModelUnavailable("connection lost"), ModelTimeout("no answer")])
def test_a_server_that_dies_stops_the_run_which_is_resumed(error: Exception, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="does not answer any more"):
        resumable(Outage(40, error), tmp_path / "replies").run(tmp_path / "run")
    resumable(fond_of("War"), tmp_path / "replies").run(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)


def bad_for(user_word: str, bad: Any) -> Reply:
    """A model that has no answer for one kind of visitor."""
    reply = fond_of("War")
    return lambda prompt: bad if user_word in part(prompt, "person") else reply(prompt)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("", "no usable answer"),
        ("[]", "no usable answer"),
        (ModelTimeout("no answer"), "no answer"),
        (ModelRefused("too long"), "too long"),
    ],
)
def test_a_question_without_an_answer_ends_one_session_and_no_other(bad: Any, told: str, tmp_path: Path) -> None:
    # Activity 3 is u2's alone.
    outcome = experiment(policy(ScriptedModel(bad_for("open many things", bad)))).run(tmp_path)
    endings = {(visit.user, visit.ending == "policy_failed") for visit in outcome.visits}
    assert endings == {("u0", False), ("u1", False), ("u2", True)}
    faults = [event.note or "" for event in read_events(tmp_path) if event.event == "fault" and event.user == "u2"]
    assert any(told in note for note in faults)
    assert any("gave no answer in 1 of 3 visits" in text for text in report_of(outcome).warnings)


@pytest.mark.parametrize("manners", ["", ModelRefused("one token is too few")])
def test_a_model_that_answers_a_question_about_itself_badly_is_there(manners: Any) -> None:
    reply = bad_for("open many things", ModelTimeout("no answer"))
    model = ScriptedModel(lambda prompt: manners if prompt.name == "ab-there" else reply(prompt))
    outcome = experiment(policy(model)).run()
    assert {visit.user for visit in outcome.visits if visit.ending == "policy_failed"} == {"u2"}


def test_a_model_that_always_leaves_or_never_stops_is_reported(tmp_path: Path) -> None:
    opinion = '{"reason": "x", "satisfaction": 1, "returns": false}'

    def leaving(prompt: Prompt[Any]) -> str:
        return opinion if prompt.name == "ab-interview" else said("exit")

    def restless(prompt: Prompt[Any]) -> str:
        if prompt.name == "ab-interview":
            return opinion
        return said("next" if "next" in part(prompt, "possible").split(", ") else "previous")

    def babbling(prompt: Prompt[Any]) -> str:
        return opinion if prompt.name == "ab-interview" else said("dance")

    def warnings(reply: Reply) -> tuple[set[str], str]:
        layout = Layout(max_pages=2, max_steps=12)
        outcome = experiment(policy(ScriptedModel(reply)), layout=layout).run()
        return {visit.ending for visit in outcome.visits}, " ".join(report_of(outcome).warnings)

    endings, told = warnings(leaving)
    assert (endings, "leaves at once" in told) == ({"chose"}, True)
    endings, told = warnings(restless)
    assert (endings, "does not stop" in told) == ({"step_limit"}, True)
    endings, told = warnings(babbling)
    assert (endings, "were clamped" in told) == ({"end_of_list"}, True)


def test_what_is_used_is_written_down_while_a_run_goes_on(tmp_path: Path) -> None:
    def played() -> list[int]:
        usage, calls = Usage(tmp_path), []
        by = policy(ScriptedModel(fond_of("War"), meter=usage.visitors()))
        usage.played_by(by)

        def after() -> None:
            usage.note()
            calls.append(usage.facts()["agent"]["calls"])

        experiment(by, users=3, layout=Layout(max_pages=1)).run(after=after)
        return calls

    first = played()
    assert sorted(set(first)) == first
    second = played()
    assert second == [first[-1] + calls for calls in first]  # as if the first process had been killed here
    again = Usage(tmp_path)
    again.visitors()
    again.note()  # nothing was used
    assert (again.facts()["agent"]["runs"], again.facts()["agent"]["calls"]) == (2, second[-1])


def test_what_an_earlier_version_wrote_down_counts_and_what_is_damaged_is_named(tmp_path: Path) -> None:
    counts: dict[str, Any] = {
        "malformed": {},
        "retried": {},
        "failed": {"ModelRefused": 1},
        "summaries": {"counted": 3},
    }
    row = {**dict.fromkeys(("input_tokens", "output_tokens", "prefix_cached_tokens", "cost", "seconds"), 1), "calls": 7}
    path = tmp_path / "usage.jsonl"
    path.write_text(json.dumps({**row, **counts}) + "\n", encoding="utf-8")
    usage = Usage(tmp_path)
    model = ScriptedModel(["yes"], meter=usage.visitors())
    ranking = ScriptedModel(["yes", "yes"], meter=usage.ranker("ranked"))
    for one in (model, ranking, ranking):
        one.ask(are_you_there(0))
    usage.note()
    found = usage.facts()
    assert (found["agent"]["calls"], found["agent"]["runs"], found["agent"]["summaries"]) == (8, 2, {"counted": 3})
    assert (found["rankers"]["ranked"]["calls"], found["rankers"]["ranked"]["runs"]) == (2, 1)
    assert [json.loads(line)["calls"] for line in path.read_text(encoding="utf-8").splitlines()] == [7, 3]
    assert "ranked 2 calls" in usage.told()
    path.write_text('{"calls": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        Usage(tmp_path)


_COUNTED = st.fixed_dictionaries(
    dict.fromkeys(("input_tokens", "output_tokens", "prefix_cached_tokens", "cost", "seconds", "calls"), st.integers())
    | dict.fromkeys(("malformed", "retried", "failed"), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2))
)
_ODD = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda s: st.dictionaries(st.text(max_size=3), s))
_PART = _COUNTED | _ODD | st.builds(lambda row, name, odd: {**row, name: odd}, _COUNTED, st.sampled_from(
    ["calls", "cost", "failed", "summaries", "visitors", "rankers"]), _ODD)  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(_PART | st.builds(lambda row, part: {**row, "visitors": part, "rankers": {"r": part}}, _COUNTED, _PART))
)
def test_whatever_the_lines_of_usage_are_they_are_counted_or_refused(rows: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "usage.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        try:
            usage = Usage(Path(folder))
        except DataError:
            return
        usage.visitors()
        usage.ranker("r")
        assert usage.told().startswith("visitors ")


def test_results_come_in_the_order_of_the_tasks_and_an_error_after_those_before_it() -> None:
    def work(task: int) -> int:
        time.sleep(0.002 * (5 - task))
        return 1 // (task - 3) + task

    found: list[int] = []
    with pytest.raises(ZeroDivisionError):
        found.extend(worked(work, range(100), threads=4))
    assert found == [-1, 0, 1]
    made = worked(work, range(100), threads=4)
    assert [next(made) for _ in range(3)] == [work(n) for n in range(3)]
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_work_that_is_not_wanted_any_more_finds_out() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(task: int) -> int:
        if task == 0:
            return 0
        begun.set()
        try:
            while True:
                time.sleep(0.001)
                going_on()
        except Stopped:
            ended.set()
            raise

    made = worked(work, range(9), threads=2)
    assert next(made) == 0
    assert begun.wait(60)
    made.close()
    assert ended.wait(60)
    going_on()  # outside of any crew nothing is ever stopped


def test_one_thread_begins_no_task_before_it_is_asked_for() -> None:
    begun: list[int] = []
    made = worked(begun.append, range(5), threads=1)
    next(made)
    assert begun == [0]
