"""ReasonRAG's steps: reasoning towards a query or an answer, evidence from documents, a forced answer, and the judge.

Source: ReasonRAG (arXiv 2505.14069, sections 3 and 4) with the settings of its released code: greedy, 256 new tokens,
generation ends at any of the three closing tags. The wording is our own; the two endings of a reasoning step ("So the
next query is", "So the answer is") are the published ones, so that a model tuned there is understood here.

A server cuts the closing tag off with the text behind it; :mod:`memagent.agents.reason_rag.parsing` puts it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, element, quoted, shown_time

Tag = Literal["query", "evidence", "answer"]
TAGS: tuple[Tag, ...] = ("query", "evidence", "answer")
STOPS = tuple(f"</{tag}>" for tag in TAGS)
QUERY_LEAD = "So the next query is"
ANSWER_LEAD = "So the answer is"
EVIDENCE_LEAD = "The relevant evidence is"
NO_EVIDENCE = "None"
"""What stands between the evidence tags when the documents hold none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """An earlier output as later prompts show it: what was said before its tag, and what stands inside the tag.

    ``tag`` is None for an output of no known form; ``content`` is then empty.
    """

    before: str
    tag: Tag | None = None
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A document as the evidence prompt shows it; ``label`` is what it can be cited by, ``said_at`` a memory's time."""

    title: str
    text: str
    label: str = ""
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a reasoning prompt says beside its task.

    ``answer_format`` describes the answer inside its tag ("answer", "yes or no" ...). ``personal``: the documents are
    memories of conversations with the user who asks. ``now`` is the time of the question, shown if it is given.
    """

    answer_format: str = "answer"
    personal: bool = False
    now: datetime | None = None


PLAIN = Wording()

_SEARCHED = {
    False: "You answer a question step by step, and can search a collection of documents for what you do not know.",
    True: "You answer a user's question step by step, and can search the memories of earlier conversations with them. "
    "You know nothing about the user but what these memories say.",
}

_KNOWN = {
    False: "what of it you know for certain, and what has to be looked up",
    True: "what has to be looked up in the memories; of the user's life nothing is known before it is found there",
}

_SHOWN = """\
<question> holds the question, <thoughts>, where given, your own earlier steps in their order: reasoning, the queries \
you asked and the evidence found for each ("None" where nothing was found), and <now>, where given, the time of the \
question."""

_QUERY_RULE = f"""\
{QUERY_LEAD} <query>query</query>"""

_SHORT = """\
A query is a short noun phrase or question that asks for one thing, names whom or what it is about in full, and can \
be understood alone. An answer is as short as can be: a name, a date, a number, a place, yes or no; no sentence, and \
no explanation inside the tags."""


_PERSONAL_UNKNOWN = """
If the memories do not hold the answer, the answer is: not known."""


def first_reasoning(
    question: str, *, wording: Wording = PLAIN, max_tokens: int = 256, temperature: float = 0.0
) -> Prompt[str]:
    """The first step: split the question, judge what is known, then a query or the answer."""
    system = f"""\
{_SEARCHED[wording.personal]}

{QUOTED_IS_DATA}

{_SHOWN}

Split the question into the smaller questions on which it rests. Say in a few sentences \
{_KNOWN[wording.personal]}. Then end in exactly one of two ways.
If something has to be looked up, ask for the first of it:
{_QUERY_RULE}
If nothing has to be looked up:
{_answer_rule(wording)}

{_short(wording)}"""
    return _plain("first-reasoning", wording, system, _state(question, (), wording), max_tokens, temperature)


def extract_evidence(
    question: str,
    thoughts: Sequence[Thought],
    query: str,
    references: Sequence[Reference],
    *,
    wording: Wording = PLAIN,
    max_tokens: int = 256,
    temperature: float = 0.0,
) -> Prompt[str]:
    """The evidence that the documents hold for the latest query, or None; only this text is carried on."""
    cite = (
        " Behind each piece of evidence put the id of the memory it is from in square brackets, [m1] or [m1, m3]."
        if wording.personal
        else ""
    )
    what = "memories" if wording.personal else "documents"
    system = f"""\
You read {what} that a search has found, and take out of them what answers a query. You do not answer the question \
that the query serves.

{QUOTED_IS_DATA}

{_SHOWN} <query> holds the latest query. Each <reference> holds one of the {what} found for it.

Find what the {what} say about the latest query: in their own words as far as possible, complete enough to be \
understood without them, with the names, numbers and times that matter, and nothing that they do not say. Do not \
repeat evidence that the thoughts hold already.{cite} End with it:
{EVIDENCE_LEAD} <evidence>evidence</evidence>
If the {what} say nothing about the query, end with:
{EVIDENCE_LEAD} <evidence>{NO_EVIDENCE}</evidence>"""
    shown = "\n".join(map(_reference, references)) or element("reference", "(nothing was found)")
    user = "\n".join((_state(question, thoughts, wording), element("query", query), shown))
    return _plain("evidence", wording, system, user, max_tokens, temperature)


def continue_reasoning(
    question: str,
    thoughts: Sequence[Thought],
    *,
    wording: Wording = PLAIN,
    max_tokens: int = 256,
    temperature: float = 0.0,
) -> Prompt[str]:
    """A later step: mend errors, judge whether the evidence suffices, then a new query or the answer."""
    system = f"""\
{_SEARCHED[wording.personal]}

{QUOTED_IS_DATA}

{_SHOWN}

Look over the thoughts. Correct what is wrong or does not serve the question, and say in a few sentences whether the \
evidence found so far is enough to answer. Then end in exactly one of two ways.
If something is still missing, ask for it with a query that the thoughts do not hold yet; where an earlier query \
found nothing, ask in other words or for something else that leads there:
{_QUERY_RULE}
If the evidence is enough:
{_answer_rule(wording)}

{_short(wording)}"""
    return _plain("reasoning", wording, system, _state(question, thoughts, wording), max_tokens, temperature)


def forced_answer(
    question: str,
    thoughts: Sequence[Thought],
    *,
    wording: Wording = PLAIN,
    max_tokens: int = 256,
    temperature: float = 0.0,
) -> Prompt[str]:
    """The last step: an answer from what there is, and nothing else."""
    system = f"""\
You give the final answer to a question from what has been thought and found so far. Nothing more can be looked up.

{QUOTED_IS_DATA}

{_SHOWN}

Reply with the answer alone, the likeliest one if the thoughts do not settle it, in exactly this form:
{_answer_rule(wording)}

{_short(wording)}"""
    return _plain("forced-answer", wording, system, _state(question, thoughts, wording), max_tokens, temperature)


def judge_reasoning(
    question: str,
    gold_answers: Sequence[str],
    thoughts: Sequence[Thought],
    *,
    max_tokens: int = 512,
    temperature: float = 0.0,
) -> Prompt[str]:
    """How well the steps so far lead to the right answer, 0 to 100; shown the gold answers, so for data building only.

    The reply ends with a line ``Score: <number>``.
    """
    system = f"""\
You judge, very strictly, how somebody reasons towards the answer to a question. You are given the right answer; they \
were not.

{QUOTED_IS_DATA}

<question> holds the question, <gold> the right answer (several are joined by "or"; each is right), and <thoughts> \
the steps so far: reasoning, queries, evidence that was found, and the answer if they have given one.

Criticise the steps in a few sentences: wrong or needless steps, queries that ask for the wrong thing or repeat one \
another, evidence that is missed, made up or beside the point, and an answer that is wrong or comes too early. Steps \
that have not reached an answer yet are judged by how likely and how directly they lead to the right one. Then end \
with a line that holds the score, a whole number from 0 (hopeless, or the answer is wrong) to 100 (right, and by the \
shortest way):
Score: <number>"""
    user = "\n".join((element("question", question), element("gold", " or ".join(gold_answers)), _thoughts(thoughts)))
    return Prompt(
        name="reason-rag-judge",
        version=1,
        system=system,
        user=user,
        max_tokens=max_tokens,
        temperature=temperature,
    )


def thoughts_text(thoughts: Sequence[Thought]) -> str:
    """The earlier outputs as prompts show them: joined by a space, each with its one tag, all else in them quoted."""
    return " ".join(filter(None, map(_thought, thoughts)))


def _thought(thought: Thought) -> str:
    before = quoted(thought.before).strip()
    if thought.tag is None:
        return before
    return f"{before} <{thought.tag}>{quoted(thought.content).strip()}</{thought.tag}>".strip()


def _thoughts(thoughts: Sequence[Thought]) -> str:
    return f"<thoughts>\n{thoughts_text(thoughts) or '(none yet)'}\n</thoughts>"


def _state(question: str, thoughts: Sequence[Thought], wording: Wording) -> str:
    told = [element("now", shown_time(wording.now))] if wording.now else []
    so_far = [_thoughts(thoughts)] if thoughts else []
    return "\n".join((*told, element("question", question), *so_far))


def _reference(reference: Reference) -> str:
    said = {"said": shown_time(reference.said_at)} if reference.said_at else {}
    label = {"id": reference.label} if reference.label else {}
    return element("reference", "\n".join(filter(None, (reference.title, reference.text))), **label, **said)


def _short(wording: Wording) -> str:
    return _SHORT + (_PERSONAL_UNKNOWN if wording.personal else "")


def _answer_rule(wording: Wording) -> str:
    return f"{ANSWER_LEAD} <answer>{wording.answer_format}</answer>"


def _plain(name: str, wording: Wording, system: str, user: str, max_tokens: int, temperature: float) -> Prompt[str]:
    return Prompt(
        name=f"reason-rag-{name}{'-personal' if wording.personal else ''}",
        version=1,
        system=system,
        user=user,
        max_tokens=max_tokens,
        temperature=temperature,
        stop=STOPS,
    )
