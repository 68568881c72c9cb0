"""Tree search over real passages with a real, very small model: everything is connected; its answers are poor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from shared_data import shared_path

from memagent.agents.reason_rag.labels import label_tree
from memagent.agents.reason_rag.pairs import tree_pairs
from memagent.agents.reason_rag.search_settings import PRESET
from memagent.agents.reason_rag.tree import Case, Tree
from memagent.agents.reason_rag.tree_run import Searching, grow_trees
from memagent.evals.multihop.corpus import open_corpus
from memagent.evals.multihop.files import load_hops
from memagent.llm import Model
from memagent.testing import HashingEncoder

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.data]

# Outputs are short: the model writes ten tokens a second, and would go on to the end of any limit.
SETTINGS = replace(
    PRESET,
    iterations=8,
    judge_tokens=16,
    step=replace(PRESET.step, max_tokens=40, max_prompt_tokens=3000, top_k=2),
)


def test_a_tree_is_searched_for_a_real_question(vllm_model: Model, tmp_path: Path) -> None:
    files = [shared_path("multihop", f"hotpotqa.{part}.jsonl.gz") for part in ("questions", "corpus")]
    data = load_hops("hotpotqa", files, split="train")
    asked = data.questions[0]
    passages = [passage for passage in data.passages if passage.id in asked.gold] + list(data.passages[:300])
    cases = [Case(id=asked.id, question=asked.text, answers=asked.answers)]
    log = tmp_path / "trees.partial"
    with open_corpus(tuple(dict.fromkeys(passages)), HashingEncoder()) as corpus:
        searching = Searching(
            policy=vllm_model, judge=vllm_model, searcher=corpus.searcher("bm25"), settings=SETTINGS, concurrency=1
        )
        (tree,) = grow_trees(cases, searching, log=log)
        calls = vllm_model.meter.totals().calls
        assert grow_trees(cases, searching, log=log) == [tree]
    assert vllm_model.meter.totals().calls == calls
    assert tree.nodes[0].visits == 8
    assert len(tree.nodes) > 2
    assert Tree.from_json(json.loads(json.dumps(tree.to_json()))) == tree
    assert all(node.step is None or node.step.text for node in tree.nodes)
    labels = label_tree(tree)
    assert all((label is None) == (not below_answers(tree, place)) for place, label in enumerate(labels))
    assert all(label is None or 0 <= label <= 1 for label in labels)
    for pair in tree_pairs(tree):
        assert pair.chosen_reward is not None
        assert pair.rejected_reward is not None
        assert pair.chosen_reward > pair.rejected_reward


def below_answers(tree: Tree, place: int) -> bool:
    """Whether an answer lies at a node or below it."""
    children = tree.children(place)
    if not children:
        return tree.nodes[place].answer is not None
    return any(below_answers(tree, child.id) for child in children)
