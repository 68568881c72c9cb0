from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from stored_turns import fast_directory

from memagent import Memory
from memagent.errors import InvalidUserId, MemagentError, UnknownMemory, UnknownUser
from memagent.testing import HashingEncoder
from memagent.testing.store_contract import ODD_IDS

WORDS = ("tea", "lake", "Vera", "roof", "winter", "birds", "paint", "harbour", "noon", "cat", "rusted", "green")
FIXED = "2025-03-01T12:00:00+00:00"
IDS = st.one_of(
    st.sampled_from(ODD_IDS),
    st.text(min_size=1, max_size=12),
    st.text(st.characters(categories=["Lu", "Ll"]), min_size=1, max_size=3),
    st.integers(1, 4096).map(lambda size: "é" * size),
)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
SESSIONS = st.sampled_from(("s1", "s2", "s3"))
WHO = st.integers(0, 2)
PLACE = st.integers(0, 5)


def plain(reply: Any, seen: dict[str, int]) -> Any:
    """A reply without what differs between two memories that hold the same: ids by first appearance, no clocks."""
    if isinstance(reply, dict):
        return {
            key: plain(value, seen)
            for key, value in reply.items()
            if key not in ("created_at", "updated_at", "at", "path", "timings", "cached_vectors")
        }
    if isinstance(reply, list | tuple):
        return [plain(value, seen) for value in reply]
    if isinstance(reply, str) and len(reply) in (26, 91) and reply[-26:].isalnum() and reply[-26:].isupper():
        return seen.setdefault(reply, len(seen))
    return reply


class User:
    """One user of the common memory, and the same user alone in a memory of their own."""

    def __init__(self, user_id: str, common: Memory, alone: Memory) -> None:
        self.user_id = user_id
        self.memories = (common, alone)
        self.seen: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def both(self, call: Callable[[Memory, list[str]], Any]) -> list[Any]:
        """Make a call in both memories; the replies, which must be the same."""
        raw = [self._tried(memory, call) for memory in self.memories]
        same = [plain(reply, seen) for reply, seen in zip(raw, self.seen, strict=True)]
        assert same[0] == same[1]
        return raw

    def _tried(self, memory: Memory, call: Callable[[Memory, list[str]], Any]) -> Any:
        try:
            return call(memory, self.ids(memory))
        except MemagentError as error:
            return type(error)

    def ids(self, memory: Memory) -> list[str]:
        """The ids of all the user's memories, sessions' included."""
        try:
            return [
                unit["id"]
                for granularity in ("turn", "session", "summary", "keywords")
                for unit in memory.get_all(user_id=self.user_id, granularity=granularity, top_k=None)["results"]
            ]
        except UnknownUser:
            return []

    def look(self) -> None:
        """Everything that can be asked gives the same in both memories."""
        for granularity in ("turn", "session", "summary", "keywords"):
            self.both(lambda memory, _: memory.get_all(user_id=self.user_id, granularity=granularity, top_k=None))  # noqa: B023
            for retriever in ("dense", "bm25", "hybrid"):
                self.both(
                    lambda memory, _: memory.search(
                        "green tea at the lake",
                        user_id=self.user_id,
                        granularity=granularity,  # noqa: B023
                        retriever=retriever,  # noqa: B023
                        top_k=50,
                        explain=True,
                    )
                )
        self.both(lambda memory, _: memory.stats(user_id=self.user_id))
        self.both(lambda memory, ids: [memory.history(key) for key in ids])
        self.both(lambda memory, _: memory.verify(user_id=self.user_id)["ok"])


class Isolation(RuleBasedStateMachine):
    """Three users in one memory, any calls; each must get what they would get alone."""

    in_memory = True

    @initialize(ids=st.lists(IDS, min_size=3, max_size=3, unique=True))
    def begin(self, ids: list[str]) -> None:
        self.closing = ExitStack()
        self.root = self.closing.enter_context(fast_directory())
        common = self.opened(":memory:" if self.in_memory else self.root / "common")
        self.users = [User(user_id, common, self.opened(":memory:")) for user_id in ids]
        self.exports = 0
        self.may_know = [{who} for who in range(3)]  # whose texts a user may hold: their own, and what was imported

    def opened(self, path: Path | str) -> Memory:
        # At most one user is open: each call of another closes a file.
        memory = Memory(path, encoder=HashingEncoder(32), background=False, max_open_users=1)
        self.closing.callback(memory.close)
        return memory

    def teardown(self) -> None:
        if hasattr(self, "closing"):
            for user in self.users:
                user.look()
            self.closing.close()

    @rule(who=WHO, text=TEXTS, session=SESSIONS, role=st.sampled_from(("user", "assistant")), topic=PLACE)
    def add(self, who: int, text: str, session: str, role: str, topic: int) -> None:
        user = self.users[who]
        message = {"role": role, "content": f"{text} secret{who}"}
        user.both(
            lambda memory, _: memory.add(
                message, user_id=user.user_id, session_id=session, timestamp=FIXED, metadata={"topic": topic}
            )
        )

    @rule(who=WHO, text=TEXTS, retriever=st.sampled_from(("dense", "bm25", "hybrid")), topic=PLACE)
    def search(self, who: int, text: str, retriever: str, topic: int) -> None:
        user = self.users[who]
        filters = {"topic": {"gte": topic}} if topic else None
        raw = user.both(
            lambda memory, _: memory.search(
                text, user_id=user.user_id, retriever=retriever, top_k=3, filters=filters, explain=True
            )
        )
        others = {f"secret{other}" for other in range(3) if other not in self.may_know[who]}
        assert isinstance(raw[0], type) or not any(other in str(raw[0]) for other in others)

    @rule(who=WHO, place=PLACE, text=TEXTS)
    def update(self, who: int, place: int, text: str) -> None:
        self.users[who].both(lambda memory, ids: memory.update(ids[place % len(ids)], text) if ids else None)

    @rule(who=WHO, place=PLACE)
    def delete(self, who: int, place: int) -> None:
        self.users[who].both(lambda memory, ids: memory.delete(ids[place % len(ids)]) if ids else None)

    @rule(who=WHO, session=SESSIONS)
    def delete_session(self, who: int, session: str) -> None:
        user = self.users[who]
        user.both(lambda memory, _: memory.delete_all(user_id=user.user_id, session_id=session))

    @rule(who=WHO, session=SESSIONS)
    def close_session(self, who: int, session: str) -> None:
        user = self.users[who]
        user.both(lambda memory, _: memory.close_session(session, user_id=user.user_id))

    @rule(who=WHO)
    def forget(self, who: int) -> None:
        user = self.users[who]
        user.both(lambda memory, _: memory.forget_user(user_id=user.user_id))

    @precondition(lambda self: hasattr(self, "users"))
    @rule(who=WHO, other=WHO)
    def copy(self, who: int, other: int) -> None:
        """Export one user and import it as another: the only way in which anything may pass between two users."""
        source, target = self.users[who], self.users[other]
        self.exports += 1
        paths = [self.root / f"{self.exports}-{name}.jsonl" for name in ("common", "alone")]
        by_memory = dict(zip(map(id, source.memories), paths, strict=True))
        source.both(lambda memory, _: memory.export(by_memory[id(memory)], user_id=source.user_id))
        if paths[0].exists():
            self.may_know[other] |= self.may_know[who]
            by_memory = dict(zip(map(id, target.memories), paths, strict=True))
            target.both(lambda memory, _: memory.import_(by_memory[id(memory)], user_id=target.user_id))

    @rule(who=WHO, other=WHO, place=PLACE)
    def use_the_id_of_another(self, who: int, other: int, place: int) -> None:
        mine, theirs, common = self.users[who], self.users[other], self.users[0].memories[0]
        if who == other or not (ids := theirs.ids(common)):
            return
        key = ids[place % len(ids)]
        for call in (
            common.get,
            common.delete,
            common.history,
            lambda key, user_id: common.update(key, "x", user_id=user_id),
        ):
            with pytest.raises(UnknownMemory):
                call(key, user_id=mine.user_id)

    @rule(who=WHO)
    def look(self, who: int) -> None:
        self.users[who].look()

    @rule()
    def list_users(self) -> None:
        common = self.users[0].memories[0]
        assert set(common.users()) == {name for user in self.users for name in user.memories[1].users()}
        assert common.stats()["users"] == len(common.users())


class IsolationOnDisk(Isolation):
    in_memory = False


TestIsolationInMemory = Isolation.TestCase
TestIsolationInMemory.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestIsolationOnDisk = pytest.mark.slow(IsolationOnDisk.TestCase)
TestIsolationOnDisk.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("user_id", ["", "\ud800", "ann\udfff", None, 7, b"ann"])
def test_an_id_that_cannot_name_a_user_is_refused_by_every_verb(user_id: Any, tmp_path: Path) -> None:
    with Memory(tmp_path / "memory", encoder=HashingEncoder(32), background=False) as memory:
        key = memory.add("something", user_id="ann")["results"][0]["id"]
        memory.export(tmp_path / "export.jsonl", user_id="ann")
        calls: list[Callable[[], object]] = [
            lambda: memory.add("text", user_id=user_id),
            lambda: memory.add_many([{"messages": "text"}], user_id=user_id),
            lambda: memory.close_session("s", user_id=user_id),
            lambda: memory.flush(user_id=user_id),
            lambda: memory.search("text", user_id=user_id),
            lambda: memory.context("text", user_id=user_id),
            lambda: memory.get_all(user_id=user_id),
            lambda: memory.delete_all(user_id=user_id),
            lambda: memory.forget_user(user_id=user_id),
            lambda: memory.export(tmp_path / "other.jsonl", user_id=user_id),
            lambda: memory.backup(tmp_path / "other.db", user_id=user_id),
            lambda: memory.reindex(user_id=user_id),
        ]
        if user_id is not None:
            calls += [
                lambda: memory.get(key, user_id=user_id),
                lambda: memory.update(key, "other", user_id=user_id),
                lambda: memory.delete(key, user_id=user_id),
                lambda: memory.history(key, user_id=user_id),
                lambda: memory.import_(tmp_path / "export.jsonl", user_id=user_id),
                lambda: memory.stats(user_id=user_id),
                lambda: memory.verify(user_id=user_id),
            ]
        for call in calls:
            with pytest.raises(InvalidUserId):
                call()
        assert memory.users() == ["ann"]
        assert memory.get(key)["memory"] == "something"
