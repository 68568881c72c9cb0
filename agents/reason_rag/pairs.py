"""Preference pairs from labelled trees: of two outputs for one prompt, the one that leads to more comes first.

Source: ReasonRAG (arXiv 2505.14069), section 3.4, as released: every two labelled siblings whose labels differ by at
least 0.01 and whose contents differ; what an output does is read from its tags, in the order query, evidence, answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from memagent.agents.reason_rag.labels import label_tree
from memagent.agents.reason_rag.rewards import LABEL_ALPHA
from memagent.agents.reason_rag.steps import step_prompt
from memagent.agents.reason_rag.tree import Node, Tree
from memagent.errors import InvalidInput
from memagent.prompts.prompt import Prompt
from memagent.prompts.reason_rag import TAGS
from memagent.tuning.pairs import PreferencePair

MARGIN = 0.01
UNKNOWN = "unknown"
_TAGS = tuple((tag, re.compile(rf"<{tag}>(.*?)</{tag}>", re.DOTALL | re.IGNORECASE)) for tag in TAGS)


def tagged_content(text: str) -> tuple[str, str]:
    """What an output does and the content of its tag: the first kind of tag in it; ``unknown`` and nothing without."""
    for tag, pattern in _TAGS:
        if found := pattern.search(text):
            return tag, found[1].strip()
    return UNKNOWN, ""


def tree_pairs(
    tree: Tree, *, alpha: float = LABEL_ALPHA, margin: float = MARGIN, forced: bool = True
) -> list[PreferencePair]:
    """The pairs of one tree, from the root down, of siblings in the order in which they were sampled.

    ``alpha`` and ``forced`` as in :func:`~memagent.agents.reason_rag.labels.label_tree`. Raises InvalidInput if the
    tree was searched with prompts that this version does not write any more: its pairs would be over other prompts.
    """
    if not margin >= 0:
        raise InvalidInput(f"the margin is {margin}", hint="it is 0 or more; published: 0.01")
    labels = label_tree(tree, alpha=alpha, forced=forced)
    return list(_below(tree, 0, labels, margin))


def all_pairs(
    trees: Iterable[Tree], *, alpha: float = LABEL_ALPHA, margin: float = MARGIN, forced: bool = True
) -> list[PreferencePair]:
    """The pairs of several trees; those of one question have its id as their ``group``."""
    return [pair for tree in trees for pair in tree_pairs(tree, alpha=alpha, margin=margin, forced=forced)]


def _below(tree: Tree, node: int, labels: tuple[float | None, ...], margin: float) -> Iterator[PreferencePair]:
    children = [(child, label) for child in tree.children(node) if (label := labels[child.id]) is not None]
    for (one, worth), (other, other_worth) in combinations(children, 2):
        if abs(worth - other_worth) < margin:
            continue
        pair = (one, worth, other, other_worth) if worth > other_worth else (other, other_worth, one, worth)
        if made := _pair(tree, *pair):
            yield made
    for child, _ in children:
        yield from _below(tree, child.id, labels, margin)


def _pair(tree: Tree, better: Node, worth: float, worse: Node, less: float) -> PreferencePair | None:
    if better.step is None or worse.step is None:
        return None
    kind, content = tagged_content(better.step.text)
    other_kind, other_content = tagged_content(worse.step.text)
    if kind == UNKNOWN or content == other_content:
        return None
    prompt = _asked(tree, better)
    return PreferencePair(
        instruction=prompt.system,
        input=prompt.user,
        chosen=better.step.text,
        rejected=worse.step.text,
        chosen_action_type=kind,
        chosen_content=content,
        rejected_action_type=other_kind,
        rejected_content=other_content,
        layer=better.depth,
        group=tree.case.id,
        chosen_reward=round(worth, 6),
        rejected_reward=round(less, 6),
    )


def _asked(tree: Tree, node: Node) -> Prompt[str]:
    """The prompt that a node's output answered, written again from the tree."""
    step = node.step
    if step is None or node.parent is None:
        raise InvalidInput("the root answers no prompt", hint="ask for another node")
    prompt = step_prompt(tree.state(node.parent), step.action, step.documents, tree.settings.step)
    if prompt.label != step.prompt:
        raise InvalidInput(
            f"the tree of {tree.case.id!r} was searched with the prompt {step.prompt}, this version has {prompt.label}",
            hint="make its pairs with the version that searched it, or search again",
        )
    return prompt
