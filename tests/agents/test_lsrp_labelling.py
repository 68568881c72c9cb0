"""Labelling: every task under every style, at once, kept call by call, and gone on with where a kill ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.labelling import Labelling, Table, ascore_tasks, score_tasks
from memagent.agents.lsrp.learning import learn_styles
from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.ports import Checked, PrivateTask, Verdict
from memagent.agents.lsrp.strategies import STYLES
from memagent.errors import InvalidInput, ModelRefused, ModelUnavailable, Stopped, UnknownName
from memagent.evals.lsrp.population import make_population
from memagent.evals.lsrp.population_models import population_cast
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel

TASKS = [
    PrivateTask(text=f"Write toast {number}.", task_type=TaskType.WRITING, profile={"name": f"Ann{number}"})
    for number in range(3)
]


def said(prompt: Prompt[Any]) -> str:
    if prompt.name.startswith("judge"):
        return '{"score": 6}'
    if prompt.name.startswith("lsrp-leader"):
        return f"Plan of {prompt.name}."
    return f"Dear Ann0, by {prompt.user.partition('<guideline>')[2]}"


def cast(leader: ScriptedModel | None = None, judge: ScriptedModel | None = None) -> Cast:
    leader, judge = leader or ScriptedModel(said), judge or ScriptedModel(said)
    return Cast(leader=leader, subordinate=ScriptedModel(said), judge=judge)


def test_through_prompts_parsers_and_log_the_scores_of_the_population_come_back(tmp_path: Path) -> None:
    population = make_population(users=8, tasks_each=2, score_noise=0.2)
    models, wire = population_cast(population)
    table = score_tasks(population.tasks, Labelling(cast=models, guard=None), log=tmp_path / "log")
    assert table.complete == tuple(range(16))
    assert np.allclose(table.cells(), population.cells)
    learnt = learn_styles(table, evolution=Evolution(population=20, generations=5))
    assert (learnt.tasks, learnt.left_out) == (population.tasks, 0)
    assert [STYLES[number] for number in learnt.labels.picked] == list(learnt.styles)
    calls = wire.calls
    assert score_tasks(population.tasks, Labelling(cast=models, guard=None), log=tmp_path / "log") == table
    assert wire.calls == calls  # nothing is asked again


def test_the_leader_sees_the_task_and_nothing_of_the_user() -> None:
    leader = ScriptedModel(said)
    score_tasks(TASKS, Labelling(cast=cast(leader), guard=None))
    assert len(leader.prompts) == 12
    assert not any("Ann" in prompt.user + prompt.system for prompt in leader.prompts)


def test_what_is_private_in_a_task_does_not_reach_the_leader_unless_one_says_so() -> None:
    private = replace(TASKS[0], text="Write a toast of Ann0.")
    guarded, open_ = ScriptedModel(said), ScriptedModel(said)
    score_tasks([private], Labelling(cast=cast(guarded)))
    score_tasks([private], Labelling(cast=cast(open_), guard=None))
    assert all("toast of [NAME_1]" in prompt.user for prompt in guarded.prompts)
    assert all("toast of Ann0" in prompt.user for prompt in open_.prompts)


def test_a_refused_prompt_is_a_failed_cell_and_the_next_run_tries_it_again(tmp_path: Path) -> None:
    refusing = True

    def leading(prompt: Prompt[Any]) -> str | ModelRefused:
        wanted = "supportive" in prompt.name and "1" in prompt.user
        return ModelRefused("not this one") if refusing and wanted else said(prompt)

    leader, judge = ScriptedModel(leading), ScriptedModel(said)
    labelling = Labelling(cast=cast(leader, judge), guard=None)
    table = score_tasks(TASKS, labelling, log=tmp_path / "log")
    assert table.complete == (0, 2)
    ((number, cell),) = table.failures
    assert (number, cell.style, cell.failed) == (1, "supportive", "ModelRefused: not this one")
    assert table.cells().shape == (2, 4, 3)
    refusing = False
    whole = score_tasks(TASKS, labelling, log=tmp_path / "log")
    assert whole.complete == (0, 1, 2)
    assert len(judge.prompts) == 12


def test_a_task_too_long_for_the_small_model_is_failed_cells_and_the_others_go_on() -> None:
    long = replace(TASKS[1], profile={"note": "word " * 20_000})
    table = score_tasks([TASKS[0], long, TASKS[2]], Labelling(cast=cast(), guard=None))
    assert table.complete == (0, 2)
    assert "do not hold the task" in (table.rows[1][0].failed or "")


def test_a_rating_that_cannot_be_read_is_unknown_and_not_zero() -> None:
    table = score_tasks(TASKS[:1], Labelling(cast=cast(judge=ScriptedModel(lambda _: "Rather good."))))
    assert np.isnan(table.cells()[..., 2]).all()
    assert table.complete == (0,)


def test_a_server_that_is_gone_stops_the_run_and_the_same_call_goes_on(tmp_path: Path) -> None:
    left = 7

    def leading(prompt: Prompt[Any]) -> str | ModelUnavailable:
        nonlocal left
        left -= 1
        return said(prompt) if left >= 0 else ModelUnavailable("no connection")

    labelling = Labelling(cast=cast(ScriptedModel(leading, retries=0)), concurrency=2, guard=None)
    with pytest.raises(Stopped, match="no connection"):
        score_tasks(TASKS, labelling, log=tmp_path / "log")
    left = 5
    assert score_tasks(TASKS, labelling, log=tmp_path / "log").complete == (0, 1, 2)
    assert left == 0


def test_a_task_that_occurs_twice_is_paid_for_once() -> None:
    leader = ScriptedModel(said)
    table = score_tasks([TASKS[0], TASKS[1], TASKS[0]], Labelling(cast=cast(leader), guard=None))
    assert table.rows[0] == table.rows[2]
    assert len(leader.prompts) == 8


class Careful:
    """Takes the number out of a task, and lets task 2 not leave at all."""

    def check(self, task: PrivateTask) -> Checked:
        if "2" in task.text:
            return Checked(verdict=Verdict.REFUSED, text="")
        return Checked(verdict=Verdict.REDACTED, text="Write toast [N].", placeholders={"[N]": task.text[12:13]})

    def restored(self, text: str, checked: Checked) -> str:
        for placeholder, private in checked.placeholders.items():
            text = text.replace(placeholder, private)
        return text


def test_with_a_guard_the_leader_sees_what_may_leave_and_the_small_model_the_whole() -> None:
    leader, small = ScriptedModel(lambda _: "A plan for [N]."), ScriptedModel(said)
    models = Cast(leader=leader, subordinate=small)
    table = score_tasks(TASKS, Labelling(cast=models, guard=Careful()))
    assert table.complete == (0, 1)
    assert {cell.failed for _, cell in table.failures} == {"the guard did not let the task leave"}
    assert all("Write toast [N]." in prompt.user for prompt in leader.prompts)
    assert any("A plan for 1." in prompt.user for prompt in small.prompts)


@pytest.mark.parametrize("styles", [(), ("directive", "directive")])
def test_styles_that_cannot_be_are_refused(styles: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="styles"):
        Labelling(cast=cast(), styles=styles)
    with pytest.raises(UnknownName):
        Labelling(cast=cast(), styles=("laissez-faire",))
    with pytest.raises(InvalidInput, match="no tasks"):
        score_tasks([], Labelling(cast=cast()))


def test_a_table_without_a_complete_task_says_why() -> None:
    leader = ScriptedModel(lambda prompt: ModelRefused("no") if "directive" in prompt.name else said(prompt))
    table = score_tasks(TASKS, Labelling(cast=cast(leader), guard=None))
    with pytest.raises(InvalidInput, match=r"no task.*ModelRefused: no"):
        table.cells()


async def _in_a_loop() -> Table:
    return await ascore_tasks(TASKS, Labelling(cast=cast()))


def test_it_can_be_awaited() -> None:
    import asyncio

    assert asyncio.run(_in_a_loop()).complete == (0, 1, 2)


_CHILD = """
import asyncio, sys
from pathlib import Path
from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.labelling import Labelling, score_tasks
from memagent.evals.lsrp.population import make_population
from memagent.evals.lsrp.population_models import PopulationModel
from memagent.llm.model import Model

population = make_population(users=50, tasks_each=2)
paid = open(sys.argv[2], "a", buffering=1)

class Paid(PopulationModel):
    async def asend(self, request, timeout):
        await asyncio.sleep(float(sys.argv[3]))
        raw = self.send(request, timeout)
        paid.write(f"{request.prompt.label} {hash(request.text)}\\n")
        return raw

wire = Paid(population)
model = Model(wire)
cast = Cast(leader=model, subordinate=model, judge=model)
table = score_tasks(population.tasks, Labelling(cast=cast, concurrency=16), log=Path(sys.argv[1]))
print(len(table.complete), table.cells().tobytes().hex())
"""


def test_a_hundred_tasks_go_on_after_a_kill_and_no_kept_reply_is_paid_for_again(tmp_path: Path) -> None:
    log, paid = tmp_path / "log", tmp_path / "paid"

    def child(seconds: float) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", _CHILD, str(log), str(paid), str(seconds)]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)

    first = child(0.02)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (log.exists() and log.read_bytes().count(b"\n") > 200):
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert first.stdout is not None
    first.stdout.close()
    kept = log.read_bytes().count(b"\n") - 1
    before = paid.read_text().splitlines()
    assert 200 <= kept <= len(before) <= kept + 16  # the calls under way when it was killed
    second = child(0.0)
    out, _ = second.communicate(timeout=300)
    complete, values = out.split()
    population = make_population(users=50, tasks_each=2)
    assert complete == "100"
    assert np.allclose(np.frombuffer(bytes.fromhex(values)).reshape(100, len(STYLES), 3), population.cells)
    after = paid.read_text().splitlines()[len(before) :]
    assert len(set(before) & set(after)) <= len(before) - kept  # those that the kill kept from being written
    assert len(set(before) | set(after)) == len({line.split('"')[3] for line in log.read_text().splitlines()[1:]})
