"""Whose file a namespace belongs to, and which namespaces a condition matches. Always element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memagent.errors import InvalidInput
from memagent.integrations.langgraph_values import InvalidNamespace, Namespace, as_namespace
from memagent.stores.port import MemoryStore

_ANY = "*"


class Users:
    """The users of a store: the element at place ``at`` of a namespace names one."""

    def __init__(self, store: MemoryStore, at: object) -> None:
        if isinstance(at, bool) or not isinstance(at, int) or at < 0:
            raise InvalidInput(f"user_at is {at!r:.100}", hint="it is the place of the user in a namespace, from 0")
        self._store = store
        self._at = at

    def at(self, namespace: Namespace) -> str | None:
        """The user of a namespace, or of all that begin with it; None if it is too short to say."""
        return namespace[self._at] if len(namespace) > self._at else None

    def of(self, namespace: Namespace) -> str:
        """The user of a namespace; raises InvalidNamespace."""
        user = self.at(namespace)
        if user is None:
            raise InvalidNamespace(
                f"the namespace {namespace!r:.200} is too short to name its user",
                hint=f"the user is its element {self._at}, see user_at",
            )
        return user

    def test(self, user: str, below: Namespace = ()) -> Callable[[Sequence[str]], bool] | None:
        """A test of namespaces for being the user's: an import may have brought in items of somebody else.

        None where all that begin with ``below`` are.
        """
        if self.at(below) == user:
            return None
        return lambda namespace: len(namespace) > self._at and namespace[self._at] == user

    def among(self, prefix: Namespace) -> list[str]:
        """The users whose items may be below a prefix."""
        user = self.at(prefix)
        return [user] if user is not None else sorted(self._store.users())

    def matching(self, conditions: Sequence[Any]) -> list[str]:
        """The users who may have namespaces that match conditions."""
        named = {self.at(tuple(c.path)) for c in conditions if c.match_type == "prefix"} - {None, _ANY}
        if len(named) > 1:
            return []
        return [user for user in named if user is not None] or sorted(self._store.users())


def matcher(conditions: Sequence[Any]) -> Callable[[Namespace], bool]:
    """A test of namespaces for LangGraph's MatchConditions, all of which must hold; ``*`` matches any one element.

    Raises InvalidInput for a kind of match that does not exist, InvalidNamespace for a path that cannot be one.
    """
    tests = [_test(condition) for condition in conditions]
    return lambda namespace: all(test(namespace) for test in tests)


def _test(condition: Any) -> Callable[[Namespace], bool]:
    path = as_namespace(condition.path, f"the {condition.match_type}")
    if condition.match_type not in ("prefix", "suffix"):
        raise InvalidInput(f"a match of the type {condition.match_type!r:.100}", hint="use 'prefix' or 'suffix'")
    size = len(path)

    def test(namespace: Namespace) -> bool:
        part = namespace[:size] if condition.match_type == "prefix" else namespace[len(namespace) - size :]
        return len(namespace) >= size and all(w in (_ANY, label) for w, label in zip(path, part, strict=True))

    return test
