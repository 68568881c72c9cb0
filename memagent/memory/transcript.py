"""The messages of one session, as they were said."""

from __future__ import annotations

from memagent.errors import InvalidInput, UnknownUser
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.messages import as_label
from memagent.records import Granularity, Message
from memagent.stores.sqlite import checked_user_id


def transcript(core: Core, session_id: str, *, user_id: str) -> Flow[list[Message]]:
    """A session's messages in the order they were added; none if nothing is stored for it.

    A turn that :meth:`Memory.update <memagent.Memory.update>` has changed still has the messages that were said.
    """
    checked_user_id(user_id)
    label = as_label(session_id, "session_id")
    if label is None:
        raise InvalidInput("no session is named", hint="pass the session_id that was given to add()")

    def work() -> list[Message]:
        try:
            with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
                state = transaction.session(label)
                if state is None:
                    return []
                turns = transaction.keys_of(state.number, Granularity.TURN)
                return [stored.message for stored in transaction.messages(turns)]
        except UnknownUser:
            return []

    found: list[Message] = yield work
    return found
