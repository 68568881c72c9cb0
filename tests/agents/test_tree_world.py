"""Tree search in a made-up world, where a scripted policy goes straight on or by a detour, and both ways end right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from memagent.agents.reason_rag.labels import label_tree
from memagent.agents.reason_rag.pairs import tree_pairs
from memagent.agents.reason_rag.search_settings import SAMPLED, SearchSettings
from memagent.agents.reason_rag.transitions import TREE_SEARCH
from memagent.agents.reason_rag.tree import Case, Node, Tree
from memagent.agents.reason_rag.tree_run import Searching, grow_trees
from memagent.evals.multihop.corpus import CorpusSearcher, open_corpus
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.world import make_world
from memagent.llm import Model
from memagent.testing import HashingEncoder

WORLD = make_world()
MAX_ITER = {"2-hop": 7, "3-hop": 9, "4-hop": 11}
"""Where the longer way, by one search more, still ends: 7 is the published one."""


@pytest.fixture(scope="module")
def searcher() -> Iterator[CorpusSearcher]:
    with open_corpus(WORLD.passages, HashingEncoder(dim=64)) as corpus:
        yield corpus.searcher("bm25")


def cases(kind: str, most: int | None = None) -> list[Case]:
    chosen = [question for question in WORLD.questions if question.type == kind][:most]
    return [Case(id=question.id, question=question.text, answers=question.answers) for question in chosen]


def grown(searcher: CorpusSearcher, kind: str, most: int | None = None, **changed: Any) -> list[Tree]:
    model = Model(WorldModel(detours=True), concurrency=8)
    step = replace(SAMPLED, budget=replace(TREE_SEARCH, max_iter=MAX_ITER[kind]))
    settings = SearchSettings(step=step, **changed)
    searching = Searching(policy=model, judge=model, searcher=searcher, settings=settings, concurrency=8)
    return grow_trees(cases(kind, most), searching)


def ways(tree: Tree) -> dict[str, Node]:
    """The two children of the root: the one that goes straight on, and the one that asks for something needless."""
    detours = {"year of" in (child.step.text if child.step else ""): child for child in tree.children(0)}
    return {"straight": detours[False], "detour": detours[True]}


def found_the_shorter(tree: Tree) -> bool:
    """Whether both ways were walked to a right answer, and the pair at the root prefers the straight one."""
    labels, begun = label_tree(tree), ways(tree)
    straight, detour = (labels[begun[name].id] for name in ("straight", "detour"))
    if straight is None or detour is None or detour <= 0 or begun["straight"].step is None:
        return False
    chosen = [pair.chosen for pair in tree_pairs(tree) if pair.layer == 1]
    return chosen == [begun["straight"].step.text] and begun["straight"].visits > begun["detour"].visits


@pytest.mark.parametrize("kind", MAX_ITER)
def test_the_search_finds_the_shorter_of_two_right_ways(searcher: CorpusSearcher, kind: str) -> None:
    trees = grown(searcher, kind, 12)
    assert sum(map(found_the_shorter, trees)) >= 0.95 * len(trees)


@pytest.mark.slow
@pytest.mark.no_cover  # the same code as above: measured once
def test_the_search_finds_the_shorter_of_two_right_ways_in_nearly_all_questions(searcher: CorpusSearcher) -> None:
    trees = [tree for kind in MAX_ITER for tree in grown(searcher, kind)]
    assert len(trees) == 240
    assert sum(map(found_the_shorter, trees)) >= 0.95 * len(trees)
    assert sum(len(tree_pairs(tree)) for tree in trees) >= 240


def test_as_published_64_visits_are_spent_on_repeats_before_the_longer_way_ends(searcher: CorpusSearcher) -> None:
    (tree,) = grown(searcher, "2-hop", 1, keep_repeats=True)
    assert tree.duplicates > 10
    assert tree_pairs(tree) == []
