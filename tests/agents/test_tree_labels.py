from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_examples import grew, grown, worked_tree

from memagent.agents.reason_rag.labels import label_tree, rollout_rewards
from memagent.agents.reason_rag.pairs import all_pairs, tagged_content, tree_pairs
from memagent.agents.reason_rag.tree import Tree
from memagent.errors import DataError, InvalidInput

F1 = 2 / 3  # "Paris city" against "Paris"


def test_visits_and_values_are_counted_for_a_node_and_all_above_it() -> None:
    nodes = worked_tree().nodes
    assert [node.visits for node in nodes] == [9, 8, 7, 3, 3, 2, 1, 1]
    assert [node.depth for node in nodes] == [0, 1, 2, 3, 3, 4, 5, 1]
    assert nodes[3].values == (1.0, 1.0, 0.7)
    assert nodes[3].value == pytest.approx(0.9)
    assert nodes[0].value == pytest.approx((0.5 * 5 + 2.7 + 0.0) / 9)


@pytest.mark.parametrize("alpha", [0.9, 0.95, 1.0])
def test_labels_are_visit_weighted_means_from_the_leaves_up_forced_answers_included(alpha: float) -> None:
    right, forced = alpha**3, F1 * alpha**5
    second = (3 * right + 3 * forced) / 6
    root = (8 * second + 1 * 0.0) / 9
    expected = [root, second, second, right, forced, forced, forced, 0.0]
    assert label_tree(worked_tree(), alpha=alpha) == pytest.approx(expected)


def test_as_released_forced_answers_have_no_label_and_what_leads_only_to_them_neither() -> None:
    right = 0.9**3
    expected = [8 * right / 9, right, right, right, None, None, None, 0.0]
    found = label_tree(worked_tree(), forced=False)
    assert [label is None for label in found] == [label is None for label in expected]
    assert [label for label in found if label is not None] == pytest.approx(
        [label for label in expected if label is not None]
    )


def test_the_searchs_reward_is_the_plain_mean_over_the_finished_ways_through_a_node() -> None:
    right, forced = 0.95**3, F1 * 0.95**5
    second = (right + forced) / 2
    expected = [(right + forced + 0.0) / 3, second, second, right, forced, forced, forced, 0.0]
    assert rollout_rewards(worked_tree()) == pytest.approx(expected)
    cut = grown([grew(0, "begin", "<query>a</query>", "prompt-too-long"), grew(0, "begin", "<query>b</query>")])
    assert rollout_rewards(cut) == (0.0, 0.0, None)
    with pytest.raises(InvalidInput, match="alpha"):
        rollout_rewards(cut, alpha=0.0)


def test_what_leads_to_no_answer_has_no_label() -> None:
    tree = grown([grew(0, "begin", "<query>a</query>"), grew(1, "ground", "<evidence>b</evidence>")])
    assert label_tree(tree) == (None, None, None)
    assert tree_pairs(tree) == []


def test_the_pairs_of_a_tree_prefer_what_leads_to_the_answer_sooner() -> None:
    first, second = tree_pairs(worked_tree())
    assert (first.chosen, first.rejected) == (
        "So the next query is <query>capital</query>",
        "So the answer is <answer>Rome</answer>",
    )
    assert (first.chosen_action_type, first.chosen_content) == ("query", "capital")
    assert (first.rejected_action_type, first.rejected_content) == ("answer", "Rome")
    assert (first.layer, first.group, first.kind) == (1, "w", "query over answer")
    assert (second.chosen_action_type, second.rejected_action_type, second.layer) == ("answer", "query", 3)
    assert second.chosen_reward == pytest.approx(0.729)
    assert second.rejected_reward == pytest.approx(F1 * 0.9**5, abs=1e-6)
    assert "It is Paris." in second.input
    assert "It is Paris." not in first.input
    assert set(first.record()) >= {
        "instruction",
        "input",
        "prompt",
        "chosen",
        "rejected",
        "chosen_action_type",
        "chosen_content",
        "rejected_action_type",
        "rejected_content",
        "layer",
    }
    assert first.record()["prompt"] == f"{first.instruction}\n\n{first.input}"


def test_labels_that_hardly_differ_make_no_pair() -> None:
    assert [pair.layer for pair in tree_pairs(worked_tree(), margin=0.33)] == [1, 3]
    assert [pair.layer for pair in tree_pairs(worked_tree(), margin=0.34)] == [1]
    assert tree_pairs(worked_tree(), margin=1.0) == []
    same = grown(
        [
            grew(0, "begin", "So the answer is <answer>Paris</answer>", "answered"),
            grew(0, "begin", "It is well known. So the answer is <answer>the Paris</answer>", "answered"),
        ]
    )
    assert tree_pairs(same) == []
    assert tree_pairs(same, margin=0.0) != []


def test_equal_contents_make_no_pair_whatever_was_said_around_them() -> None:
    tree = grown(
        [
            grew(0, "begin", "Hm. <query>capital</query>"),
            grew(1, "ground", "<evidence>x</evidence>"),
            grew(2, "reason", "<answer>Paris</answer>", "answered"),
            grew(0, "begin", "Well. <query>capital</query>"),
            grew(4, "ground", "<evidence>y</evidence>"),
            grew(5, "reason", "<answer>Rome</answer>", "answered"),
        ]
    )
    assert label_tree(tree)[1] != label_tree(tree)[4]
    assert tree_pairs(tree) == []


def test_equal_contents_make_no_pair_in_tags_of_different_kinds_either() -> None:
    query, answer = "So the next query is <query>Paris</query>", "So the answer is <answer>Paris</answer>"
    steps = [grew(0, "begin", query), grew(1, "ground", "<evidence>x</evidence>"), grew(2, "force", answer, "budget")]
    assert tree_pairs(grown([*steps, grew(0, "begin", answer, "answered")])) == []


def test_an_answer_that_was_followed_by_a_forced_one_is_worth_what_followed() -> None:
    again = [grew(0, "begin", "<answer>Paris</answer>"), grew(1, "force", "<answer>Rome</answer>", "budget")]
    assert label_tree(grown(again)) == (0.0, 0.0, 0.0)


def test_an_output_without_a_tag_is_not_chosen_but_may_be_rejected() -> None:
    bare = "So the answer is Paris."
    good, bad = "So the answer is <answer>Paris</answer>", "So the answer is <answer>Rome</answer>"
    untagged_best = grown([grew(0, "begin", bare, "answered"), grew(0, "begin", bad, "answered")])
    assert label_tree(untagged_best)[1:] == pytest.approx((0.9, 0.0))
    assert tree_pairs(untagged_best) == []
    nonsense = grown(
        [
            grew(0, "begin", "I wonder."),
            grew(1, "force", bad, "unknown-output"),
            grew(0, "begin", good, "answered"),
        ]
    )
    (pair,) = tree_pairs(nonsense)
    assert (pair.rejected, pair.rejected_action_type, pair.rejected_content) == ("I wonder.", "unknown", "")


def test_the_kind_is_that_of_the_first_tag_in_the_order_query_evidence_answer() -> None:
    assert tagged_content("<answer>a</answer> <query>b</query>") == ("query", "b")
    assert tagged_content("<answer> J. K. Rowling </answer>") == ("answer", "J. K. Rowling")
    assert tagged_content("<evidence>None</evidence>") == ("evidence", "None")
    assert tagged_content("<answer>never closed") == ("unknown", "")


def test_a_senseless_margin_is_refused() -> None:
    with pytest.raises(InvalidInput, match="margin"):
        all_pairs([worked_tree()], margin=-0.1)


def test_a_tree_of_other_prompts_makes_no_pairs() -> None:
    made = worked_tree().to_json()
    made["nodes"][1]["step"]["prompt"] = "reason-rag-first-reasoning/0"
    with pytest.raises(InvalidInput, match="first-reasoning/0"):
        tree_pairs(Tree.from_json(made))


def test_a_tree_survives_as_json() -> None:
    tree = worked_tree()
    again = Tree.from_json(json.loads(json.dumps(tree.to_json())))
    assert again == tree
    assert label_tree(again) == label_tree(tree)
    assert tree_pairs(again) == tree_pairs(tree)


RUBBISH = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3)


@given(RUBBISH, st.sampled_from(["nodes", "settings", "answers", "schema", "question", "id", "unread"]))
def test_a_damaged_tree_is_read_or_is_a_data_error(rubbish: object, field: str) -> None:
    with suppress(DataError):
        Tree.from_json({**worked_tree().to_json(), field: rubbish})


@given(RUBBISH, st.sampled_from(["parent", "step", "values", "stopped"]))
def test_a_damaged_node_is_read_or_is_a_data_error(rubbish: object, field: str) -> None:
    made = worked_tree().to_json()
    made["nodes"][3][field] = rubbish
    with suppress(DataError):
        Tree.from_json(made)


@pytest.mark.parametrize(
    ("field", "value"), [("nodes", []), ("schema", 2), ("answers", []), ("answers", "Paris"), ("settings", {})]
)
def test_what_is_no_tree_is_refused(field: str, value: object) -> None:
    with pytest.raises(DataError):
        Tree.from_json({**worked_tree().to_json(), field: value})
