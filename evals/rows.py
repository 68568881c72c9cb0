"""One row a question and retriever, and the file that keeps them while a run goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from memagent.errors import InvalidInput

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRow:
    """What one retriever found for one question: names of units, best first, and the metrics (see ``metrics``).

    ``search_ms`` is the time of the search, query encoding not included.
    """

    retriever: str
    question_id: str
    user_id: str
    type: str
    gold: tuple[str, ...]
    ranked: tuple[str, ...]
    metrics: dict[str, float]
    search_ms: float

    def as_json(self) -> str:
        """The row as one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of_json(cls, line: str) -> QuestionRow:
        """The inverse of :meth:`as_json`; raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        return cls(**{**fields, "gold": tuple(fields["gold"]), "ranked": tuple(fields["ranked"])})


def settings_key(settings: Mapping[str, Any]) -> str:
    """A digest of everything that rows depend on: rows of another key are not reused."""
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


class RowLog:
    """Rows in the order they were made, each in the file before the next is begun.

    Use :func:`open_log`. Raises :class:`InvalidInput` when the file cannot be written.
    """

    def __init__(self, path: Path | None, file: IO[str] | None, rows: Iterable[QuestionRow] = ()) -> None:
        self._path = path
        self._file = file
        self.rows = list(rows)
        self._done = {(row.question_id, row.retriever) for row in self.rows}

    def __contains__(self, question_and_retriever: tuple[str, str]) -> bool:
        return question_and_retriever in self._done

    def append(self, row: QuestionRow) -> None:
        """Keep a row."""
        if self._file is not None:
            try:
                self._file.write(row.as_json() + "\n")
                self._file.flush()
            except OSError as error:
                raise _unwritable(self._path, error) from error
        self.rows.append(row)
        self._done.add((row.question_id, row.retriever))


@contextmanager
def open_log(path: Path | None, key: str) -> Iterator[RowLog]:
    """A log kept in the file at ``path``, or in memory only.

    A file left by a stopped run of the same key is continued (a line that was cut off is made again); a
    file of another key is replaced. Raises :class:`InvalidInput` when it cannot be written.
    """
    if path is None:
        yield RowLog(None, None)
        return
    header = json.dumps({"schema": _SCHEMA, "key": key})
    rows = _kept(path, header)
    write_text(path, "".join(line + "\n" for line in (header, *(row.as_json() for row in rows))))
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        yield RowLog(path, file, rows)


def write_text(path: Path, text: str) -> None:
    """Replace the file at ``path`` as a whole: it holds all of ``text``, or what it held before.

    Raises :class:`InvalidInput` when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path | None, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be written: {error.strerror}", hint="choose another place for the results")


def _kept(path: Path, header: str) -> list[QuestionRow]:
    """The whole rows of a file with this header; none if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    if lines[0] != header:
        return []
    rows = []
    for line in lines[1:]:
        try:
            rows.append(QuestionRow.of_json(line))
        except (ValueError, KeyError, TypeError):
            break
    return rows
