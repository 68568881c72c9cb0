"""What a store's own messages show when they are taken for questions about what was said before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.evals.calibrate import refuse_open_probe
from memagent.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.evals.retrieval import Progress
    from memagent.retrievers.rf_mem import RFMem

ASKING = ("?", "？", "؟")
_FEWEST_ASKING = 20
_MOMENT = timedelta(microseconds=1)


class Asked(NamedTuple):
    """A message that is taken for a question, and when it was said."""

    user_id: str
    text: str
    event_at: datetime


def later_messages(store: Path, users: Sequence[str], limit: int) -> list[Asked]:
    """At most ``limit`` user messages of the later half of each history, spread evenly over time.

    Only those that hold a question mark, if a history has enough of them. Raises UnknownUser.
    """
    found = []
    for user_id in users:
        user = SQLiteStore(store).open(user_id)
        try:
            with user.read() as transaction:
                messages = [stored.message for stored in transaction.messages() if stored.message.role == "user"]
        finally:
            user.close()
        messages = sorted((m for m in messages if m.content.strip()), key=lambda message: message.event_at)
        later = messages[len(messages) // 2 :]
        asking = [message for message in later if any(mark in message.content for mark in ASKING)]
        if len(asking) >= _FEWEST_ASKING:
            later = asking
        places = np.unique(np.linspace(0, len(later) - 1, min(limit, len(later))).round().astype(int)).tolist()
        found += [Asked(user_id, later[place].content, later[place].event_at) for place in places]
    return found


def signals_of_messages(
    memory: Memory, asked: Sequence[Asked], retriever: RFMem, granularity: str, progress: Progress | None = None
) -> list[tuple[float, float]]:
    """The mean and entropy of what each message finds of what was said before it.

    Messages with too little history before them to fill the probe are left out.
    """
    refuse_open_probe(retriever)
    look = replace(retriever, path="familiarity")
    wanted = retriever.probe or 1
    found = []
    for place, (user_id, text, event_at) in enumerate(asked):
        if progress:
            progress(place, len(asked), f"searching {user_id}")
        reply = memory.search(
            text,
            user_id=user_id,
            top_k=wanted,
            retriever=look,
            granularity=granularity,
            as_of=event_at - _MOMENT,
            explain=True,
        )
        signals = reply["trace"]["signals"]
        if signals["probe"] >= wanted:
            found.append((signals["mean_score"], signals["entropy"]))
    return found
