"""Reading documents: by address, by path, and by what they say."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.bank.bank import MemoryBank
from memagent.errors import NotFound
from memagent.memory.core import Core
from memagent.memory.document_heads import Head, Heads, Path, PathTest, Test, heads_of
from memagent.memory.documents import Address, Document, document, is_expired, name_of, unit_id
from memagent.memory.flow import Flow
from memagent.memory.reading import chosen_retriever, query_text
from memagent.records import Granularity, Hit, Query, to_micros, utc_now
from memagent.stores.port import ReadTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Vector
    from memagent.retrievers.port import Retriever


class Asked(NamedTuple):
    """A question, ready to be put to several users' documents."""

    retriever: Retriever
    query: Query


def question(core: Core, text: str, retriever: Retriever | str | None) -> Flow[Asked]:
    """Prepare a search by content."""
    chosen, wanted = chosen_retriever(core, retriever), query_text(text)
    vector: Vector | None = None
    related: Mapping[str, Sequence[tuple[str, float]]] = {}
    if chosen.uses_vector:
        vector = yield partial(core.query_vector, wanted)
    if getattr(chosen, "uses_related_words", False):
        related = yield partial(core.related_words, wanted)
    return Asked(chosen, Query(text=wanted, vector=vector, granularity=Granularity.DOCUMENT, related=related))


def get(core: Core, user_id: str, addresses: Sequence[Address]) -> Flow[list[Document | None]]:
    """The documents at these addresses, seen in one state; None where there is none, or none any more."""
    core.touch()
    checked_user_id(user_id)

    def work() -> list[Document | None]:
        try:
            with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
                owner = bank.store.owner
                return [_at(transaction, unit_id(owner, name_of(address))) for address in addresses]
        except NotFound:
            return [None] * len(addresses)

    found: list[Document | None] = yield work
    return found


def _at(transaction: ReadTransaction, identifier: str) -> Document | None:
    unit = transaction.find(identifier)
    return None if unit is None or is_expired(unit.metadata, to_micros(utc_now())) else document(unit)


def paths(core: Core, user_id: str, *, belongs: PathTest | None = None) -> Flow[set[Path]]:
    """The paths under which a user has documents, those that ``belongs`` lets pass."""
    core.touch()
    checked_user_id(user_id)

    def work() -> set[Path]:
        try:
            with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
                known = heads_of(bank, transaction)
                return {tuple(head.path) for head in known.chosen(to_micros(utc_now()), belongs=belongs)}
        except NotFound:
            return set()

    found: set[Path] = yield work
    return found


def find(
    core: Core,
    user_id: str,
    *,
    count: int,
    below: Path = (),
    belongs: PathTest | None = None,
    test: Test | None = None,
    question: Asked | None = None,
) -> Flow[list[Document]]:
    """At most ``count`` of a user's documents.

    Those whose paths begin with ``below`` and pass ``belongs``, and whose values pass ``test``. Without a question the
    last written first. With one: those that answer it best first; a document found by several texts is where its best
    text is, one that is not indexed is never among them.
    """
    core.touch()
    checked_user_id(user_id)

    def work() -> list[Document]:
        try:
            with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
                known = heads_of(bank, transaction)
                heads = known.chosen(to_micros(utc_now()), below, belongs, test)
                if question is None:
                    newest = heapq.nlargest(count, heads, key=attrgetter("written"))
                    return [document(unit) for unit in transaction.units([head.key for head in newest], whole=False)]
                return _answers(bank, transaction, known, heads, question, count)
        except NotFound:
            return []

    found: list[Document] = yield work
    return found


def _answers(
    bank: MemoryBank, transaction: ReadTransaction, known: Heads, heads: Sequence[Head], question: Asked, count: int
) -> list[Document]:
    count = min(count, len(heads))
    if not count or bank.store.encoder() is None:
        return []
    among = None if len(heads) == len(known) else np.array(known.units(heads), np.int64)
    # Inside the open transaction: the search sees the state that was filtered.
    with bank.view(among=among) as view:
        depth = count
        while True:
            hits: Sequence[Hit] = question.retriever.retrieve(question.query, view, depth).hits
            best: dict[int, float] = {}
            for hit in hits:  # of several texts of a document the first is the best
                best.setdefault(known.head_of(hit.key), hit.score)
            if len(best) >= count or len(hits) < depth:
                break
            depth *= 2
    return [document(unit, best[unit.key]) for unit in transaction.units(list(best)[:count], whole=False)]
