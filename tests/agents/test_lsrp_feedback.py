"""SMFB-DPO: two guidelines a task, answered, scored, and made into pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.feedback import FeedbackSettings, Trial, Try, collect_trials, feedback_of
from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.ports import Checked, PrivateTask, Verdict
from memagent.agents.lsrp.scores import Scores
from memagent.errors import InvalidInput, ModelDenied, ModelRefused, ModelUnavailable, Stopped, UnknownName
from memagent.llm import Model
from memagent.llm.reply import Raw, TokenLogprob
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel
from memagent.tuning.pairs import read_pairs
from memagent.tuning.sharegpt import write_sharegpt

SETTINGS = FeedbackSettings(evolution=Evolution(population=12, generations=6))
TASKS = [
    PrivateTask(
        text=f"Write a note to the keeper of tower {number}.",
        task_type=TaskType.WRITING,
        profile={"Name": f"Ines Varga {number}", "Occupation": "lamp keeper"},
    )
    for number in range(6)
]


def lead(prompt: Prompt[Any]) -> Any:
    """Guideline B is the better one for tasks of an even number."""
    number = int(prompt.user.partition("tower ")[2].partition(".")[0])
    return (
        f"{'sampled' if prompt.sample else 'greedy'} plan, {'mention the lamp' if _good(prompt, number) else 'short'}"
    )


def _good(prompt: Prompt[Any], number: int) -> bool:
    return bool(prompt.sample) == (number % 2 == 0)


def write(prompt: Prompt[Any]) -> Any:
    """Follows a plan that asks for the lamp, and says little otherwise; surer of itself the better it is."""
    good = "mention the lamp" in prompt.user
    text = "I am Ines Varga , lamp keeper" if good else "Dear Sir"
    probability = -0.1 if good else -1.5
    return Raw(text=text, finish="stop", logprobs=(TokenLogprob(token="x", logprob=probability),))


def judge(prompt: Prompt[Any]) -> Any:
    return '{"score": 8}' if "lamp keeper</response>" in prompt.user.replace("\n", "") else '{"score": 3}'


def cast(**models: Callable[[Prompt[Any]], Any]) -> Cast:
    found = {"leader": lead, "subordinate": write, "judge": judge, **models}
    leader, subordinate, rates = (ScriptedModel(found[name], retries=0) for name in ("leader", "subordinate", "judge"))
    return Cast(leader=leader, subordinate=subordinate, judge=rates)


def asked(model: Model) -> list[Prompt[Any]]:
    """All that a scripted model was asked."""
    assert isinstance(model, ScriptedModel)
    return model.prompts


def test_the_guideline_with_which_the_small_model_does_better_is_chosen() -> None:
    models = cast()
    trials = collect_trials(TASKS, models, settings=SETTINGS, guard=None)
    found = feedback_of(trials, settings=SETTINGS, groups=[task.profile["Name"] for task in TASKS])
    assert [pair.chosen.partition(" ")[0] for pair in found.pairs] == ["sampled", "greedy"] * 3
    assert (found.ties, found.greedy, found.dropped, found.unrated) == (0, 3, {}, 0)
    assert trials[0].tries[1].scores == Scores(udrr=4 / 7, fluency=-0.1, relevance=8.0)
    assert all((pair.chosen_reward or 0) > (pair.rejected_reward or 0) for pair in found.pairs)
    assert found.pairs[3].group == "Ines Varga 3"
    greedy, sampled = (next(one for one in asked(models.leader) if one.sample == sample) for sample in (0, 2))
    assert (sampled.temperature, sampled.top_k, sampled.top_p) == (0.5, 2, 0.9)
    assert (greedy.temperature, greedy.top_k, greedy.top_p, greedy.seed) == (0, None, None, None)
    assert sampled.seed == 666
    assert {prompt.max_tokens for prompt in asked(models.subordinate)} == {768}


def test_a_pair_is_over_the_prompt_without_examples_and_system_text_or_over_that_of_run_time() -> None:
    published = feedback_of(collect_trials(TASKS, cast(), settings=SETTINGS, guard=None), settings=SETTINGS).pairs[0]
    alike = replace(SETTINGS, form="run-time")
    models = cast()
    other = feedback_of(collect_trials(TASKS, models, settings=alike, guard=None), settings=alike).pairs[0]
    first = next(one for one in asked(models.leader) if TASKS[0].text in one.user)
    assert published.instruction == ""
    assert "Example 1" not in published.input
    assert TASKS[0].text in published.input
    assert (other.instruction, other.input) == (first.system, first.user)
    assert "Example 1" in other.instruction


def test_nothing_private_is_in_a_pair() -> None:
    models = cast()
    found = feedback_of(collect_trials(TASKS, models, settings=SETTINGS, guard=None), settings=SETTINGS)
    shown = json.dumps([pair.record() for pair in found.pairs])
    sent = " ".join(one.system + one.user for one in asked(models.leader))
    assert "Varga" not in shown + sent
    assert all("Varga" in prompt.user for prompt in asked(models.subordinate))


class Tower:
    """A guard that takes the tower's number out, and lets number 5 not leave at all."""

    def check(self, task: PrivateTask) -> Checked:
        text, number = task.text[:-1].rsplit(" ", 1)
        if number == "5":
            return Checked(verdict=Verdict.REFUSED, text="")
        return Checked(verdict=Verdict.REDACTED, text=f"{text} [NUMBER_1].", placeholders={"[NUMBER_1]": number})

    def restored(self, text: str, checked: Checked) -> str:
        return text.replace("[NUMBER_1]", checked.placeholders["[NUMBER_1]"])


def test_without_a_word_about_a_guard_what_is_private_stays_on_the_device() -> None:
    tasks = [replace(each, profile={"name": "Ann Quist", **each.profile}) for each in TASKS]
    tasks = [replace(each, text=f"For Ann Quist. {each.text}") for each in tasks]
    models = cast(leader=lambda prompt: f"{'second' if prompt.sample else 'first'}: say [NAME_1]")
    collect_trials(tasks, models, settings=SETTINGS)
    assert not any("Quist" in prompt.user for prompt in asked(models.leader))


def test_the_guard_decides_what_a_pair_holds_and_the_small_model_gets_the_whole() -> None:
    def plan(prompt: Prompt[Any]) -> Any:
        return f"{'second' if prompt.sample else 'first'}: say [NUMBER_1]"

    models = cast(leader=plan)
    found = feedback_of(collect_trials(TASKS, models, settings=SETTINGS, guard=Tower()), settings=SETTINGS)
    assert len(found.pairs) == 5
    assert sum(found.dropped.values()) == 1
    assert all("tower [NUMBER_1]." in pair.input and "[NUMBER_1]" in pair.chosen for pair in found.pairs)
    shown = [prompt.user for prompt in asked(models.subordinate)]
    assert not any("[NUMBER_1]" in text for text in shown)
    assert any("first: say 3" in text for text in shown)


def trial(number: int, one: float, other: float, *, same: bool = False) -> Trial:
    """Guidelines whose answers keep these shares of the profile."""
    tries = [
        Try(guideline="plan" if same else f"plan {name}", answer="", scores=Scores(udrr=share, fluency=-1, relevance=5))
        for name, share in (("A", one), ("B", other))
    ]
    return Trial(task=TASKS[number], prompt=("", "task"), tries=tuple(tries))


def test_a_tie_picks_a_and_a_margin_drops_what_is_close() -> None:
    trials = [
        trial(0, 0.2, 0.9),
        trial(1, 0.5, 0.5),
        trial(2, 0.9, 0.2),
        trial(3, 0.50, 0.52),
        trial(4, 0.1, 0.1, same=True),
    ]
    every = feedback_of(trials, settings=SETTINGS)
    assert [pair.chosen for pair in every.pairs] == ["plan B", "plan A", "plan A", "plan B"]
    assert every.ties == 1
    assert every.dropped == {"equal guidelines": 1}
    widest = max((pair.chosen_reward or 0) - (pair.rejected_reward or 0) for pair in every.pairs)
    clear = feedback_of(trials, settings=replace(SETTINGS, margin=widest / 2))
    assert [pair.chosen for pair in clear.pairs] == ["plan B", "plan A"]
    assert clear.dropped == {"equal guidelines": 1, "within the margin": 2}


def test_equal_guidelines_are_answered_once_and_an_unreadable_rating_is_none() -> None:
    models = cast(leader=lambda _: "the same plan", judge=lambda _: "no idea")
    trials = collect_trials(TASKS[:2], models, settings=SETTINGS, guard=None)
    assert len(asked(models.subordinate)) == 2
    assert all(one.scores.relevance is None for found in trials for one in found.tries)
    found = feedback_of(trials, settings=SETTINGS)
    assert (found.pairs, found.dropped, found.unrated) == ((), {"equal guidelines": 2}, 4)


def test_one_refusal_costs_one_pair_and_many_end_the_run() -> None:
    def picky(prompt: Prompt[Any]) -> Any:
        return ModelRefused("too long") if "tower 2" in prompt.user else lead(prompt)

    found = feedback_of(collect_trials(TASKS, cast(leader=picky), settings=SETTINGS, guard=None), settings=SETTINGS)
    assert len(found.pairs) == 5
    assert found.dropped == {"ModelRefused: too long": 1}
    with pytest.raises(ModelDenied):
        collect_trials(TASKS, cast(leader=lambda _: ModelDenied("no key")), settings=SETTINGS, guard=None)
    with pytest.raises(InvalidInput, match="too long"):
        feedback_of(
            collect_trials(TASKS, cast(leader=lambda _: ModelRefused("too long")), settings=SETTINGS, guard=None)
        )


@pytest.mark.parametrize("answered", [1, 7, 20])
def test_a_stopped_run_goes_on_and_pays_for_nothing_twice(answered: int, tmp_path: Path) -> None:
    whole = cast()
    expected = collect_trials(TASKS, whole, settings=SETTINGS, guard=None)
    calls = tmp_path / "calls.jsonl"
    left = [answered]

    def failing(reply: Callable[[Prompt[Any]], Any]) -> Callable[[Prompt[Any]], Any]:
        def answer(prompt: Prompt[Any]) -> Any:
            left[0] -= 1
            return reply(prompt) if left[0] >= 0 else ModelUnavailable("down")

        return answer

    with pytest.raises(Stopped, match="see to the model"):
        collect_trials(
            TASKS,
            cast(leader=failing(lead), subordinate=failing(write), judge=failing(judge)),
            settings=SETTINGS,
            guard=None,
            calls=calls,
        )
    with calls.open("a", encoding="utf-8") as file:
        file.write('{"key": "torn')  # by a kill
    rest = cast()
    assert collect_trials(TASKS, rest, settings=SETTINGS, guard=None, calls=calls) == expected
    assert paid(rest) == paid(whole) - answered
    nothing = cast()
    assert collect_trials(TASKS, nothing, settings=SETTINGS, guard=None, calls=calls) == expected
    assert paid(nothing) == 0
    assert calls.stat().st_mode & 0o077 == 0


def paid(models: Cast) -> int:
    return sum(model.meter.totals().calls for model in (models.leader, models.subordinate, models.judge) if model)


def test_pairs_come_back_from_a_sharegpt_file(tmp_path: Path) -> None:
    alike = replace(SETTINGS, form="run-time")
    found = feedback_of(
        collect_trials(TASKS, cast(), settings=alike, guard=None), settings=alike, groups=list("abcdef")
    )
    for name in ("pairs.json", "pairs.jsonl"):
        write_sharegpt(tmp_path / name, found.pairs)
        assert read_pairs(tmp_path / name) == list(found.pairs)
    record = json.loads((tmp_path / "pairs.json").read_text())[0]
    assert record["conversations"] == [{"from": "human", "value": found.pairs[0].input}]
    assert record["chosen"] == {"from": "gpt", "value": found.pairs[0].chosen}
    assert record["system"] == found.pairs[0].instruction


def test_senseless_settings_and_nothing_to_do_are_refused() -> None:
    with pytest.raises(UnknownName, match="run-time"):
        FeedbackSettings(form="other")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="top_k"):
        FeedbackSettings(top_k=1)
    with pytest.raises(InvalidInput, match="no tasks"):
        collect_trials([], cast())
    with pytest.raises(InvalidInput, match="groups"):
        feedback_of([trial(0, 0.1, 0.2)], groups=["a", "b"])
