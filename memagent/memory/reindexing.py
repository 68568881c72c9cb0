"""The verb that embeds a user's memories again: reindex."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memagent.errors import StoreBusy
from memagent.memory.association import associate
from memagent.memory.core import Core
from memagent.memory.documents import is_embedded
from memagent.memory.flow import Flow
from memagent.memory.sessions import mean_vector, sum_of
from memagent.records import Granularity
from memagent.stores.port import ReadTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Vector


def reindex(core: Core, *, user_id: str) -> Flow[int]:
    """Embed all of a user's units again with the present encoder; how many there were."""
    checked_user_id(user_id)

    def read() -> dict[int, str]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            return _texts(core, transaction)

    texts: dict[int, str] = yield read
    vectors = yield from core.encode(list(texts.values()))
    by_key: dict[int, Vector] = dict(zip(texts, vectors, strict=True))

    def write() -> None:
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            if _texts(core, transaction) != texts:
                raise StoreBusy("the user's memories changed during the reindexing", hint="run it again")
            transaction.set_encoder(core.encoder.fingerprint, core.encoder.dim)
            transaction.delete_links()
            for state in transaction.sessions():
                if not state.turns:  # documents
                    continue
                total = sum_of(by_key[key] for key in transaction.keys_of(state.number, Granularity.TURN))
                transaction.save_session(replace(state, vector_sum=total))
                mean = mean_vector(total)
                assert mean is not None  # a session has turns
                by_key.setdefault(state.unit, mean)
            transaction.set_vectors({key: vector.astype("<f4").tobytes() for key, vector in by_key.items()})

    yield write
    yield from associate(core, user_id)
    return len(texts)


def _texts(core: Core, transaction: ReadTransaction) -> dict[int, str]:
    """The texts that are embedded, by the keys of their units; a session's is not where its vector is a mean."""
    whole = {state.unit for state in transaction.sessions(derived=True)} if core.text_vectors else set()
    units = transaction.units(sorted(transaction.attributes()), whole=False)
    texts = {unit.key: unit.text for unit in units if unit.granularity is not Granularity.SESSION and is_embedded(unit)}
    return texts | {unit.key: unit.text for unit in transaction.units(sorted(whole))}
