"""Rewards for all nodes of a finished tree, from the leaves up. Needs no model: label again with another alpha at will.

Source: ReasonRAG's released labelling: a leaf that answers is worth F1 * alpha^step, an inner node the mean of its
labelled children, weighted by their visits; what leads to no answer has no label. The released script reads forced
answers under a wrong key and so drops them; here they are labelled unless ``forced`` is False. Its F1 keeps articles;
here they are dropped, as the evaluation does.
"""

from __future__ import annotations

from memagent.agents.reason_rag.rewards import LABEL_ALPHA, SEARCH_ALPHA, Rollout, check_alpha, spre, step_reward
from memagent.agents.reason_rag.tree import Node, Tree


def label_tree(tree: Tree, *, alpha: float = LABEL_ALPHA, forced: bool = True) -> tuple[float | None, ...]:
    """The label of each node, by its id; None where no answer lies below. Raises InvalidInput for a wrong alpha."""
    check_alpha(alpha)
    labels: list[float | None] = [None] * len(tree.nodes)
    weights = [0] * len(tree.nodes)
    sums = [0.0] * len(tree.nodes)
    inner = {node.parent for node in tree.nodes}
    for node in reversed(tree.nodes):  # children stand behind their parents
        if node.id not in inner:
            labels[node.id] = _leaf(node, tree.case.answers, alpha, forced=forced)
        elif weights[node.id]:
            labels[node.id] = sums[node.id] / weights[node.id]
        label = labels[node.id]
        if label is not None and node.parent is not None:
            # A leaf whose value was still to be judged when the search ended has no visit, and counts as one.
            visits = max(node.visits, 1)
            weights[node.parent] += visits
            sums[node.parent] += visits * label
    return tuple(labels)


def rollout_rewards(tree: Tree, *, alpha: float = SEARCH_ALPHA) -> tuple[float | None, ...]:
    """SPRE as the paper's equation 1 has it, by node: the mean over the finished trajectories that go through it.

    The released search keeps it beside the judge's values, with this alpha, and lets the judge alone decide where it
    goes. A trajectory that ended without an answer counts as 0, each once however often it was visited; None where none
    has ended. Raises InvalidInput for a wrong alpha.
    """
    check_alpha(alpha)
    rollouts: list[list[Rollout]] = [[] for _ in tree.nodes]
    inner = {node.parent for node in tree.nodes}
    for node in reversed(tree.nodes):
        if node.id not in inner and node.stopped is not None:
            rollouts[node.id].append(Rollout(answer=node.answer, steps=node.depth))
        if node.parent is not None:
            rollouts[node.parent].extend(rollouts[node.id])
    return tuple(spre(ended, tree.case.answers, alpha=alpha) if ended else None for ended in rollouts)


def _leaf(node: Node, golds: tuple[str, ...], alpha: float, *, forced: bool) -> float | None:
    if node.answer is None or node.step is None or (node.step.action == "force" and not forced):
        return None
    return step_reward(node.answer, node.depth, golds, alpha=alpha)
