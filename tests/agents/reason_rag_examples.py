"""A small corpus, a searcher that counts, and replies that lead through it."""

from __future__ import annotations

from collections.abc import Sequence

from memagent.agents.reason_rag.searching import Document

QUESTION = "In which country was the author of The Amber Clock born?"
REPLIES = (
    "The author comes first. So the next query is <query>author of The Amber Clock",
    "The relevant evidence is <evidence>The Amber Clock was written by Ilse Varn.",
    "Now her country. So the next query is <query>country of birth of Ilse Varn",
    "The relevant evidence is <evidence>Ilse Varn was born in Norland.",
    "Enough. So the answer is <answer>Norland",
)
"""Two searches, as a server gives them: the closing tag at which it stops is missing."""

PASSAGES = (
    Document(id="p1", title="The Amber Clock", text="The Amber Clock is a novel that Ilse Varn wrote."),
    Document(id="p2", title="Ilse Varn", text="Ilse Varn was born in Norland and plays the cello."),
    Document(id="p3", title="Norland", text="Norland is a country of lakes."),
    Document(id="p4", title="The Amber Bridge", text="The Amber Bridge is a bridge."),
)


class Shelf:
    """Ranks the passages by the words they share with a query; ``queries`` are those it was asked."""

    def __init__(self, passages: Sequence[Document] = PASSAGES) -> None:
        self.passages = passages
        self.queries: list[str] = []

    def search(self, query: str, k: int) -> list[Document]:
        self.queries.append(query)
        words = set(query.lower().split())
        ranked = sorted(self.passages, key=lambda one: -len(words & set(f"{one.title} {one.text}".lower().split())))
        return ranked[:k]
