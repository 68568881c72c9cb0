"""Reads what a step's output says: a query, evidence, an answer, or nothing of a known form.

Follows the released code's inference (the text after a lead-in up to the end of its line) rather than its search,
which cuts an answer at the first full stop ("J. K. Rowling" -> "J"); and accepts a bare tag as well as a lead-in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from memagent.prompts.reason_rag import ANSWER_LEAD, EVIDENCE_LEAD, QUERY_LEAD, TAGS, Tag, Thought

Kind: TypeAlias = Literal["query", "evidence", "answer", "unknown"]
"""What an output turned out to be; ``unknown`` leads to a forced answer."""

_OPENING = re.compile(r"<\s*(query|evidence|answer)\s*>", re.IGNORECASE)
_EVIDENCE = re.compile(r"<\s*evidence\s*>", re.IGNORECASE)
_CLOSED_EVIDENCE = re.compile(r"<\s*/\s*evidence\s*>\Z", re.IGNORECASE)
_CLOSING = re.compile(r"<\s*/\s*(query|evidence|answer)\s*>", re.IGNORECASE)


def _lead(wording: str) -> re.Pattern[str]:
    return re.compile(" +".join(map(re.escape, wording.split())) + r"\b[ \t]*[:\-]?[ \t]*", re.IGNORECASE)


_LEADS: tuple[tuple[Tag, re.Pattern[str]], ...] = (("query", _lead(QUERY_LEAD)), ("answer", _lead(ANSWER_LEAD)))
_EVIDENCE_LEAD = _lead(EVIDENCE_LEAD)
_ANY_ANSWER_LEAD = re.compile(
    r"(?:\A|(?<=[.!?:\n]))[ \t]*(?:\w+,? +)?the +(?:\w+ +)?answer +is\b[ \t]*[:\-]?[ \t]*", re.IGNORECASE
)
_MARKUP = re.compile(r"</?\w+>")
_NOTHING = frozenset({"", "none", "null", "n/a", "no evidence", "no relevant evidence"})
_SHORT = 12
"""Words of a forced answer's reply that may be the answer itself."""
_QUOTES = "\"'“”‘’`*"
# A full stop that belongs to an abbreviation: "D.C.", "Jr.", "Inc.", "J. K."
_ABBREVIATION = re.compile(r"(?:\b[^\W\d_]\.|\b(?:Jr|Sr|Inc|Ltd|Co|Corp))\.?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output, read.

    ``text`` is the output up to and with its first closing tag, ``before`` what stands before the tag or the bare
    content, ``content`` the query, the evidence or the answer. ``content`` is None for evidence that says that there
    is none, and for an ``unknown`` output. ``tagged``: the content stood in its tag.
    """

    kind: Kind
    text: str
    before: str
    content: str | None
    tagged: bool

    @property
    def thought(self) -> Thought:
        """The output as later prompts show it."""
        if self.kind == "unknown":
            return Thought(before=self.text)
        return Thought(before=self.before, tag=self.kind, content=self.content or "None")


def read_reasoning(text: str) -> Output:
    """A reasoning step's output, or a forced answer's: a query, an answer, or unknown."""
    return _read(text, ("query", "answer"))


def read_forced(text: str) -> Output:
    """A forced answer's output: an answer.

    Small models write "The answer is" without "So", or nothing but the answer: either is taken, the latter if it is
    short. (In a reasoning step "the answer is not known yet" is no answer.)
    """
    found = _read(text, ("answer",))
    if found.kind == "answer" or _OPENING.search(found.text) is not None:
        return found
    lead = _last(_ANY_ANSWER_LEAD, found.text)
    begins = lead.end() if lead else 0
    bare = _plain(_MARKUP.sub("", found.text[begins:].partition("\n")[0] if lead else found.text))
    if bare and (lead or len(found.text.split()) <= _SHORT):
        before = found.text[:begins].strip()
        return Output(kind="answer", text=found.text, before=before, content=bare, tagged=False)
    return found


def read_evidence(text: str) -> Output:
    """A grounding step's output: evidence, also where its tag was left out; unknown if empty or of another kind.

    Other tags inside the evidence (a document may hold such) are no part of it.
    """
    whole = closed(text)
    opening = _last(_EVIDENCE, whole)
    if opening is not None:
        inside = _without_tags(whole[opening.end() :]).strip()
        return _evidence(inside, f"{whole[: opening.end()]}{inside}</evidence>", whole[: opening.start()].strip())
    bare = _CLOSED_EVIDENCE.sub("", whole).rstrip()  # the opening tag alone was left out
    if bare and _CLOSING.search(bare) is None and _read(bare, ("query", "answer")).kind == "unknown":
        lead = _last(_EVIDENCE_LEAD, bare)
        begins = lead.end() if lead else 0
        return _evidence(bare[begins:].strip(), bare, bare[:begins].strip(), tagged=False)
    return Output(kind="unknown", text=whole, before=whole, content=None, tagged=False)


def _evidence(inside: str, text: str, before: str, *, tagged: bool = True) -> Output:
    nothing = _plain(inside).casefold().rstrip(".") in _NOTHING
    return Output(kind="evidence", text=text, before=before, content=None if nothing else inside, tagged=tagged)


def closed(text: str) -> str:
    """``text`` as the published code keeps it, up to and with its first closing tag: a server cuts that off."""
    text = text.strip()
    opening = _OPENING.search(text)
    closing = _CLOSING.search(text, opening.end() if opening else 0)
    if closing:
        return text[: closing.end()].strip()
    if opening is None:
        return text
    # Several may be open; what a server stopped at is the one opened last.
    last = [match[1].lower() for match in _OPENING.finditer(text)][-1]
    return f"{text}</{last}>"


def _read(text: str, wanted: tuple[Tag, ...]) -> Output:
    whole = closed(text)
    tagged = _tagged(whole)
    if tagged is not None:
        tag, before, inside = tagged
        content = inside.strip()
        if tag in wanted and content:
            return Output(kind=tag, text=whole, before=before.strip(), content=content, tagged=True)
        return Output(kind="unknown", text=whole, before=whole, content=None, tagged=False)
    for tag, lead in _LEADS:
        match = _last(lead, whole) if tag in wanted else None
        content = _plain(whole[match.end() :].partition("\n")[0]) if match else ""
        if match and content:
            before = whole[: match.end()].strip()
            return Output(kind=tag, text=whole, before=before, content=content, tagged=False)
    return Output(kind="unknown", text=whole, before=whole, content=None, tagged=False)


def _tagged(whole: str) -> tuple[Tag, str, str] | None:
    """The tag that is closed at the end of ``whole``, what stands before it, and what stands inside."""
    closing = _last(_CLOSING, whole)
    if closing is None:
        return None
    name = closing[1].lower()
    openings = [match for match in _OPENING.finditer(whole, 0, closing.start()) if match[1].lower() == name]
    if not openings:
        return None
    opening = openings[-1]
    tag = next(tag for tag in TAGS if tag == name)
    return tag, whole[: opening.start()], whole[opening.end() : closing.start()]


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=re.Match.start, default=None)


def _without_tags(text: str) -> str:
    return _CLOSING.sub("", _OPENING.sub("", text))


def _plain(text: str) -> str:
    """A content that stood in no tag: without stray tags, quotation marks and the full stop that ends its sentence."""
    bare = _without_tags(text).strip().strip(_QUOTES).strip()
    if bare.endswith(".") and not _ABBREVIATION.search(bare):
        bare = bare[:-1].rstrip().rstrip(_QUOTES)
    return bare
