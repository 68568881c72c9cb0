"""A user's private data in their own memory: brought in, and looked up for a task. Nothing here reaches the cloud."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.ports import PrivateTask, Written
from memagent.answering.recall import Wanted, recall
from memagent.errors import InvalidInput, UnknownUser

if TYPE_CHECKING:
    from memagent.answering.values import Evidence
    from memagent.memory import Memory
    from memagent.memory.replies import Item
    from memagent.records import Granularity
    from memagent.retrievers.port import Retriever

KIND = "lsrp"
"""The metadata key that marks what this module has stored: its value is ``profile`` or ``writing``."""
_PROFILE: dict[str, Any] = {KIND: "profile"}
_WRITING: dict[str, Any] = {KIND: "writing"}


def remember_private(
    memory: Memory,
    *,
    user_id: str,
    profile: Mapping[str, str] | None = None,
    history: Sequence[Written] = (),
    timestamp: datetime | str | None = None,
) -> int:
    """Bring profile facts and earlier texts into a user's memory; returns how many were new or changed.

    A fact becomes a turn ``field: value``, and a new value takes the place of the old one. A text becomes a session of
    one turn, its title first; the same text is stored once. ``timestamp``: when the texts were written (None: now).
    Raises InvalidInput for a fact that is no text, and what :meth:`Memory.add <memagent.Memory.add>` does.
    """
    facts: list[Any] = [part for fact in (profile or {}).items() for part in fact]
    wrong = [part for part in facts if not isinstance(part, str)]
    if wrong:
        raise InvalidInput(f"{type(wrong[0]).__name__} stands in the profile", hint="write facts as text")
    changed = sum(_fact(memory, user_id, name, value) for name, value in (profile or {}).items() if value.strip())
    known = {item["session_id"] for item in _items(memory, user_id, _WRITING)}
    for one in history:
        session = _session_of(one)
        if session in known:
            continue
        known.add(session)
        memory.add(
            f"{one.title}\n\n{one.text}",
            user_id=user_id,
            session_id=session,
            timestamp=timestamp,
            metadata=_WRITING | {"title": one.title},
        )
        changed += 1
    return changed


def profile_in(memory: Memory, *, user_id: str) -> dict[str, str]:
    """The profile facts in a user's memory, in the order in which they came; nothing for an unknown user."""
    found = {}
    for item in _items(memory, user_id, _PROFILE):
        name = str(item["metadata"]["field"])
        found[name] = _said(item).removeprefix(f"{name}: ")
    return found


def writings_in(memory: Memory, *, user_id: str) -> tuple[Written, ...]:
    """The earlier texts in a user's memory, in the order in which they came; nothing for an unknown user."""
    found = []
    for item in _items(memory, user_id, _WRITING):
        title = str(item["metadata"]["title"])
        found.append(Written(title=title, text=_said(item).removeprefix(f"{title}\n\n")))
    return tuple(found)


class PrivateMemory:
    """One user's memory as the device uses it. Safe from several threads.

    ``retriever`` (None: the memory's own), ``granularity``, ``filters`` and ``as_of`` are those of
    :meth:`Memory.search <memagent.Memory.search>`; ``top_k`` memories are looked up for a task. Profile facts are not
    among them: the profile is shown whole.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: str,
        top_k: int = 5,
        retriever: Retriever | str | None = None,
        granularity: Granularity | str = "turn",
        filters: Mapping[str, Any] | None = None,
        as_of: datetime | str | None = None,
    ) -> None:
        if type(top_k) is not int or top_k < 0:
            raise InvalidInput(f"top_k is {top_k!r}", hint="a whole number, 0 for none")
        self.memory = memory
        self.user_id = user_id
        self._top_k = top_k
        self._retriever = retriever
        self._granularity = granularity
        not_profile = {"NOT": _PROFILE}
        self._filters = {"AND": [not_profile, filters]} if filters else not_profile
        self._as_of = as_of

    def completed(self, task: PrivateTask) -> PrivateTask:
        """The task with the profile, and the earlier texts, of the memory where it has none of its own."""
        if not task.profile:
            task = replace(task, profile=profile_in(self.memory, user_id=self.user_id))
        if not task.history:
            task = replace(task, history=writings_in(self.memory, user_id=self.user_id))
        return task

    def recalled(self, task: PrivateTask) -> tuple[Evidence, ...]:
        """What the memory holds for the task, best first; nothing for an unknown user.

        Raises what :meth:`Memory.search <memagent.Memory.search>` does.
        """
        if not self._top_k or not task.text.strip():
            return ()
        wanted = Wanted(
            question=task.text,
            user_id=self.user_id,
            top_k=self._top_k,
            retriever=self._retriever,
            granularity=self._granularity,
            filters=self._filters,
            as_of=self._as_of,
        )
        return recall(self.memory, wanted).evidence


def _session_of(one: Written) -> str:
    content = "\0".join((one.title, one.text)).encode(errors="surrogatepass")
    return f"writing-{hashlib.sha256(content).hexdigest()[:24]}"


def _fact(memory: Memory, user_id: str, name: str, value: str) -> bool:
    text, fields = f"{name}: {value}", _PROFILE | {"field": name}
    for item in _items(memory, user_id, fields):
        if _said(item) == text:
            return False
        memory.update(item["id"], text, user_id=user_id)
        return True
    memory.add(text, user_id=user_id, session_id="profile", metadata=fields)
    return True


def _items(memory: Memory, user_id: str, fields: Mapping[str, Any]) -> list[Item]:
    try:
        return memory.get_all(user_id=user_id, filters=dict(fields), top_k=None)["results"]
    except UnknownUser:
        return []


def _said(item: Item) -> str:
    return item["memory"]
