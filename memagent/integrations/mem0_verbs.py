"""mem0's verbs over the calls of a memory, each defined once for both faces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memagent.errors import InvalidInput, NotFound, UnknownUser
from memagent.integrations.mem0_shapes import EXPIRES, SCOPES, as_given, entity, expiry, scope_of, shown, shown_change
from memagent.integrations.verbs import Call, Routine

UNSET: Any = object()
"""Stands for an argument that was not given where None means something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """mem0's verbs.

    ``infer`` is what an ``add`` that does not say so means, ``wait`` how long it waits for facts; ``retriever`` is what
    a search uses, ``granularity`` what is searched and listed.
    """

    default_user: str | None
    infer: bool
    wait: bool | float
    retriever: str | None
    granularity: str

    def add(
        self,
        messages: object,
        *,
        user_id: object,
        agent_id: object,
        run_id: object,
        metadata: Mapping[str, Any] | None,
        timestamp: Any,
        expiration_date: object,
        infer: bool | None,
        memory_type: object,
        prompt: object,
    ) -> Routine[dict[str, Any]]:
        """Remember messages."""
        _refuse("add", memory_type=memory_type, prompt=prompt)
        labels = dict(metadata or {})
        if expiration_date is not None:
            labels[EXPIRES] = expiry(expiration_date)
        user = self._user(user_id)
        agent, run = _optional(agent_id, "agent_id"), _optional(run_id, "run_id")
        wanted = self.infer if infer is None else infer
        done = yield lambda memory: memory.add(
            as_given(messages),
            user_id=user,
            session_id=run,
            agent_id=agent,
            timestamp=timestamp,
            metadata=labels,
            infer=wanted,
            wait=self.wait if wanted else False,
        )
        return {"results": [{name: event[name] for name in ("id", "memory", "event")} for event in done["results"]]}

    def search(
        self,
        query: str,
        *,
        top_k: int,
        filters: object,
        threshold: float | None,
        rerank: bool,
        explain: bool,
        reference_date: object,
        show_expired: bool,
        others: Mapping[str, Any],
    ) -> Routine[dict[str, Any]]:
        """The memories that answer a query."""
        _refuse_others("search", others)
        _refuse("search", rerank=rerank or None, reference_date=reference_date)
        if threshold is not None and self.retriever != "dense":
            raise InvalidInput(
                "threshold needs scores that mean the same in every search",
                hint='leave it out, or search by cosine: Memory(..., retriever="dense")',
            )
        user, where = scope_of(filters, self.default_user, show_expired=show_expired)
        try:
            found = yield lambda memory: memory.search(
                query,
                user_id=user,
                top_k=top_k,
                filters=where,
                explain=explain,
                retriever=self.retriever,
                granularity=self.granularity,
            )
        except UnknownUser:
            return {"results": []}
        least = float("-inf") if threshold is None else threshold
        return {"results": [shown(item) for item in found["results"] if item["score"] >= least]}

    def get(self, memory_id: str) -> Routine[dict[str, Any] | None]:
        """One memory; None if there is none."""
        try:
            item = yield lambda memory: memory.get(memory_id)
        except NotFound:
            return None
        return shown(item)

    def get_all(
        self, *, filters: object, top_k: int, show_expired: bool, others: Mapping[str, Any]
    ) -> Routine[dict[str, Any]]:
        """A user's memories."""
        _refuse_others("get_all", others)
        user, where = scope_of(filters, self.default_user, show_expired=show_expired)
        try:
            found = yield lambda memory: memory.get_all(
                user_id=user, filters=where, top_k=top_k, granularity=self.granularity
            )
        except UnknownUser:
            return {"results": []}
        return {"results": [shown(item) for item in found["results"]]}

    def update(
        self, memory_id: str, *, text: str | None, metadata: Mapping[str, Any] | None, expiration_date: object
    ) -> Routine[dict[str, str]]:
        """Change a memory; new metadata are laid over the old."""
        given = dict(metadata or {})
        if expiration_date is not UNSET:
            given[EXPIRES] = expiry(expiration_date)
        labels: dict[str, Any] | None = None
        if given or metadata is not None:
            before = yield lambda memory: memory.get(memory_id)
            labels = {**before["metadata"], **given}
        yield lambda memory: memory.update(memory_id, text, metadata=labels)
        return {"message": "Memory updated successfully!"}

    def delete(self, memory_id: str) -> Routine[dict[str, str]]:
        """Remove a memory."""
        yield lambda memory: memory.delete(memory_id)
        return {"message": "Memory deleted successfully!"}

    def delete_all(self, *, user_id: object, agent_id: object, run_id: object) -> Routine[dict[str, str]]:
        """Remove a user's memories, or those of an agent or a run."""
        if user_id is None and agent_id is None and run_id is None:
            raise InvalidInput("nothing says what to delete", hint="pass user_id=; reset() erases everybody")
        user = self._user(user_id)
        agent, run = _optional(agent_id, "agent_id"), _optional(run_id, "run_id")
        filters = None if agent is None else {"agent_id": agent}
        with suppress(UnknownUser):  # mem0 says the same where there was nothing to delete
            yield lambda memory: memory.delete_all(user_id=user, session_id=run, filters=filters)
        return {"message": "Memories deleted successfully!"}

    def history(self, memory_id: str) -> Routine[list[dict[str, Any]]]:
        """What happened to a memory; [] for an id that was never one, as with mem0."""
        try:
            entries = yield lambda memory: memory.history(memory_id)
        except NotFound:
            return []
        created = entries[0]["at"]
        return [shown_change(entry, place, created) for place, entry in enumerate(entries)]

    def reset(self) -> Routine[None]:
        """Erase all users."""
        for user in (yield lambda memory: memory.users()):
            with suppress(UnknownUser):  # somebody else was quicker
                yield _forgetting(user)

    def _user(self, given: object) -> str:
        if given is not None:
            return entity(given, "user_id")
        if self.default_user is None:
            raise InvalidInput(
                "no user is named: memagent keeps a file for each", hint="pass user_id=, or default_user= at the start"
            )
        return self.default_user


def _forgetting(user: str) -> Call:
    return lambda memory: memory.forget_user(user_id=user)


def _optional(value: object, what: str) -> str | None:
    return None if value is None else entity(value, what)


def _refuse(verb: str, **given: object) -> None:
    """Raise InvalidInput for arguments that mem0 has and memagent has not."""
    if named := sorted(name for name, value in given.items() if value is not None):
        raise InvalidInput(f"{verb} does not take {', '.join(named)} here", hint="see docs/integrations/mem0.md")


def _refuse_others(verb: str, others: Mapping[str, Any]) -> None:
    if named := sorted(others):
        is_scope = not SCOPES.isdisjoint(named)
        raise InvalidInput(
            f"{verb} does not take {', '.join(named)}",
            hint=f'name the user in filters: {verb}(filters={{"user_id": ...}})'
            if is_scope
            else "how many is top_k=; see docs/integrations/mem0.md",
        )
