"""Writing documents: what is embedded before, and one transaction a user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from memagent.errors import NotFound, StoreReadOnly
from memagent.memory.core import Core
from memagent.memory.documents import (
    SESSION,
    Address,
    DocumentDraft,
    head_metadata,
    is_expired,
    is_head,
    name_of,
    part_ids,
    session_number,
    unit_id,
)
from memagent.memory.flow import Flow
from memagent.memory.forgetting import forget_texts
from memagent.memory.ingest import Encoded
from memagent.memory.terms import lexical_terms
from memagent.memory.writing import claim_encoder
from memagent.records import Granularity, MemoryUnit, to_micros, utc_now
from memagent.stores.port import ReadTransaction, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from collections.abc import Callable

_LATER = 1_000_000  # microseconds that a use must add to a document's life to be written down


def put(core: Core, user_id: str, drafts: Sequence[DocumentDraft], gone: Sequence[Address] = ()) -> Flow[None]:
    """Store documents under their addresses, in place of those that are there, and remove others; all or nothing.

    A document that is overwritten keeps when it was created. What was there leaves no history.
    """
    core.touch()
    checked_user_id(user_id)
    texts = list(dict.fromkeys(text for draft in drafts for text in draft.texts))
    encoded: dict[str, Encoded] = {}
    if texts:
        vectors = yield from core.encode(texts)
        terms: list[bytes] = yield lambda: [lexical_terms(text) for text in texts]
        encoded = {t: Encoded(v, b) for t, v, b in zip(texts, vectors, terms, strict=True)}

    def change(writer: DocumentWriter) -> None:
        for address in gone:
            writer.remove(address)
        for draft in drafts:
            writer.put(draft)

    yield partial(_write, core, user_id, change, encoded, create=bool(drafts))


def keep(core: Core, user_id: str, addresses: Sequence[Address]) -> Flow[None]:
    """Note that documents were used: their life begins anew. Those that are gone, or do not expire, are left alone.

    Where nothing can be written they expire all the same: that is no reason not to read them.
    """

    def change(writer: DocumentWriter) -> None:
        for address in addresses:
            writer.keep(address)

    def work() -> None:
        with suppress(StoreReadOnly):
            _write(core, user_id, change, {})

    yield work


def sweep(core: Core, user_id: str) -> Flow[int]:
    """Remove a user's expired documents; how many there were."""
    checked_user_id(user_id)

    def look() -> list[Address]:
        try:
            with core.banks.lease(user_id, keep=False) as bank, bank.store.read() as transaction:
                return _expired(transaction)
        except NotFound:
            return []

    found: list[Address] = yield look
    if not found:
        return 0
    removed: list[Address] = []

    def change(writer: DocumentWriter) -> None:
        removed.extend(filter(writer.remove_expired, found))

    yield partial(_write, core, user_id, change, {}, keep=False)
    return len(removed)


def _expired(transaction: ReadTransaction) -> list[Address]:
    state = transaction.session(SESSION)
    keys = transaction.keys_of(state.number, Granularity.DOCUMENT) if state else []
    now = to_micros(utc_now())
    heads = [u.metadata for u in transaction.attributes(keys).values() if is_head(u.metadata)]
    return [Address(tuple(head["path"]), head["key"]) for head in heads if is_expired(head, now)]


def _write(
    core: Core,
    user_id: str,
    change: Callable[[DocumentWriter], None],
    encoded: Mapping[str, Encoded],
    *,
    create: bool = False,
    keep: bool = True,
) -> None:
    try:
        with core.banks.lease(user_id, create=create, keep=keep) as bank, bank.store.write() as transaction:
            if encoded:
                claim_encoder(core, bank, transaction)
            writer = DocumentWriter(transaction, bank.store.owner, encoded, now=to_micros(utc_now()))
            change(writer)
            (forget_texts if writer.has_removed else Core.forget_texts)(core, writer.dropped)
    except NotFound:
        if create:
            raise  # otherwise there is nothing to remove


class DocumentWriter:
    """Writes documents inside one transaction; ``dropped`` are the texts that are of no more use."""

    def __init__(self, transaction: WriteTransaction, owner: str, encoded: Mapping[str, Encoded], *, now: int) -> None:
        self._tx = transaction
        self._owner = owner
        self._encoded = encoded
        self._now = now
        self._number: int | None = None
        self.dropped: list[str] = []
        self.has_removed = False

    def put(self, draft: DocumentDraft) -> None:
        """Store a document under its address."""
        old = self._head(draft.address)
        olds = [] if old is None else [old, *self._found(part_ids(old))]
        self.dropped += {unit.text for unit in olds if unit.text}.difference(draft.texts)
        if old is not None and is_expired(old.metadata, self._now):
            self._tx.delete_units([unit.key for unit in olds], log=False)
            olds = []
        new = self._drafts(draft, created=to_micros(olds[0].created_at) if olds else self._now)
        kept = min(len(olds), len(new))
        if olds and bool(olds[0].text) != bool(new[0].text):
            kept = 0  # a vector comes or goes, and with it a place among the indexes
        for unit, written in zip(olds[:kept], new[:kept], strict=True):
            self._tx.replace_unit(unit.key, replace(written, at=self._now), log=False)
        self._tx.delete_units([unit.key for unit in olds[kept:]], log=False)
        self._tx.insert_units(new[kept:])

    def _drafts(self, draft: DocumentDraft, *, created: int) -> list[UnitDraft]:
        name = name_of(draft.address)
        drafts: list[UnitDraft] = []
        for place, text in enumerate(draft.texts or ("",)):
            made = self._encoded.get(text)
            drafts.append(
                UnitDraft(
                    id=unit_id(self._owner, name, place),
                    session=self._session(),
                    granularity=Granularity.DOCUMENT,
                    text=text,
                    event_at=self._now,
                    at=created,
                    updated_at=self._now,
                    metadata={"document": name, "part": place} if place else head_metadata(draft, now=self._now),
                    terms=made.terms if made else b"",
                    vector=made.vector if made else None,
                )
            )
        return drafts

    def remove(self, address: Address) -> None:
        """Remove a document and every trace of its texts and its value."""
        head = self._head(address)
        if head is not None:
            units = [head, *self._found(part_ids(head))]
            self.dropped += [unit.text for unit in units if unit.text]
            self.has_removed = True
            self._tx.delete_units([unit.key for unit in units], at=self._now)

    def remove_expired(self, address: Address) -> bool:
        """Remove a document if it has expired; whether it had."""
        head = self._head(address)
        if head is None or not is_expired(head.metadata, self._now):
            return False
        self.remove(address)
        return True

    def keep(self, address: Address) -> None:
        """Let a document that expires live on from now."""
        head = self._head(address)
        if head is None or head.metadata["lifetime"] is None or is_expired(head.metadata, self._now):
            return
        until = self._now + head.metadata["lifetime"]
        if until - head.metadata["expires_at"] < _LATER:
            return
        updated = to_micros(head.updated_at)
        draft = UnitDraft(
            id=head.id,
            session=self._session(),
            granularity=Granularity.DOCUMENT,
            text=head.text,
            event_at=to_micros(head.event_at),
            at=updated,
            metadata={**head.metadata, "expires_at": until},
            terms=lexical_terms(head.text) if head.text else b"",
        )
        self._tx.replace_unit(head.key, draft, log=False)

    def _head(self, address: Address) -> MemoryUnit | None:
        return self._tx.find(unit_id(self._owner, name_of(address)))

    def _found(self, ids: Iterable[str]) -> list[MemoryUnit]:
        return [unit for unit in map(self._tx.find, ids) if unit is not None]

    def _session(self) -> int:
        if self._number is None:
            self._number = session_number(self._tx)
        return self._number
