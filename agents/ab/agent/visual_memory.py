"""Recall of past experiences by text and poster together.

The paper embeds texts and posters and retrieves by both; its scoring formula, weights and number are not known. Here
the two rankings are fused by ranks, as Cormack, Clarke and Buettcher do (SIGIR 2009, with their k of 60), weighted:

    score = (1 - weight) / (60 + rank by text) + weight / (60 + rank by poster)

An experience without a poster has its rank by text for both, so that it is neither helped nor hurt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.agent.image_vectors import PosterVectors
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.agent.memories import Experience, LongTermMemory
    from memagent.agents.ab.agent.posters import PosterSource
    from memagent.agents.ab.catalogue import Item

WEIGHT = 0.3
"""Of posters, against 0.7 of texts; ours."""

_RANK = 60.0
_POOL = 4  # times k: how far down the ranking by text is read


class VisualMemory:
    """A :class:`~memagent.agents.ab.agent.memories.LongTermMemory` whose experiences are recalled by posters too.

    ``texts`` keeps the experiences and ranks them by text. An experience that is about one item with a poster is also
    ranked by the greatest cosine of that poster and those of the items on the page. A page without posters is recalled
    by text alone.
    """

    def __init__(self, texts: LongTermMemory, vectors: PosterVectors, *, weight: float = WEIGHT) -> None:
        if not 0 <= weight <= 1:
            raise InvalidInput(f"the weight of posters is {weight!r}", hint="from 0 to 1")
        self._texts = texts
        self._vectors = vectors
        self._weight = weight
        self._banks: dict[str, dict[str, NDArray[np.float32]]] = {}
        self._lock = threading.Lock()

    @property
    def posters(self) -> PosterSource:
        """Where the pictures come from that memories are recalled by."""
        return self._vectors.posters

    @property
    def fingerprint(self) -> str:
        """Of the texts' memory, the encoder and the weight."""
        return f"{self._texts.fingerprint}, posters {self._weight:g} by {self._vectors.fingerprint}"

    def begin(self, bank: str, experiences: Sequence[Experience]) -> None:
        """See :class:`~memagent.agents.ab.agent.memories.LongTermMemory`."""
        self._texts.begin(bank, experiences)
        seen = self._seen(experiences)
        with self._lock:
            self._banks[bank] = seen

    def remember(self, bank: str, experiences: Sequence[Experience]) -> None:
        """See :class:`~memagent.agents.ab.agent.memories.LongTermMemory`."""
        self._texts.remember(bank, experiences)
        seen = self._seen(experiences)
        with self._lock:
            self._banks.setdefault(bank, {}).update(seen)

    def recall(self, bank: str, query: str, items: Sequence[Item], k: int) -> list[str]:
        """See :class:`~memagent.agents.ab.agent.memories.LongTermMemory`."""
        shown = list(self._vectors.of(items).values()) if self._weight else []
        with self._lock:
            own = dict(self._banks.get(bank, {}))
        if not shown or not own or k < 1:
            return self._texts.recall(bank, query, items, k)
        by_text = self._texts.recall(bank, query, items, _POOL * k)
        likeness = np.max(np.stack(list(own.values())) @ np.stack(shown).T, axis=1)
        texts = list(own)
        by_poster = [texts[place] for place in np.argsort(-likeness, kind="stable").tolist()]
        return fused(by_text, by_poster, weight=self._weight)[:k]

    def forget(self, bank: str) -> None:
        """See :class:`~memagent.agents.ab.agent.memories.LongTermMemory`."""
        self._texts.forget(bank)
        with self._lock:
            self._banks.pop(bank, None)

    def _seen(self, experiences: Sequence[Experience]) -> dict[str, NDArray[np.float32]]:
        """The poster's vector by the text of the experience, for those that have one."""
        about = [(one.text, one.item) for one in experiences if one.item is not None]
        vectors = self._vectors.of([item for _, item in about])
        return {text: vectors[item.id] for text, item in about if item.id in vectors}


def fused(by_text: Sequence[str], by_poster: Sequence[str], *, weight: float) -> list[str]:
    """Two rankings as one, by the formula above; equal scores in the order of the first, then of the second.

    ``by_poster`` holds all that have posters; what is missing in ``by_text`` comes after its last place.
    """
    text = {one: rank for rank, one in enumerate(dict.fromkeys(by_text), start=1)}
    poster = {one: rank for rank, one in enumerate(dict.fromkeys(by_poster), start=1)}
    scores = {}
    for one in (*text, *poster):
        by_words = text.get(one, len(text) + 1)
        scores[one] = (1 - weight) / (_RANK + by_words) + weight / (_RANK + poster.get(one, by_words))
    return sorted(scores, key=lambda one: -scores[one])
