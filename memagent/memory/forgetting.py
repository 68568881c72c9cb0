"""The verb that erases a user, and the dropping of texts from caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from memagent.errors import (
    EncoderError,
    ErasureFinished,
    StoreCorrupt,
    StoreVersion,
    UnknownUser,
    UserForgotten,
)
from memagent.granularity import clear_word_caches, embedded_texts
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.replies import Erased
from memagent.records import Granularity, MemoryUnit
from memagent.stores.port import ReadTransaction
from memagent.stores.sqlite import checked_user_id


def forget_texts(core: Core, texts: Sequence[str]) -> int:
    """Drop what this process and an encoder's cache remember of texts; how many cached vectors there were."""
    clear_word_caches()
    return core.forget_texts(texts)


def forget_user(core: Core, *, user_id: str) -> Flow[Erased]:
    """Erase everything about a user: text, vectors, history, the id, and cached vectors.

    A call that was cut off is finished by the next one, which counts what it still finds.
    """
    core.touch()
    checked_user_id(user_id)

    def look() -> _Content:
        try:
            return read()
        except ErasureFinished:
            return _Content(is_erased=True)
        except (EncoderError, StoreCorrupt, StoreVersion, UnknownUser, UserForgotten):
            # What cannot be read can be erased too; of an unknown user there may be files all the same.
            return _Content()

    def read() -> _Content:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            units = transaction.units(sorted(transaction.attributes()))
            texts = [text for unit in units for text in (unit.text, *_sentences(transaction, unit))]
            texts += [change.old_text for change in transaction.history() if change.old_text]
            return _Content(texts, transaction.counts())

    def erase() -> None:
        try:
            core.store.forget(user_id)
        finally:
            # Afterwards: a bank opened meanwhile would keep the erased file alive.
            core.banks.close_user(user_id)

    found: _Content = yield look
    cached = yield partial(forget_texts, core, found.texts)
    if not found.is_erased:
        yield erase
    return Erased(
        user_id=user_id,
        units=found.counts.get("units", 0),
        sessions=found.counts.get("sessions", 0),
        messages=found.counts.get("messages", 0),
        cached_vectors=cached,
    )


class _Content(NamedTuple):
    """What was found of a user: texts and counts, or that a call before has erased it all."""

    texts: Sequence[str] = ()
    counts: Mapping[str, int] = {}
    is_erased: bool = False


def _sentences(transaction: ReadTransaction, unit: MemoryUnit) -> list[str]:
    """What was embedded of a session to write its summary."""
    if unit.granularity is not Granularity.SESSION:
        return []
    state = transaction.session(unit.session_id)
    keys = transaction.keys_of(state.number, Granularity.TURN) if state else []
    return embedded_texts([turn.text for turn in transaction.units(keys)])
