"""Tree search in a made-up world, where a scripted policy goes straight on or by a detour, and both ways end right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from memagent.agents.reason_rag.labels import label_tree
from memagent.agents.reason_rag.pairs import tree_pairs
from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.tree import Case, Node, Tree
from memagent.agents.reason_rag.tree_run import Searching, grow_trees
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.world import make_world
from memagent.llm import Model

WORLD = make_world()
CASES = [
    Case(id=question.id, question=question.text, answers=question.answers)
    for question in WORLD.questions
    if question.type == "2-hop"
]


class Words:
    """Finds the passages that share the rarest words with a query."""

    def __init__(self) -> None:
        self._bags = [(passage, bag(f"{passage.title} {passage.text}")) for passage in WORLD.passages]
        self._held = Counter(word for _, words in self._bags for word in words)

    def search(self, query: str, k: int) -> Sequence[Document]:
        wanted = bag(query)
        weighed = {place: self._weight(wanted & words) for place, (_, words) in enumerate(self._bags)}
        found = [self._bags[place] for place in sorted(weighed, key=lambda place: (-weighed[place], place))[:k]]
        return [Document(id=passage.id, title=passage.title, text=passage.text) for passage, _ in found]

    def _weight(self, shared: set[str]) -> float:
        return sum(1 / self._held[word] for word in shared)


def bag(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def grown(cases: Sequence[Case], iterations: int) -> list[Tree]:
    model = Model(WorldModel(detours=True), concurrency=8)
    settings = SearchSettings(iterations=iterations)
    searching = Searching(policy=model, judge=model, searcher=Words(), settings=settings, concurrency=8)
    return grow_trees(cases, searching)


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


def test_the_search_finds_the_shorter_of_two_right_ways() -> None:
    trees = grown(CASES[:20], 64)
    assert sum(map(found_the_shorter, trees)) >= 0.95 * len(trees)


@pytest.mark.slow
def test_the_search_finds_the_shorter_of_two_right_ways_in_nearly_all_questions() -> None:
    trees = grown(CASES, 64)
    assert sum(map(found_the_shorter, trees)) >= 0.95 * len(trees)
    assert sum(len(tree_pairs(tree)) for tree in trees) >= 64


def test_as_published_64_visits_are_spent_on_repeats_before_the_longer_way_ends() -> None:
    model = Model(WorldModel(detours=True), concurrency=8)
    settings = SearchSettings(keep_repeats=True)
    (tree,) = grow_trees(CASES[:1], Searching(policy=model, judge=model, searcher=Words(), settings=settings))
    assert tree.duplicates > 10
    assert tree_pairs(tree) == []
