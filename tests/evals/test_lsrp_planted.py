"""The guard on generated tasks: no planted fact crosses, and clean tasks pass."""

from __future__ import annotations

import pytest

from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.ports import Verdict
from memagent.evals.lsrp.crossing import crossed, private_facts
from memagent.evals.lsrp.disguises import FOR_NUMBERS, FOR_WORDS
from memagent.evals.lsrp.leakage import Share, leakage
from memagent.evals.lsrp.planted import PARAPHRASE, PlantedTask, planted_tasks
from memagent.evals.lsrp.privacy import guard_figures


@pytest.fixture(scope="module")
def tasks() -> list[PlantedTask]:
    return list(planted_tasks(2_000, seed=7))


def test_no_planted_fact_crosses_and_clean_tasks_pass_unchanged(tasks: list[PlantedTask]) -> None:
    figures = guard_figures(ProfileGuard(), tasks)
    assert figures.planted == 1_000
    assert figures.readable_before > 500, "the checker reads most plants when there is no guard"
    assert figures.leaking_by == {}
    assert figures.leakage.facts.crossed == 0
    assert figures.clean_changed <= 0.05 * figures.clean
    assert figures.paraphrases >= 50


def test_every_answer_of_a_guard_gives_back_the_task(tasks: list[PlantedTask]) -> None:
    for policy in ("redact", "pass"):
        guard = ProfileGuard(policy=policy)
        for task in tasks[:200]:
            checked = guard.check(task.private)
            assert guard.restored(checked.text, checked) == task.private.text


def test_with_the_guard_off_or_passing_the_facts_cross(tasks: list[PlantedTask]) -> None:
    some = tasks[:200]
    off, passing = guard_figures(None, some), guard_figures(ProfileGuard(policy="pass"), some)
    assert off.leaking == passing.leaking >= 70
    refused = guard_figures(ProfileGuard(policy="refuse"), some)
    assert refused.leaking == 0


def test_the_same_seed_gives_the_same_tasks_with_every_disguise_and_both_kinds(tasks: list[PlantedTask]) -> None:
    assert list(planted_tasks(40, seed=7)) == tasks[:40]
    assert list(planted_tasks(40, seed=8)) != tasks[:40]
    used = {task.plant.disguise for task in tasks if task.plant}
    assert used == {PARAPHRASE, *FOR_WORDS, *FOR_NUMBERS}
    assert all(task.plant for task in planted_tasks(20, kind="planted"))
    assert not any(task.plant for task in planted_tasks(20, kind="clean"))


def test_a_clean_task_holds_no_fact_of_its_user(tasks: list[PlantedTask]) -> None:
    clean = [task.private for task in tasks if task.plant is None][:200]
    assert [crossed(private_facts(task), task.text) for task in clean] == [[]] * 200


def test_leakage_counts_facts_by_kind_and_field(tasks: list[PlantedTask]) -> None:
    task = next(task.private for task in tasks if "remark" not in task.private.profile)
    found = leakage([(task, [f'{{"task": "In {task.profile["city"]}", "strategy": "general"}}']), (task, [])])
    assert (found.tasks, found.leaking) == (2, 1)
    assert found.by_source["city"].crossed >= 1
    assert found.by_source["health"].crossed == 0
    assert found.facts.crossed == sum(share.crossed for share in found.by_kind.values())
    assert Share(crossed=1, private=4).share == 0.25
    assert leakage([]).facts.share == 0.0


def test_a_refused_task_sends_nothing(tasks: list[PlantedTask]) -> None:
    guard = ProfileGuard(policy="refuse")
    planted = [task.private for task in tasks if task.plant and task.plant.disguise == "as it is"][:50]
    verdicts = {guard.check(task).verdict for task in planted}
    assert verdicts == {Verdict.REFUSED}
