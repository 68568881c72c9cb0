from __future__ import annotations

from dataclasses import replace

import pytest
from eval_examples import dataset, question
from qa_examples import small, unanswerable

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.datasets import Dataset, load_dataset
from memagent.evals.qa.judging import Criteria, criteria_for, judge_steps
from memagent.llm.flow import drive
from memagent.prompts.judges import Verdict
from memagent.testing.models import ScriptedModel, ScriptedReply


def test_each_data_set_has_its_own_criteria() -> None:
    assert criteria_for(load_dataset("demo"), None) == "longmemeval"
    assert criteria_for(replace(small(), name="longmemeval"), None) == "longmemeval"
    assert criteria_for(replace(small(), name="locomo"), None) == "locomo"
    assert criteria_for(small(), None) == "memgas"


def test_criteria_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnknownName, match="longmemeval, locomo, memgas"):
        criteria_for(small(), "kind")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="even, odd"):
        criteria_for(dataset(), "longmemeval")
    data: Dataset = replace(load_dataset("demo"), questions=(question("maya", 0, type="multi-hop"),))
    assert criteria_for(data, "locomo") == "locomo"


@pytest.mark.parametrize(
    ("criteria", "reply", "right"),
    [
        ("longmemeval", "Yes.", True),
        ("longmemeval", "no", False),
        ("longmemeval", "hm", None),
        ("memgas", "[yes]", True),
        ("memgas", "[yes] [no]", False),
        ("memgas", "yes", None),
        ("locomo", Verdict(reasoning="Same day.", label="CORRECT"), True),
        ("locomo", Verdict(reasoning="Another day.", label="WRONG"), False),
    ],
)
def test_a_verdict_is_read_by_its_own_rule(criteria: Criteria, reply: ScriptedReply, right: bool | None) -> None:
    asked = question("u", 0, type="multi-session")
    judge = ScriptedModel([reply])
    found = drive(judge_steps(asked, "cello lessons", criteria, unanswerable=False), judge)
    assert found.right is right
    assert "<response>\ncello lessons\n</response>" in judge.prompts[0].user


def test_what_cannot_be_answered_is_judged_by_its_explanation_whatever_the_criteria() -> None:
    for criteria in ("longmemeval", "locomo"):
        judge = ScriptedModel(["yes"])
        assert drive(judge_steps(unanswerable(), "I do not know.", criteria, unanswerable=True), judge).right
        assert "<explanation>\nNo dog was mentioned.\n</explanation>" in judge.prompts[0].user
