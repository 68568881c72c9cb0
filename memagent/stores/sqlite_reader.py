"""How rows are read: in groups that a statement can take, and checked, since damage can change their types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from memagent.errors import StoreCorrupt
from memagent.stores.sqlite_errors import DAMAGED

_BATCH = 500  # keys per statement: far below SQLite's limit on bound values

UNREADABLE = (ValueError, TypeError, KeyError, OverflowError)
"""What decoding a damaged row can raise."""

TEXT = (str, type(None))
NUMBER = (int, type(None))
BYTES = (bytes, type(None))


def batches(keys: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Keys in groups that one statement can take."""
    for start in range(0, len(keys), _BATCH):
        yield tuple(int(key) for key in keys[start : start + _BATCH])


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def typed(row: Sequence[Any], types: Sequence[Any]) -> Sequence[Any]:
    """A row whose columns have the types they were stored with; raises TypeError."""
    for value, wanted in zip(row, types, strict=True):
        if not isinstance(value, wanted):
            raise TypeError(f"a column is {type(value).__name__}")
    return row


def damaged(error: Exception) -> StoreCorrupt:
    """The error for a row that cannot be read."""
    return StoreCorrupt(f"a stored row cannot be read: {type(error).__name__}: {error}", hint=DAMAGED)


class Reader:
    """Statements on an open connection."""

    def __init__(self, connection: apsw.Connection, user_id: str) -> None:
        self._connection = connection
        self._user_id = user_id

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except UnicodeDecodeError as error:
            raise damaged(error) from error

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._connection.execute(sql, tuple(values)).get
        except UnicodeDecodeError as error:
            raise damaged(error) from error
