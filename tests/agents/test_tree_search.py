from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from tree_examples import Towns, case, grew, hashed_policy, step

from memagent.agents.reason_rag.search_settings import AS_PUBLISHED, SearchSettings
from memagent.agents.reason_rag.selection import Selection
from memagent.agents.reason_rag.tree import (
    Closed,
    Event,
    Grew,
    Growing,
    Judged,
    Repeated,
    Tree,
    event_from_json,
    event_to_json,
)
from memagent.agents.reason_rag.tree_search import search_steps, select
from memagent.errors import DataError, InvalidInput, ModelDenied, ModelRefused
from memagent.llm import drive
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel

QUICK = SearchSettings(iterations=24)


def searched(
    settings: SearchSettings = QUICK, reply: Any = hashed_policy, **options: Any
) -> tuple[Tree, ScriptedModel]:
    model = ScriptedModel(reply)
    return drive(search_steps(case(), Towns(), settings, **options), model), model


def judged(prompts: list[Prompt[Any]]) -> int:
    return sum(prompt.name == "reason-rag-judge" for prompt in prompts)


def test_each_iteration_is_one_visit_of_a_leaf_and_each_new_node_one_call_of_the_policy() -> None:
    tree, model = searched()
    assert tree.nodes[0].visits == 24
    assert judged(model.prompts) == 24
    assert len(model.prompts) - judged(model.prompts) == len(tree.nodes) - 1


def test_no_node_has_more_children_than_allowed_and_no_path_more_than_eight_steps() -> None:
    for settings in (replace(QUICK, iterations=64), replace(QUICK, max_children=3, iterations=40)):
        tree, _ = searched(settings)
        assert max(len(tree.children(node.id)) for node in tree.nodes) == settings.max_children
        assert max(node.depth for node in tree.nodes) <= 8
        assert all(tree.state(node.id).searches <= 3 for node in tree.nodes)
        assert all(node.stopped or tree.children(node.id) or node.visits == 1 for node in tree.nodes)


def test_as_published_an_answer_with_the_seventh_output_is_followed_by_a_forced_one() -> None:
    outputs = {"reason-rag-judge": "Score: 50", "reason-rag-evidence": "<evidence>x</evidence>"}

    def late(prompt: Prompt[Any]) -> str:
        if prompt.name in outputs:
            return outputs[prompt.name]
        if prompt.name == "reason-rag-forced-answer" or prompt.user.count("<evidence>") >= 3:
            return "So the answer is <answer>Lisbon"
        return f"<query>{prompt.sample} {len(prompt.user)}"

    published, _ = searched(replace(AS_PUBLISHED, iterations=10, max_children=1), late)
    ours, _ = searched(replace(QUICK, iterations=10, max_children=1), late)
    assert [node.step.action for node in published.nodes[-2:] if node.step] == ["reason", "force"]
    assert published.nodes[-1].depth == 8
    assert [node.step.action for node in ours.nodes[-1:] if node.step] == ["reason"]
    assert (ours.nodes[-1].depth, ours.nodes[-1].stopped) == (7, "answered")


def test_siblings_answer_one_prompt_and_are_told_apart_by_their_sample() -> None:
    _, model = searched()
    policy = [prompt for prompt in model.prompts if prompt.name != "reason-rag-judge"]
    assert {prompt.temperature for prompt in policy} == {1.0}
    assert {prompt.sample for prompt in policy} == {0, 1}
    asked = [(prompt.name, prompt.user, prompt.sample) for prompt in policy]
    assert len(set(asked)) == len(asked)


def test_siblings_share_one_search_and_the_best_document_stands_last() -> None:
    towns = Towns()
    model = ScriptedModel(hashed_policy)
    tree = drive(search_steps(case(), towns, QUICK), model)
    grounded = [node.id for node in tree.nodes if node.step is not None and node.step.kind == "query"]
    assert len(towns.queries) == sum(bool(tree.children(node)) for node in grounded)
    shown = next(prompt.user for prompt in model.prompts if prompt.name == "reason-rag-evidence")
    assert shown.index("Lyon is about") < shown.index("Porto is about") < shown.index("Lisbon is about")
    documents = next(node.step.documents for node in tree.nodes if node.step is not None and node.step.documents)
    assert [document.id for document in documents] == ["Lisbon", "Porto", "Lyon"]


def test_the_policy_never_sees_the_gold_answer() -> None:
    gold = "Zyzzyvaville"
    model = ScriptedModel(hashed_policy)
    drive(search_steps(case(answer=gold), Towns(), replace(QUICK, iterations=64)), model)
    for request in model.requests:
        shown = gold.casefold() in request.text.casefold()
        assert shown == (request.prompt.name == "reason-rag-judge")


def test_a_terminal_leaf_that_is_selected_again_is_judged_again_or_on_request_not() -> None:
    def at_once(prompt: Prompt[Any]) -> str:
        if prompt.name == "reason-rag-judge":
            return f"Score: {10 * prompt.sample}"
        return f"<answer>{prompt.sample}"

    tree, model = searched(replace(QUICK, iterations=8), at_once)
    assert len(tree.nodes) == 3
    assert judged(model.prompts) == 8
    assert {values for node in tree.nodes[1:] for values in node.values} == {0.0, 0.1, 0.2, 0.3}
    cheap, model = searched(replace(QUICK, iterations=8, rejudge=False), at_once)
    assert judged(model.prompts) == 2
    assert [node.visits for node in cheap.nodes] == [8, 4, 4]
    assert cheap.nodes[1].values == (0.0,) * 4


@pytest.mark.parametrize("rule", ["ucb1", "puct"])
def test_a_search_descends_to_the_best_child_once_a_node_is_full(rule: Any) -> None:
    growing = Growing(case(), replace(QUICK, selection=Selection(rule=rule, c=0.1)))
    events: list[Event] = [
        grew(0, "begin", "<query>a</query>"),
        Judged(node=1, value=0.2),
        grew(0, "begin", "<query>b</query>"),
        Judged(node=2, value=0.6),
    ]
    growing.apply(events[0])
    growing.apply(events[1])
    assert select(growing) == 0
    growing.apply(events[2])
    growing.apply(events[3])
    assert select(growing) == 2
    for node, parent in ((3, 2), (4, 2)):
        growing.apply(grew(parent, "ground", f"<evidence>{node}</evidence>"))
        growing.apply(Judged(node=node, value=0.0))
    assert growing.mean(2) == pytest.approx(0.2)
    scores = [
        growing.mean(child)
        + 0.1
        * (
            math.sqrt(math.log(4) / growing.visits[child])
            if rule == "ucb1"
            else math.sqrt(4) / (1 + growing.visits[child])
        )
        for child in (1, 2)
    ]
    assert select(growing) == (1 if scores[0] >= scores[1] else 3)
    assert select(growing) == 1


def test_a_judge_without_a_score_brings_no_news_and_is_counted() -> None:
    def mute(prompt: Prompt[Any]) -> str:
        return "Hm." if prompt.name == "reason-rag-judge" and prompt.sample == 0 else hashed_policy(prompt)

    tree, _ = searched(replace(QUICK, iterations=6), mute)
    assert tree.unread >= 2
    assert tree.nodes[1].values[0] == 0.5
    assert all(value == pytest.approx(0.5) for node in tree.nodes for value in node.values[:1])


def test_a_prompt_that_is_too_long_ends_its_branch() -> None:
    # Too long is what holds evidence already.
    step_settings = replace(QUICK.step, count=lambda text: 9000 * ("</evidence>" in text.rpartition("<question>")[2]))
    tree, model = searched(replace(QUICK, step=step_settings))
    ended = [node for node in tree.nodes if node.stopped == "prompt-too-long"]
    assert ended
    assert tree.nodes[0].visits == 24
    assert all(not tree.children(node.id) for node in ended)
    assert all(node.depth == 2 for node in ended)
    nothing, model = searched(replace(QUICK, step=replace(QUICK.step, max_prompt_tokens=5)))
    assert (len(nothing.nodes), nothing.nodes[0].stopped, model.prompts) == (1, "prompt-too-long", [])


def test_a_refused_prompt_ends_its_branch_but_the_first_ends_the_search() -> None:
    def picky(prompt: Prompt[Any]) -> Any:
        if prompt.name == "reason-rag-evidence" and prompt.sample == 0:
            return ModelRefused("too long")
        return hashed_policy(prompt)

    tree, _ = searched(reply=picky)
    assert any(node.stopped == "prompt-too-long" for node in tree.nodes)
    for name in ("reason-rag-first-reasoning", "reason-rag-judge"):
        with pytest.raises(ModelRefused, match="no such model"):
            searched(reply=lambda p, name=name: ModelRefused("no such model") if p.name == name else hashed_policy(p))


def test_a_model_that_serves_none_of_our_prompts_ends_the_search_whenever_it_says_so() -> None:
    for name in ("reason-rag-evidence", "reason-rag-judge"):
        left = [1]

        def revoked(prompt: Prompt[Any], name: str = name, left: list[int] = left) -> Any:
            left[0] -= prompt.name == name
            return ModelDenied("the key was revoked") if left[0] < 0 else hashed_policy(prompt)

        kept: list[Event] = []
        with pytest.raises(ModelDenied, match="revoked"):
            searched(reply=revoked, keep=kept.append)
        assert not [event for event in kept if isinstance(event, Closed)]


def test_a_greedy_policy_is_refused_because_siblings_would_be_the_same() -> None:
    with pytest.raises(InvalidInput, match="temperature is 0"):
        replace(QUICK, step=replace(QUICK.step, temperature=0.0))
    replace(QUICK, max_children=1, step=replace(QUICK.step, temperature=0.0))


@pytest.mark.parametrize(
    "change", [{"iterations": 0}, {"max_children": 0}, {"judge_tokens": 1.5}, {"judge_temperature": 3}]
)
def test_senseless_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(change))):
        SearchSettings(**change)


def test_ucb1_counts_the_visits_of_the_parent_and_of_equal_children_takes_the_elder() -> None:
    def best(values: tuple[float, ...], other: float) -> int:
        growing = Growing(case(), replace(QUICK, max_children=2, selection=Selection(c=1.0)))
        growing.apply(grew(0, "begin", "<query>a</query>"))
        growing.apply(Judged(node=1, value=0.0))
        for text, judged_as in (("x", (other,)), ("y", values)):
            growing.apply(grew(1, "ground", f"<evidence>{text}</evidence>"))
            for value in judged_as:
                growing.apply(Judged(node=growing.waiting or 3, value=value))
        growing.close(0, "prompt-too-long")
        return select(growing)

    # sqrt(ln 4) > q + sqrt(ln 4 / 2) for q = 0.325, but not with the children's 3 visits in place of the parent's 4.
    assert best((0.325, 0.325), 0.0) == 2
    assert best((0.355, 0.355), 0.0) == 3
    assert best((0.5,), 0.5) == 2


def test_a_missing_score_stands_for_the_mean_of_the_node_above() -> None:
    def mute(prompt: Prompt[Any]) -> str:
        if prompt.name != "reason-rag-judge":
            return hashed_policy(prompt)
        return "I cannot say" if "<evidence>" in prompt.user else "Score: 90"

    tree, _ = searched(replace(QUICK, iterations=8), mute)
    assert tree.unread > 0
    assert [value for node in tree.nodes for value in node.values] == pytest.approx([0.9] * 8)


def test_a_search_that_goes_on_asks_the_corpus_for_nothing_that_it_has_found() -> None:
    kept: list[Event] = []
    searched(keep=kept.append)
    grounded = [place for place, event in enumerate(kept) if isinstance(event, Grew) and event.step.documents]
    whole, later = Towns(), Towns()
    drive(search_steps(case(), whole, QUICK), ScriptedModel(hashed_policy))
    drive(search_steps(case(), later, QUICK, begun=kept[: grounded[0] + 1]), ScriptedModel(hashed_policy))
    assert len(later.queries) == len(whole.queries) - 1


def test_duplicates_among_siblings_are_counted() -> None:
    for settings in (QUICK, replace(QUICK, keep_repeats=True)):
        tree, _ = searched(settings, at_once)
        assert tree.duplicates == 1
        assert Tree.from_json(tree.to_json()) == tree
    assert searched()[0].duplicates == 0


def at_once(prompt: Prompt[Any]) -> str:
    return "Score: 5" if prompt.name == "reason-rag-judge" else "<answer>x"


def test_an_output_that_repeats_its_sibling_takes_no_visits_but_as_published_it_does() -> None:
    tree, model = searched(reply=at_once)
    assert [node.visits for node in tree.nodes] == [24, 24]
    assert [prompt.sample for prompt in model.prompts if prompt.name != "reason-rag-judge"] == [0, 1]
    published, _ = searched(replace(AS_PUBLISHED, iterations=24), at_once)
    assert [node.visits for node in published.nodes] == [24, 12, 12]
    three, model = searched(replace(QUICK, max_children=3), lambda p: at_once(p) + "y" * (p.sample == 2))
    assert [node.step.text for node in three.nodes if node.step] == ["<answer>x</answer>", "<answer>xy</answer>"]


def sparing(prompt: Prompt[Any]) -> str:
    """Finds the same evidence each time."""
    return "<evidence>Lyon" if prompt.name == "reason-rag-evidence" else hashed_policy(prompt)


def test_a_search_goes_on_from_any_event_without_asking_again() -> None:
    kept: list[Event] = []
    whole, model = searched(reply=sparing, keep=kept.append)
    assert {type(event) for event in kept} == {Grew, Judged, Repeated}
    for begun in range(len(kept) + 1):
        later: list[Event] = []
        again, rest = searched(reply=sparing, begun=kept[:begun], keep=later.append)
        assert again == whole
        assert len(rest.prompts) == len(model.prompts) - begun
        assert kept[:begun] + later == kept
    assert [event_from_json(event_to_json(event)) for event in kept] == kept


@pytest.mark.parametrize(
    "events",
    [
        [Judged(node=5, value=0.5)],
        [grew(3, "begin", "<query>a</query>")],
        [grew(0, "begin", "<query>a</query>"), grew(0, "begin", "<query>b</query>")],
        [grew(0, "begin", "<query>a</query>"), Judged(node=0, value=0.5)],
        [grew(0, "begin", "<query>a</query>"), Judged(node=1, value=1.5)],
        [Closed(node=9, why="budget")],
        [Repeated(parent=0)],
    ],
)
def test_events_that_cannot_follow_one_another_are_refused(events: list[Event]) -> None:
    growing = Growing(case(), QUICK)
    for event in events[:-1]:
        growing.apply(event)
    with pytest.raises(ValueError):
        growing.apply(events[-1])


def test_kept_events_that_cannot_follow_are_a_data_error_with_the_question() -> None:
    with pytest.raises(DataError, match="question 'q0' do not follow"):
        searched(begun=[Judged(node=5, value=0.5)])


def test_settings_survive_as_json() -> None:
    for settings in (QUICK, AS_PUBLISHED, replace(QUICK, selection=Selection(rule="puct", c=0.5))):
        assert SearchSettings.from_json(settings.to_json()) == settings
    assert step("begin", "<query>a</query>").kind == "query"
