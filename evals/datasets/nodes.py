"""Reading values of a data file in such a way that every mismatch names file, record and field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from memagent.errors import DataError

T = TypeVar("T")

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One JSON value and where it stands: its file, the index of its record, the path inside that record."""

    value: Any
    file: str
    record: int | None = None
    path: str = ""

    def failure(self, problem: str) -> DataError:
        """The error to raise when this value cannot be used; ``problem`` ends the sentence."""
        record = "" if self.record is None else f", record {self.record}"
        field = f", field {self.path}" if self.path else ""
        return DataError(f"{self.file}{record}{field}: {problem}", hint="check that the file is the data set's own")

    def field(self, name: str) -> Node:
        """The value of a field that must be there."""
        child = self._child(name)
        if name not in self._object():
            raise child.failure("is missing")
        return replace(child, value=self.value[name])

    def maybe(self, name: str) -> Node | None:
        """The value of a field that may be missing or null."""
        value = self._object().get(name)
        return None if value is None else replace(self._child(name), value=value)

    def names(self) -> list[str]:
        """The fields of an object."""
        return list(self._object())

    def items(self) -> list[Node]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self._unexpected("a list")
        return [replace(self, value=value, path=f"{self.path}[{i}]") for i, value in enumerate(self.value)]

    def text(self) -> str:
        """A string that can be stored as UTF-8."""
        if not isinstance(self.value, str):
            raise self._unexpected("a string")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            raise self.failure("holds half of a surrogate pair, which is not text") from None
        return self.value

    def scalar(self) -> str:
        """A string or a number, as text (answers are often counts)."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self._unexpected("a string or a number")
        return str(self.value)

    def integer(self) -> int:
        """A whole number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._unexpected("a whole number")
        return self.value

    def parsed(self, parse: Callable[[str], T]) -> T:
        """The string, turned into something else; ``parse`` raises ValueError for what it cannot read."""
        text = self.text()
        try:
            return parse(text)
        except ValueError as error:
            raise self.failure(f"{text[:64]!r} {error}") from None

    def _child(self, name: str) -> Node:
        return replace(self, value=None, path=f"{self.path}.{name}" if self.path else name)

    def _object(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self._unexpected("an object")
        return self.value

    def _unexpected(self, expected: str) -> DataError:
        return self.failure(f"expected {expected}, found {_KINDS.get(type(self.value), 'something else')}")
