"""Rows of a run, one a question and retriever, and the file that keeps them while it goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

from memagent.errors import InvalidInput
from memagent.files import claim, closing_file

_SCHEMA = 1


class Row(Protocol):
    """What a log keeps."""

    @property
    def key(self) -> tuple[str, str]:
        """The question's id and the retriever's label: what tells a row from the others of its file."""

    def as_json(self) -> str:
        """The row as one line."""

    @classmethod
    def of_json(cls, line: str) -> Any:
        """The inverse of :meth:`as_json`; raises ValueError, KeyError or TypeError for anything else."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRow:
    """What one retriever found for one question: names of units, best first, and the metrics (see ``metrics``).

    ``search_ms`` is the time of the search, query encoding not included. ``signals`` is what the retriever says
    it decided by (see :mod:`memagent.evals.signals`); most say nothing.
    """

    retriever: str
    question_id: str
    user_id: str
    type: str
    gold: tuple[str, ...]
    ranked: tuple[str, ...]
    metrics: dict[str, float]
    search_ms: float
    signals: dict[str, float | str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """See :class:`Row`."""
        return self.question_id, self.retriever

    def as_json(self) -> str:
        """The row as one line."""
        fields = asdict(self)
        if not self.signals:
            del fields["signals"]
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def of_json(cls, line: str) -> QuestionRow:
        """The inverse of :meth:`as_json`; raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        return cls(**{**fields, "gold": tuple(fields["gold"]), "ranked": tuple(fields["ranked"])})


def settings_key(settings: Mapping[str, Any]) -> str:
    """A digest of everything that rows depend on: rows of another key are not reused."""
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


class RowLog(Generic[R]):
    """Rows in the order they were made, each in the file before the next is begun.

    Use :func:`open_log`. Raises :class:`InvalidInput` when the file cannot be written.
    """

    def __init__(self, path: Path | None, file: IO[str] | None, rows: Iterable[R] = ()) -> None:
        self._path = path
        self._file = file
        self.rows = list(rows)
        self._done = {row.key for row in self.rows}

    def __contains__(self, question_and_retriever: tuple[str, str]) -> bool:
        return question_and_retriever in self._done

    def append(self, row: R) -> None:
        """Keep a row."""
        if self._file is not None:
            try:
                self._file.write(row.as_json() + "\n")
                self._file.flush()
            except OSError as error:
                raise _unwritable(self._path, error) from error
        self.rows.append(row)
        self._done.add(row.key)


@contextmanager
def open_log(path: Path | None, key: str, kind: type[R]) -> Iterator[RowLog[R]]:
    """A log of rows of one ``kind``, kept in the file at ``path``, or in memory only.

    A file left by a stopped run of the same key is continued (a line that was cut off is made again); a
    file of another key is begun anew. Raises :class:`InvalidInput` when it cannot be written, or another run writes to
    it.
    """
    if path is None:
        yield RowLog(None, None)
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    with closing_file(file, partial(_unwritable, path)):
        try:
            claim(path, file)
            rows = _continued(path, file, json.dumps({"schema": _SCHEMA, "key": key}), kind)
        except OSError as error:
            raise _unwritable(path, error) from error
        yield RowLog(path, file, rows)


def write_text(path: Path, text: str) -> None:
    """Replace the file at ``path`` as a whole: it holds all of ``text``, or what it held before.

    Raises :class:`InvalidInput` when it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """As :func:`write_text`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path | None, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be written: {error.strerror}", hint="choose another place for the results")


def _continued(path: Path, file: IO[str], header: str, kind: type[R]) -> list[R]:
    """The whole rows of a file with this header, which then ends with the last of them; else it is begun anew."""
    first, *lines = path.read_bytes().split(b"\n")
    if first != header.encode() or not lines:
        file.truncate(0)
        file.write(header + "\n")
        file.flush()
        return []
    rows: list[R] = []
    end = len(first) + 1
    for line in lines[:-1]:
        try:
            rows.append(kind.of_json(line.decode("utf-8")))
        except (ValueError, KeyError, TypeError):
            break
        end += len(line) + 1
    file.truncate(end)
    return rows
