"""Where the agent looks things up: any object that finds documents for a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from memagent.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a search has found: a passage of a corpus or a memory.

    ``id`` names it wherever it is counted or cited. ``score`` compares within one search only. ``said_at`` is a
    memory's time.
    """

    id: str
    text: str
    title: str = ""
    score: float = 0.0
    said_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        said = {"said_at": self.said_at.isoformat()} if self.said_at else {}
        return {"id": self.id, "title": self.title, "text": self.text, "score": self.score, **said}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Document:
        """What :meth:`to_json` has written."""
        said = value.get("said_at")
        return cls(
            id=value["id"],
            title=value["title"],
            text=value["text"],
            score=value["score"],
            said_at=datetime.fromisoformat(said) if said else None,
        )


@runtime_checkable
class Searcher(Protocol):
    """Finds documents. It may be called from several threads at once."""

    def search(self, query: str, k: int) -> Sequence[Document]:
        """The k documents that fit the query best, best first; fewer if there are fewer, none for an empty source.

        Raises an error of :mod:`memagent.errors` if it cannot search.
        """


class NoSearcher:
    """Finds nothing: for a model that is to answer from what it knows."""

    def search(self, query: str, k: int) -> Sequence[Document]:
        """No document."""
        return ()


def searched(searcher: Searcher, query: str, k: int) -> tuple[Document, ...]:
    """The documents of one search, checked: at most k, each id once."""
    if k < 1:
        raise InvalidInput(f"k is {k}", hint="k is 1 or more")
    found: dict[str, Document] = {}
    for document in searcher.search(query, k):
        if not isinstance(document, Document):
            raise InvalidInput(
                f"{type(searcher).__name__}.search returned a {type(document).__name__}",
                hint="a searcher returns memagent.agents.reason_rag.Document values",
            )
        found.setdefault(document.id, document)
    return tuple(found.values())[:k]
