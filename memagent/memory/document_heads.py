"""What searches look at of a user's documents, remembered between searches and brought up to date by what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from memagent.bank.bank import MemoryBank
from memagent.memory.documents import SESSION, is_head
from memagent.records import Granularity
from memagent.stores.port import Attributes, ReadTransaction

Path: TypeAlias = tuple[str, ...]
Test: TypeAlias = Callable[[Any], bool]
"""A test of a document's value, read from JSON."""
PathTest: TypeAlias = Callable[[Sequence[str]], bool]


class Head:
    """The head of a document, as much of it as searches look at."""

    __slots__ = ("_value", "expires_at", "key", "name", "path", "unit")

    def __init__(self, key: int, unit: Attributes) -> None:
        self.key = key
        self.unit = unit
        self.path: Sequence[str] = unit.metadata["path"]
        self.name: str = unit.metadata["document"]
        self.expires_at: int | None = unit.metadata["expires_at"]
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The document's value; read from JSON once."""
        if self._value is None:
            self._value = json.loads(self.unit.metadata["value"])
        return self._value

    @property
    def written(self) -> tuple[int, int]:
        """What puts documents in the order in which they were written."""
        return self.unit.event_at, self.key


class Heads:
    """The heads of a bank's documents, and which units belong to each. To be used while the bank's store is locked."""

    def __init__(self) -> None:
        self._revision = 0
        self._heads: dict[int, Head] = {}
        self._names: dict[int, str] = {}
        self._head_of: dict[str, int] = {}
        self._parts: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def refresh(self, transaction: ReadTransaction) -> None:
        """Take in what was committed since the last time."""
        revision = transaction.revision()
        if revision == self._revision:
            return
        if self._revision:
            delta = transaction.delta(self._revision)
            changed = [row.key for row in delta.rows if row.granularity is Granularity.DOCUMENT]
            self._update(delta.removed, transaction.attributes(changed))
        else:
            state = transaction.session(SESSION)
            keys = transaction.keys_of(state.number, Granularity.DOCUMENT) if state else []
            self._update((), transaction.attributes(keys))
        self._revision = revision

    def _update(self, removed: Iterable[int], changed: Mapping[int, Attributes]) -> None:
        for key in removed:
            name = self._names.pop(key, None)
            if name is None:
                continue
            if self._heads.pop(key, None) is not None:
                self._head_of.pop(name)
            else:
                self._parts[name].discard(key)
                if not self._parts[name]:
                    del self._parts[name]
        for key, unit in changed.items():
            name = self._names[key] = unit.metadata["document"]
            if is_head(unit.metadata):
                self._heads[key] = Head(key, unit)
                self._head_of[name] = key
            else:
                self._parts.setdefault(name, set()).add(key)

    def chosen(
        self, now: int, below: Path = (), belongs: PathTest | None = None, test: Test | None = None
    ) -> list[Head]:
        """The heads of the documents that have not expired, of those below a path.

        Their paths pass ``belongs``, their values ``test``. ``now`` in microseconds since 1970 UTC.
        """
        size, beginning = len(below), list(below)
        found = [
            head
            for head in self._heads.values()
            if (head.expires_at is None or head.expires_at > now)
            and head.path[:size] == beginning
            and (belongs is None or belongs(head.path))
        ]
        return found if test is None else [head for head in found if test(head.value)]

    def units(self, heads: Iterable[Head]) -> list[int]:
        """The keys of all units of these documents."""
        found: list[int] = []
        for head in heads:
            found.append(head.key)
            found += self._parts.get(head.name, ())
        return found

    def head_of(self, unit: int) -> int:
        """The key of the head of the document that a unit belongs to."""
        return self._head_of[self._names[unit]]


_KNOWN: WeakKeyDictionary[MemoryBank, Heads] = WeakKeyDictionary()
"""Of the open banks; it goes with them, so that nothing of a user who is forgotten stays."""


def heads_of(bank: MemoryBank, transaction: ReadTransaction) -> Heads:
    """A bank's documents as the transaction sees them."""
    known = _KNOWN.get(bank)
    if known is None:
        known = _KNOWN[bank] = Heads()
    known.refresh(transaction)
    return known
