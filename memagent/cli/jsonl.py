"""Files of messages or sessions to be remembered, as JSON Lines."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from memagent.errors import DataError, InvalidInput

_EXAMPLE = 'one JSON object a line, for example {"role": "user", "content": "I moved to Lisbon."}'
_ELSEWHERE = ("user_id", "session_id")


def messages_or_sessions(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """``{"messages": [...]}`` or ``{"sessions": [...]}``, as ``Memory.add`` and ``Memory.add_many`` take them.

    ``given`` (timestamp, agent_id, metadata) holds for sessions that do not say otherwise. Raises DataError, naming
    file, line and field, and InvalidInput if ``given`` has a session id and the lines are sessions.
    """
    name = "standard input" if str(file) == "-" else str(file)
    records = list(_records(_lines(file, name), name))
    if not records:
        raise DataError(f"{name} has no lines", hint=_EXAMPLE)
    whole = ["messages" in record for _, record in records]
    if any(whole) and not all(whole):
        number = records[whole.index(not whole[0])][0]
        raise DataError(f"{name}, line {number}: messages and sessions are mixed", hint="put them in two files")
    if whole[0]:
        return {"sessions": [_session(record, f"{name}, line {number}", given) for number, record in records]}
    return {"messages": [_message(record, f"{name}, line {number}") for number, record in records]}


def _lines(file: Path, name: str) -> Iterator[bytes]:
    if str(file) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as stream:
            yield from stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{name} is damaged: {error}", hint="compress it again") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {name}", hint="check the path") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}", hint="check the path and its permissions") from None


def _records(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
            raise DataError(f"{name}, line {number}: {error}", hint=_EXAMPLE) from None
        if not isinstance(record, dict):
            raise DataError(f"{name}, line {number} is not an object", hint=_EXAMPLE)
        yield number, record


def _message(record: dict[str, Any], where: str) -> dict[str, Any]:
    from memagent.memory.messages import as_messages
    from memagent.records import utc_now

    for field in _ELSEWHERE:
        if field in record:
            option = "--user" if field == "user_id" else "--session"
            raise DataError(f"{where}, field {field}: a message line has none", hint=f"use {option}, or session lines")
    if record.get("content"):  # one without text is left out later; as the only one it would be refused
        _checked(lambda: as_messages(record, at=utc_now()), where)
    return record


def _session(record: dict[str, Any], where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from memagent.memory.messages import as_session
    from memagent.records import utc_now

    if "user_id" in record:
        raise DataError(f"{where}, field user_id: a session line has none", hint="use --user")
    if "session_id" in given:
        raise InvalidInput("--session does not go with a file of sessions", hint="give each line its session_id")
    session = {**given, **record}
    if "metadata" in given and isinstance(record.get("metadata"), Mapping):
        session["metadata"] = {**given["metadata"], **record["metadata"]}
    _checked(lambda: as_session(session, now=utc_now()), where)
    return session


def _checked(look: Any, where: str) -> None:
    """Have the memory layer look at a record before anything is stored, and say which line it dislikes."""
    try:
        look()
    except InvalidInput as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint) from None
