"""Opens data files: ``.json``, ``.jsonl`` and both compressed with gzip."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memagent.errors import DataError
from memagent.evals.datasets.cases import DataFile
from memagent.evals.datasets.nodes import Node
from memagent.files import as_path

SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """A parsed data file: its identity and its records (the lines, or the items of the top-level list; an
    object at the top level is one record).
    """

    file: DataFile
    records: tuple[Node, ...]


def open_data(path: str | Path) -> OpenedFile:
    """The records of the file at ``path``.

    Raises :class:`DataError` naming the file, and the line or record where there is one, when it cannot
    be read, is damaged, or is not a list of records; :class:`~memagent.errors.InvalidInput` for what is no path.
    """
    path = as_path(path, "a data file")
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path.name}: not a data file by its name", hint=f"names end in {', '.join(SUFFIXES)}")
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", hint="check the path given to --data") from error
    return parse_data(stored, path.name)


def parse_data(stored: bytes, name: str) -> OpenedFile:
    """The records in ``stored``, the bytes of a file called ``name`` (its ending says how to read them)."""
    content = _decompressed(stored, name) if name.endswith(".gz") else stored
    if name.removesuffix(".gz").endswith(".jsonl"):
        records = _lines(content, name)
    else:
        top = _json(content, name)
        items = [top] if isinstance(top, dict) else [item.value for item in Node(value=top, file=name).items()]
        records = tuple(Node(value=value, file=name, record=i) for i, value in enumerate(items))
    return OpenedFile(file=DataFile(name=name, sha256=hashlib.sha256(stored).hexdigest()), records=records)


def _decompressed(stored: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(stored)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: the gzip data is damaged: {error}", hint="fetch the file again") from None


def _lines(content: bytes, name: str) -> tuple[Node, ...]:
    # Split at line feeds only: a JSON string may hold other characters that str.splitlines() breaks at.
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    texts = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return tuple(
        Node(value=_json(line, f"{name}, line {number}"), file=name, record=i) for i, (number, line) in enumerate(texts)
    )


def _json(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8, a number of absurd length
        raise DataError(f"{where}: not valid JSON: {error}", hint="fetch the file again") from None
