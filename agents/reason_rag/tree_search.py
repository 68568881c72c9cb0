"""Monte-Carlo tree search over the agent's outputs, as a flow of prompts.

Source: ReasonRAG (arXiv 2505.14069), section 3.3, as its released code does it: descend by the selection score while a
node has all its children, sample one child more, let a judge who knows the gold answer value it, back the value up. A
terminal leaf that is selected again is judged and backed up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from memagent.agents.reason_rag.judging import read_score
from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document, Searcher
from memagent.agents.reason_rag.steps import documents_for, take_step
from memagent.agents.reason_rag.tree import Case, Closed, Event, Grew, Growing, Judged, Repeated, Tree
from memagent.errors import DataError, ModelDenied, ModelRefused
from memagent.llm.flow import Steps, asked
from memagent.prompts.reason_rag import judge_reasoning

_NO_NEWS = 0.5
"""The value of a first output whose judge gave no score."""

Keep = Callable[[Event], None]


def search_steps(
    case: Case, searcher: Searcher, settings: SearchSettings, *, begun: Iterable[Event] = (), keep: Keep | None = None
) -> Steps[Tree]:
    """The tree of one question. The prompts named ``reason-rag-judge`` are the judge's, all others the policy's.

    ``begun``: the events of a search of this question that was cut off; it goes on behind them. ``keep`` is told each
    new event before the next prompt is asked.

    Raises :class:`~memagent.errors.ModelDenied` whenever a model serves none of our prompts (a wrong key or name),
    :class:`~memagent.errors.ModelRefused` if the first prompt of the policy or of the judge is refused (a later one
    that the policy refuses ends its branch), and DataError if the events of ``begun`` cannot follow one another.
    """
    growing = Growing(case, settings)
    try:
        for earlier in begun:
            growing.apply(earlier)
    except ValueError as error:
        raise DataError(
            f"the steps kept of question {case.id!r} do not follow one another: {error}",
            hint="two runs may have written to one file: delete it, and search anew",
        ) from error
    found: dict[int, tuple[Document, ...]] = {}
    while growing.iterations < settings.iterations and not growing.terminal(0):
        leaf = select(growing) if growing.waiting is None else growing.waiting
        event: Event
        if growing.waiting is None and not growing.terminal(leaf):
            event = yield from _expanded(growing, leaf, searcher, found)
        else:
            event = yield from _judged(growing, leaf)
        growing.apply(event)
        if keep:
            keep(event)
    return growing.tree()


def select(growing: Growing) -> int:
    """The node to visit: from the root on the best child, until one is terminal or may have a child more.

    Of equal scores the elder child wins.
    """
    node = 0
    while not growing.terminal(node) and not _open(growing, node):
        children = growing.children[node]
        siblings = sum(growing.visits[child] for child in children)
        scores = [
            growing.settings.selection.score(
                growing.mean(child), growing.visits[child], parent=growing.visits[node], siblings=siblings
            )
            for child in children
        ]
        node = children[scores.index(max(scores))]
    return node


def _open(growing: Growing, node: int) -> bool:
    return node not in growing.closed and growing.samples[node] < growing.settings.max_children


def _expanded(growing: Growing, node: int, searcher: Searcher, found: dict[int, tuple[Document, ...]]) -> Steps[Event]:
    """One output more after a node. Its children share one search."""
    state, step = growing.states[node], growing.settings.step
    if node not in found:
        elder = growing.children[node]
        shown = growing.states[elder[0]].steps[-1].documents if elder else documents_for(state, searcher, step)
        found[node] = shown
    try:
        after = yield from take_step(state, found[node], step, sample=growing.samples[node])
    except ModelDenied:
        raise
    except ModelRefused:
        if node == 0:
            raise
        return Closed(node=node, why="prompt-too-long")
    if len(after.steps) == len(state.steps):
        return Closed(node=node, why=after.stopped or "prompt-too-long")
    grown = after.steps[-1]
    if not growing.settings.keep_repeats and grown.text in _texts(growing, node):
        return Repeated(parent=node)
    return Grew(parent=node, step=grown, stopped=after.stopped)


def _texts(growing: Growing, node: int) -> set[str]:
    """The outputs after a node."""
    return {growing.states[child].steps[-1].text for child in growing.children[node]}


def _judged(growing: Growing, leaf: int) -> Steps[Judged]:
    """The value of a leaf."""
    settings, earlier = growing.settings, growing.values[leaf]
    if earlier and not settings.rejudge:
        return Judged(node=leaf, value=earlier[-1])
    prompt = judge_reasoning(
        growing.case.question,
        growing.case.answers,
        growing.states[leaf].thoughts,
        max_tokens=settings.judge_tokens,
        temperature=settings.judge_temperature,
    )
    prompt = replace(prompt, sample=len(earlier))
    try:
        reply = yield from asked(prompt)
    except ModelDenied:
        raise
    except ModelRefused:
        if growing.iterations == 0:
            raise
        score = None
    else:
        score = read_score(reply.value)
    if score is None:
        return Judged(node=leaf, value=_no_news(growing, leaf), read=False)
    return Judged(node=leaf, value=score)


def _no_news(growing: Growing, leaf: int) -> float:
    """What stands in for a missing score: the mean of the nearest node above that has one."""
    at = growing.parents[leaf]
    while at is not None:
        if growing.visits[at]:
            return growing.mean(at)
        at = growing.parents[at]
    return _NO_NEWS
