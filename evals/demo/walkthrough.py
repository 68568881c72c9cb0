"""Searches shown step by step: what each channel says, and what time, filters and a token budget do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.evals.demo.asking import RETRIEVERS

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.evals.datasets.cases import Question

SHOWN = 3


class Chosen(NamedTuple):
    """A question worth a closer look, and what its texts hold that explains the outcome."""

    question_id: str
    title: str
    note: str


WORKED = (
    Chosen(
        "tomasz-q16",
        "Two channels, each missing half",
        "The answer is in two sessions half a year apart. The launch is the subject of one (“We put Kittiwake in "
        "yesterday”), which cosines find. The first plan is half a sentence in a talk about varnish (“we're aiming "
        "to put her back in the water on Saturday, June 7”): its turn as a whole means varnish, but it shares the "
        "words “aiming” and “water” with the question. The sum of both channels has both.",
    ),
    Chosen(
        "lucia-q07",
        "A Spanish question to an English encoder",
        "all-MiniLM-L6-v2 learnt from English texts. To it all Spanish texts are much alike: their cosines are high, "
        "lie close together and order little. The question's words (“noches”, “bases”, “Sicilia”, stemmed as Spanish) "
        "name the right session at once, and the sum follows them. For users who do not write English, take a "
        "multilingual encoder.",
    ),
)
"""The searches shown."""

AS_OF = ("tomasz", "Which tablet did Dr. Kessie switch my blood pressure to?", "2025-06-01T00:00:00Z")
FILTER = (
    "maya",
    "What did I buy, and what did it cost?",
    {"event_at": {"gte": "2025-07-01T00:00:00Z", "lt": "2025-09-01T00:00:00Z"}},
)
CONTEXT = ("tomasz-q15", 260)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHit:
    """A search result as it is shown. ``lines`` are (speaker, text); ``parts`` what its score consists of."""

    rank: int
    session_id: str
    date: str
    score: float
    parts: Mapping[str, float]
    gold: bool
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldRanks:
    """A session that holds (part of) the answer, and its rank in each retriever (None: not returned)."""

    session_id: str
    date: str
    ranks: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedSearch:
    """One question to all retrievers, and the fused one's first results with the parts of their scores.

    ``ranking`` has all sessions with their hybrid scores, best first.
    """

    question: Question
    title: str
    note: str
    outcome: str
    gold: tuple[GoldRanks, ...]
    hits: tuple[ShownHit, ...]
    channels: Mapping[str, Mapping[str, Any]]
    ranking: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The same search with and without an option (``option``, as written), and the first results of each."""

    user_id: str
    query: str
    option: str
    plain: tuple[ShownHit, ...]
    changed: tuple[ShownHit, ...]

    @property
    def plain_call(self) -> str:
        """The call without the option."""
        return f'memory.search("{self.query}",\n              user_id="{self.user_id}")'

    @property
    def changed_call(self) -> str:
        """The call with it."""
        return f"{self.plain_call[:-1]},\n              {self.option})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walkthrough:
    """Everything that is shown step by step."""

    worked: tuple[WorkedSearch, ...]
    as_of: Example
    filtered: Example
    context_question: Question
    context_tokens: int
    context: str


def walk_through(memory: Memory, questions: Sequence[Question]) -> Walkthrough:
    """Make the searches that are shown."""
    by_id = {question.id: question for question in questions}
    user, query, moment = AS_OF
    as_of = _example(memory, user, query, f'as_of="{moment}"', {"as_of": moment})
    user, query, filters = FILTER
    written = json.dumps(filters).replace(', "lt"', ',\n                                    "lt"')
    filtered = _example(memory, user, query, f"filters={written}", {"filters": filters})
    asked, tokens = by_id[CONTEXT[0]], CONTEXT[1]
    return Walkthrough(
        worked=tuple(_worked(memory, by_id[chosen.question_id], chosen) for chosen in WORKED),
        as_of=as_of,
        filtered=filtered,
        context_question=asked,
        context_tokens=tokens,
        context=memory.context(asked.text, user_id=asked.user_id, max_tokens=tokens),
    )


def _worked(memory: Memory, question: Question, chosen: Chosen) -> WorkedSearch:
    replies = {
        name: memory.search(
            question.text, user_id=question.user_id, top_k=1000, retriever=name, granularity="session", explain=True
        )
        for name in RETRIEVERS
    }
    order = {name: [hit["session_id"] for hit in reply["results"]] for name, reply in replies.items()}
    hybrid = replies["hybrid"]
    dates = {hit["session_id"]: hit["event_at"][:10] for hit in hybrid["results"]}
    gold = tuple(
        GoldRanks(
            session_id=session,
            date=dates.get(session, ""),
            ranks={name: _rank(session, ids) for name, ids in order.items()},
        )
        for session in question.gold_sessions
    )
    return WorkedSearch(
        question=question,
        title=chosen.title,
        note=chosen.note,
        outcome=f"{_outcome(gold)} {_cosines(hybrid['trace'])}",
        gold=gold,
        hits=tuple(
            _shown(i, hit, _best_turn(memory, question, hit["session_id"]), question.gold_sessions)
            for i, hit in enumerate(hybrid["results"][:SHOWN], start=1)
        ),
        channels=hybrid["trace"]["channels"],
        ranking=tuple((hit["session_id"], hit["score"]) for hit in hybrid["results"]),
    )


def _rank(session: str, ids: Sequence[str]) -> int | None:
    return ids.index(session) + 1 if session in ids else None


def _outcome(gold: Sequence[GoldRanks]) -> str:
    """How far one has to read with each retriever, in words."""
    needed = []
    for name in RETRIEVERS:
        ranks = [session.ranks[name] for session in gold]
        found = [rank for rank in ranks if rank is not None]
        needed.append(f"{max(found)} of {name}" if len(found) == len(ranks) else f"more than all of {name}")
    what = "both sessions" if len(gold) == 2 else "the session" if len(gold) == 1 else f"all {len(gold)} sessions"
    return f"To have {what} with the answer, one must read this many results: {', '.join(needed[:-1])}, {needed[-1]}."


def _cosines(trace: Mapping[str, Any]) -> str:
    """The range of the raw cosines, in words: it says how sure the encoder is."""
    dense = trace["channels"]["dense"]
    return f"The cosines of the {trace['candidates']} sessions lie between {dense['min']:.2f} and {dense['max']:.2f}."


def _best_turn(memory: Memory, question: Question, session_id: str) -> str:
    """The turn of a session that fits the question best: a session's whole text is too long to show."""
    reply = memory.search(
        question.text, user_id=question.user_id, top_k=1, granularity="turn", filters={"session_id": session_id}
    )
    return reply["results"][0]["memory"]


def _example(memory: Memory, user_id: str, query: str, option: str, arguments: Mapping[str, Any]) -> Example:
    plain = memory.search(query, user_id=user_id, top_k=2, explain=True)
    changed = memory.search(query, user_id=user_id, top_k=2, explain=True, **arguments)
    return Example(
        user_id=user_id,
        query=query,
        option=option,
        plain=tuple(_shown(i, hit, hit["memory"]) for i, hit in enumerate(plain["results"], start=1)),
        changed=tuple(_shown(i, hit, hit["memory"]) for i, hit in enumerate(changed["results"], start=1)),
    )


def _shown(rank: int, hit: Mapping[str, Any], text: str, gold: Sequence[str] = ()) -> ShownHit:
    return ShownHit(
        rank=rank,
        session_id=hit["session_id"],
        date=hit["event_at"][:10],
        score=hit["score"],
        parts=hit["score_details"],
        gold=hit["session_id"] in gold,
        lines=tuple(_line(line) for line in text.split("\n") if line.strip()),
    )


def _line(line: str) -> tuple[str, str]:
    """Speaker and text of one line of a turn, ``[speaker]: text``."""
    speaker, colon, text = line.partition("]: ")
    return (speaker[1:], text) if colon and speaker.startswith("[") else ("", line)
