"""Posters in words, for models that only read: written once per item by a model that sees, and kept."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.agent.asking import answered
from memagent.errors import BudgetExceeded, DataError, ModelDenied, ModelError, ModelTimeout, ModelUnavailable
from memagent.files import file_to_write
from memagent.llm.flow import asked
from memagent.llm.model import as_model
from memagent.prompts.ab_visual import poster_caption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from memagent.agents.ab.catalogue import Item
    from memagent.llm.model import Model, ModelLike

_LOCKS = 64
_log = logging.getLogger("memagent")


class Captions:
    """Captions of posters, by the item's id and the picture itself.

    ``model``: a vision model; without one only captions already in the file are known. ``path``: a file of JSON Lines,
    one a caption (``item``, ``picture`` the SHA-256 of its URL, ``prompt``, ``caption``), to which each is added as it
    is written. It may be given to a run without a vision model; a line with ``item`` and ``caption`` alone, written by
    hand, is used whatever the picture. A caption by another version of the prompt is not used. Safe from several
    threads. Raises DataError for a line that is no caption, and where the file cannot be written.

    A model that has no answer leaves the item without a caption; that is logged and counted, and it is not asked about
    that picture again unless it could not be reached. No money left, a wrong key and a model that has ceased to answer
    at all end the run: they are raised.
    """

    def __init__(self, model: ModelLike | None = None, *, path: str | PathLike[str] | None = None) -> None:
        self._model = as_model(model) if model is not None else None
        self._path = file_to_write(path, "the file of captions") if path is not None else None
        self._known: dict[tuple[str, str], str] = {}
        self._latest: dict[str, str] = {}  # by item, of whichever picture
        self._given: dict[str, str] = {}
        self._without: set[tuple[str, str]] = set()
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._asking = [threading.Lock() for _ in range(_LOCKS)]
        self._torn: tuple[int, int] | None = None  # where the line begins that was cut off, and where it ends
        self._before = b""
        if self._path is not None and self._path.exists():
            self._read(self._path)

    def caption(self, item: Item, picture: str | None) -> str | None:
        """See :class:`~memagent.agents.ab.agent.posters.Captioner`."""
        if item.id in self._given:
            return self._given[item.id]
        if picture is None or self._model is None:
            return self._latest.get(item.id)
        key = (item.id, _digest(picture))
        with self._asking[int(key[1][:8], 16) % _LOCKS]:
            if key in self._known or key in self._without:
                return self._known.get(key)
            return self._written(self._model, item, picture, key)

    @property
    def looks(self) -> bool:
        """Whether there is a model to look at pictures."""
        return self._model is not None

    def digest(self, items: Sequence[Item]) -> str:
        """See :class:`~memagent.agents.ab.agent.posters.Kept`; connects to the model.

        With a model: the model, the prompt, and captions written by hand. Those that it has written are not in it: they
        become more while a run goes on. Without one: all captions.
        """
        ids = [item.id for item in items]
        facts: list[Any] = [self._model.identity, _LABEL] if self._model else []
        known = self._given if self._model else {**self._latest, **self._given}
        facts.append([[item, known[item]] for item in ids if item in known])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """For a report: how many captions there are, and the kinds of failures."""
        with self._lock:
            return {"captions": len(self._known) + len(self._given), "failures": dict(sorted(self._failures.items()))}

    def _written(self, model: Model, item: Item, picture: str, key: tuple[str, str]) -> str | None:
        prompt = poster_caption(item.title, picture)
        try:
            said = answered(asked(prompt), model).value.caption
        except (BudgetExceeded, ModelDenied):
            raise
        except ModelError as error:
            with self._lock:
                self._failures[type(error).__name__] += 1
                if not isinstance(error, ModelUnavailable | ModelTimeout):
                    self._without.add(key)
            _log.warning("no caption for item %r: %s", item.id, error.message)
            return None
        caption = " ".join(said.split())
        with self._lock:
            self._known[key] = self._latest[item.id] = caption
            try:
                self._append({"item": item.id, "picture": key[1], "prompt": prompt.label, "caption": caption})
            except OSError as error:
                raise DataError(
                    f"{self._path} cannot be written: {error}", hint="make room, or write elsewhere"
                ) from error
        return caption

    def _append(self, row: dict[str, str]) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self._path.open("ab", buffering=0) as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            end = file.seek(0, os.SEEK_END)
            if self._torn is not None:
                whole, size = self._torn
                if end == size:  # else another run has written: there are captions behind it
                    end = file.truncate(whole)
                self._torn = None
            line = self._before + line + b"\n"
            if file.write(line) != len(line):  # the next one would be written behind the half of this one
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._before = b""

    def _read(self, path: Path) -> None:
        """Take the file in; a last line that was cut off is left, and goes when the next one is written."""
        data = path.read_bytes()
        *lines, rest = data.split(b"\n")
        for number, line in enumerate(lines, start=1):
            if line.strip() and not self._taken(line):
                raise DataError(f"{path.name}, line {number}: no caption", hint="mend or delete the line")
        if rest.strip() and self._taken(rest):
            self._before = b"\n"
        elif rest:
            self._torn = len(data) - len(rest), len(data)

    def _taken(self, line: bytes) -> bool:
        """Whether it is a caption; those of other versions of the prompt are passed over."""
        try:
            row = json.loads(line)
            item, picture, caption = str(row["item"]), str(row.get("picture", "")), str(row["caption"])
            current = row.get("prompt", _LABEL) == _LABEL
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        if current and picture:
            self._known[item, picture] = self._latest[item] = caption
        elif current:
            self._given[item] = caption
        return True


_LABEL = poster_caption("", "").label


def _digest(picture: str) -> str:
    return hashlib.sha256(picture.encode("utf-8", "surrogatepass")).hexdigest()
