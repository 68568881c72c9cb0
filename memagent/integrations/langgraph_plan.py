"""LangGraph's operations, all of them checked before any is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp

from memagent.errors import InvalidInput
from memagent.integrations.langgraph_filters import Test, compile_filter
from memagent.integrations.langgraph_namespaces import Users, matcher
from memagent.integrations.langgraph_values import (
    Namespace,
    as_json,
    as_key,
    as_lifetime,
    as_namespace,
    as_paths,
    as_place,
    indexed_texts,
)
from memagent.memory.documents import Address, DocumentDraft


class Get(NamedTuple):
    """One item to be read."""

    place: int
    address: Address
    refresh: bool


class Search(NamedTuple):
    """Items to be found; without a query all that pass are listed, the last written first."""

    place: int
    below: Namespace
    test: Test | None
    query: str | None
    limit: int
    offset: int
    refresh: bool


class Listing(NamedTuple):
    """Namespaces to be listed."""

    place: int
    conditions: Sequence[Any]
    depth: int | None
    limit: int
    offset: int


class Plan:
    """A batch, its operations with their places in it.

    ``puts``: of several writes to one address the last; None removes what is there. ``paths``: what items are found by
    unless they say otherwise; None: by nothing. ``limit``: bytes of a value. Raises InvalidInput (and its kinds).
    """

    def __init__(self, ops: Iterable[Op], users: Users, paths: Sequence[str] | None, limit: int) -> None:
        self._users = users
        self._paths = paths
        self._limit = limit
        self.size = 0
        self.gets: list[Get] = []
        self.searches: list[Search] = []
        self.listings: list[Listing] = []
        self.puts: dict[Address, DocumentDraft | None] = {}
        for op in ops:
            self._take(self.size, op)
            self.size += 1

    def _take(self, place: int, op: object) -> None:
        if isinstance(op, GetOp):
            address = Address(as_namespace(op.namespace), as_key(op.key))
            self.gets.append(Get(place, address, op.refresh_ttl))
        elif isinstance(op, SearchOp):
            self.searches.append(self._search(place, op))
        elif isinstance(op, ListNamespacesOp):
            self.listings.append(_listing(place, op))
        elif isinstance(op, PutOp):
            address = Address(as_place(op.namespace), as_key(op.key))
            self._users.of(address.path)
            self.puts[address] = None if op.value is None else self._draft(address, op)
        else:
            raise InvalidInput(
                f"an operation is {type(op).__name__}", hint="use GetOp, PutOp, SearchOp or ListNamespacesOp"
            )

    def _draft(self, address: Address, op: PutOp) -> DocumentDraft:
        value = as_json(op.value, self._limit)
        assert op.value is not None
        paths: Sequence[str] = ()
        if op.index is None:
            paths = self._paths or ()
        elif op.index is not False:
            paths = as_paths(op.index, "index")
        texts = indexed_texts(op.value, paths) if self._paths is not None else ()
        return DocumentDraft(address=address, value=value, texts=texts, lifetime=as_lifetime(op.ttl))

    def _search(self, place: int, op: SearchOp) -> Search:
        query: object = op.query
        if query is not None and not isinstance(query, str):
            raise InvalidInput(f"a query is a text, not {type(query).__name__}", hint="leave it out to list items")
        return Search(
            place=place,
            below=as_namespace(op.namespace_prefix, "the namespace prefix"),
            test=None if op.filter is None else compile_filter(op.filter),
            query=query if query and query.strip() and self._paths is not None else None,
            limit=_count(op.limit, "limit"),
            offset=_count(op.offset, "offset"),
            refresh=op.refresh_ttl,
        )


def _listing(place: int, op: ListNamespacesOp) -> Listing:
    conditions: object = op.match_conditions or ()
    if not isinstance(conditions, list | tuple) or not all(isinstance(c, MatchCondition) for c in conditions):
        raise InvalidInput(f"match_conditions is {conditions!r:.100}", hint="pass a tuple of MatchConditions")
    matcher(conditions)
    depth = None if op.max_depth is None else _count(op.max_depth, "max_depth", least=1)
    return Listing(place, conditions, depth, _count(op.limit, "limit"), _count(op.offset, "offset"))


def _count(value: object, what: str, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{what} is {value!r:.100}", hint=f"{what} is a whole number of at least {least}")
    return value
