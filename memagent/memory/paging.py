"""A page of a user's memories, without reading the others."""

from __future__ import annotations

from typing import Literal

import numpy as np

from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.replies import ListReply, item
from memagent.records import Granularity
from memagent.stores.sqlite import checked_user_id


def page(
    core: Core,
    *,
    user_id: str,
    limit: int,
    granularity: Granularity = Granularity.TURN,
    session_id: str | None = None,
    order: Literal["stored", "said"] = "stored",
    newest: bool = True,
    offset: int = 0,
) -> Flow[ListReply]:
    """At most ``limit`` memories after the first ``offset``, in the order in which they were stored or said.

    ``newest`` begins with the last one. ``session_id`` leaves those of one session. ``total`` counts all pages. What is
    read from the file is the page alone. Raises UnknownUser.
    """
    checked_user_id(user_id)

    def work() -> ListReply:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction, bank.view() as view:
            keys, sessions, said = view.columns(granularity)
            if session_id is not None:
                state = transaction.session(session_id)
                among = sessions == (-1 if state is None else state.number)
                keys, said = keys[among], said[among]
            if order == "said":
                keys = keys[np.lexsort((keys, said))]
            chosen = (keys[::-1] if newest else keys)[offset : offset + limit]
            return ListReply(results=[item(unit) for unit in view.units(chosen.tolist())], total=len(keys))

    found: ListReply = yield work
    return found
