"""The events of searches in a file, each there before the next call is made, so that a killed run repeats none."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from memagent.agents.reason_rag.tree import Case, Event, Tree, event_from_json, event_to_json
from memagent.errors import DataError, InvalidInput
from memagent.files import as_path, claim, closing_file, file_to_write, replacing

_SCHEMA = 1


class TreeLog:
    """Events by question. Use :func:`open_tree_log`. Safe from several threads."""

    def __init__(self, path: Path | None, file: IO[str] | None, events: Mapping[str, list[Event]]) -> None:
        self._path = path
        self._file = file
        self._lock = threading.Lock()
        self._events = dict(events)

    def events(self, case: Case) -> tuple[Event, ...]:
        """What has been kept of a question's search, in order; nothing if its text or answers were others."""
        with self._lock:
            return tuple(self._events.get(_name(case), ()))

    def append(self, case: Case, event: Event) -> None:
        """Keep an event. Raises InvalidInput when the file cannot be written."""
        name = _name(case)
        line = json.dumps({"case": name, **event_to_json(event)}, ensure_ascii=True)
        with self._lock:
            if self._file is not None:
                try:
                    self._file.write(line + "\n")
                    self._file.flush()
                except OSError as error:
                    raise _unwritable(self._path, error) from error
            self._events.setdefault(name, []).append(event)


@contextmanager
def open_tree_log(path: Path | None, identity: Mapping[str, Any]) -> Iterator[TreeLog]:
    """A log kept in the file at ``path``, or in memory only.

    A file of the same ``identity`` (all that the events depend on beside the question, as JSON values) is continued,
    with the same questions or with more; an event that was cut off is made again. Raises InvalidInput when the file
    cannot be written, is of another identity or in use by another run, and DataError when it is damaged: what is in it
    has been paid for.
    """
    if path is None:
        yield TreeLog(None, None, {})
        return
    header = json.dumps({"schema": _SCHEMA, "key": _digest(identity)})
    try:
        file = path.open("a+", encoding="utf-8", errors="replace", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error
    with closing_file(file, lambda error: _unwritable(path, error)):
        try:
            claim(path, file)
            events = _continued(path, file, header)
        except OSError as error:
            raise _unwritable(path, error) from error
        yield TreeLog(path, file, events)


def write_trees(path: str | Path, trees: list[Tree]) -> None:
    """Write trees as JSON Lines, as a whole or not at all."""
    place = file_to_write(path, "the file of trees")
    with replacing(place, mode=0o644) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        for tree in trees:
            file.write(json.dumps(tree.to_json(), ensure_ascii=False) + "\n")


def read_trees(path: str | Path) -> list[Tree]:
    """The trees of a file. Raises :class:`DataError` naming the line, and InvalidInput where there is no such file."""
    place = as_path(path, "the file of trees")
    try:
        lines = place.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{place} cannot be read: {error}", hint="name a file that the search has written"
        ) from error
    trees = [_tree(line, f"{place.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not trees:
        raise DataError(f"{place.name} holds no trees", hint="make some with `memagent tune trees`")
    return trees


def _tree(line: str, where: str) -> Tree:
    try:
        value = json.loads(line)
        return Tree.from_json(value)
    except ValueError as error:
        said = error.message if isinstance(error, DataError) else f"it is no JSON: {error}"
        raise DataError(f"{where}: {said}", hint="pass a file that `memagent tune trees` has written") from error


def _continued(path: Path, file: IO[str], header: str) -> dict[str, list[Event]]:
    """The events kept behind this header, by case; the file then ends with the last whole one.

    A kill may tear the last line, and no other.
    """
    file.seek(0)
    content = file.read()
    lines = content.split("\n")[:-1]
    if header.startswith(content):
        file.truncate(0)
        file.write(header + "\n")
        file.flush()
        return {}
    if lines[:1] != [header]:
        raise InvalidInput(
            f"{path} was begun with another model, corpus or other settings",
            hint="run it as it was begun, delete it, or write to another place",
        )
    events: dict[str, list[Event]] = {}
    for number, line in enumerate(lines[1:], 2):
        case, event = _read(line, f"{path.name}, line {number}")
        events.setdefault(case, []).append(event)
    file.truncate(sum(len(line) + 1 for line in lines))  # what was written is ASCII
    return events


def _read(line: str, where: str) -> tuple[str, Event]:
    try:
        value = json.loads(line)
        return str(value["case"]), event_from_json(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where}: this is no step of a search",
            hint="delete this line and those behind it, or the file, to search on from there",
        ) from error


def _name(case: Case) -> str:
    return _digest({"id": case.id, "question": case.question, "answers": case.answers})[:24]


def _digest(identity: Mapping[str, Any]) -> str:
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _unwritable(path: Path | None, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be written: {error.strerror}", hint="choose another place for the trees")
