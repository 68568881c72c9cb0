"""The words of the made-up world: what its relations are called, and how passages state them.

This is all that the generator (:mod:`memagent.evals.multihop.world`) and the scripted model
(:mod:`memagent.evals.multihop.scripted`) share: the language, not the facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relation between two entities: its name in questions, and the sentences that state it."""

    name: str
    sentences: tuple[str, ...]

    def stated(self, text: str, subject: str) -> tuple[str, str] | None:
        """The first sentence of ``text`` that states this of ``subject``, and whom or what it names."""
        for pattern in self.sentences:
            before, _, after = re.escape(pattern).partition(re.escape("{o}"))
            found = re.search(
                rf"(?<!\w){before}([A-Z0-9][^.]*?){after}".replace(re.escape("{s}"), re.escape(subject)), text
            )
            if found:
                return found[0], found[1]
        return None


RELATIONS = {
    relation.name: relation
    for relation in (
        Relation(name="author", sentences=("{s} is a novel by {o}.", "{s} was written by {o}.")),
        Relation(name="founder", sentences=("{s} was founded by {o}.", "The founder of {s} was {o}.")),
        Relation(name="head office", sentences=("{s} has its head office in {o}.", "{s} is run from {o}.")),
        Relation(name="teacher", sentences=("{s} studied under {o}.", "{s} was taught by {o}.")),
        Relation(name="birthplace", sentences=("{s} was born in {o}.", "The birthplace of {s} is {o}.")),
        Relation(name="province", sentences=("{s} lies in the province {o}.", "{s} belongs to the province {o}.")),
        Relation(name="capital", sentences=("{s} is governed from {o}.", "The capital of {s} is {o}.")),
        Relation(name="year", sentences=("The records of {s} begin in {o}.",)),
    )
}

_OPENING = "What is the "


def question_text(start: str, relations: tuple[str, ...]) -> str:
    """The question that follows ``relations`` from ``start``, the first one innermost."""
    return f"{_OPENING}{''.join(f'{name} of the ' for name in relations[:0:-1])}{relations[0]} of {start}?"


def decomposed(question: str) -> tuple[str, tuple[str, ...]] | None:
    """Where a question of :func:`question_text` starts, and its relations in the order in which they are followed."""
    rest = question.strip().removeprefix(_OPENING).removesuffix("?")
    names: list[str] = []
    while (name := next((name for name in RELATIONS if rest.startswith(f"{name} of ")), None)) is not None:
        names.append(name)
        rest = rest.removeprefix(f"{name} of ").removeprefix("the ")
    # The start may begin with "The" as a title does; only the article between relations was taken off.
    return (rest, tuple(reversed(names))) if names and rest else None
