"""An experiment's folder: sessions kept block by block while it runs, one log when it is done.

experiment.json    what was run, and its fingerprint
parts/             while it runs: a file for each block of users, complete or not there
events.jsonl       every event, in order
visits.jsonl       the counts of each visit
events.parquet     the events as a table, if pyarrow is installed
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from memagent.agents.ab.events import Event, Visit
from memagent.agents.ab.parquet import write_parquet
from memagent.errors import DataError, InvalidInput
from memagent.files import claimed_folder, directory_to_use, replacing

EVENTS, VISITS, PARQUET, FACTS = "events.jsonl", "visits.jsonl", "events.parquet", "experiment.json"
_PARTS, _DONE = "parts", "parts.done"


@dataclass(slots=True)
class Block:
    """The sessions of some users."""

    events: list[Event] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    def add(self, other: Block) -> None:
        """Append."""
        self.events += other.events
        self.visits += other.visits


class Runs:
    """The blocks of a run; without a folder none is kept."""

    def __init__(self, folder: Path | None, size: int) -> None:
        self._folder = folder
        self._parts = folder / _PARTS if folder else None
        self._numbers: list[int] = []
        self._finished = _finished(folder, size) if folder else None

    @property
    def begun(self) -> bool:
        """There is something left to do."""
        return self._finished is None

    def holds(self, number: int) -> bool:
        """Whether a block is done."""
        if self._finished is not None:
            return number < len(self._finished)
        path = self._part(number)
        return path is not None and path.exists()

    def block(self, number: int) -> Block | None:
        """The visits (not the events) of a block that is done; None for one that is not. Raises DataError."""
        if self._finished is not None:
            return Block(visits=self._finished[number]) if number < len(self._finished) else None
        path = self._part(number)
        if path is None or not path.exists():
            return None
        self._numbers.append(number)
        with path.open(encoding="utf-8") as part:
            return Block(visits=[Visit.of_json(line[1:]) for line in part if line.startswith("V")])

    def keep(self, number: int, block: Block) -> None:
        """Write a block: it is there whole, or not at all. Raises DataError in a finished run, whose log is cut off."""
        if self._finished is not None:
            raise DataError(f"{VISITS} of a finished run is cut off", hint="delete the folder and run again")
        path = self._part(number)
        if path is None:
            return
        with replacing(path, mode=0o666) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"E{event.as_json()}\n" for event in block.events)
            file.writelines(f"V{visit.as_json()}\n" for visit in block.visits)
        self._numbers.append(number)

    def finish(self) -> None:
        """Put the log together, block by block, and remove the parts."""
        if self._folder is None or self._parts is None or self._finished is not None:
            return
        for name, letter in ((EVENTS, "E"), (VISITS, "V")):
            with replacing(self._folder / name, mode=0o666) as temporary, temporary.open("w", encoding="utf-8") as file:
                for number in sorted(self._numbers):
                    with (self._parts / _part_name(number)).open(encoding="utf-8") as part:
                        file.writelines(line[1:] for line in part if line.startswith(letter))
        write_parquet(self._folder / EVENTS, self._folder / PARQUET)
        # All of them at once: a run that finds some parts gone would make those again.
        shutil.rmtree(self._parts.rename(self._folder / _DONE))

    def _part(self, number: int) -> Path | None:
        return self._parts / _part_name(number) if self._parts else None


def _part_name(number: int) -> str:
    return f"{number:06}.jsonl"


def _finished(folder: Path, size: int) -> list[list[Visit]] | None:
    """The visits of a finished run, those of ``size`` users to a block; None if it is not finished."""
    if not (folder / VISITS).exists() or (folder / _PARTS).exists():
        return None
    of_user: dict[str, list[Visit]] = {}
    with (folder / VISITS).open(encoding="utf-8") as file:
        for line in file:
            visit = Visit.of_json(line)
            of_user.setdefault(visit.user, []).append(visit)
    users = list(of_user.values())
    return [[v for visits in users[first : first + size] for v in visits] for first in range(0, len(users), size)]


@contextmanager
def keep(
    folder: str | PathLike[str] | None, fingerprint: str, facts: Mapping[str, Any], *, size: int
) -> Iterator[Runs]:
    """The runs of an experiment in its folder, which is made, and kept from other runs meanwhile.

    ``size`` is the number of users in a block. Raises InvalidInput if the folder holds another experiment, is in use by
    another run, or cannot be used.
    """
    if folder is None:
        yield Runs(None, size)
        return
    place = directory_to_use(folder, "folder")
    with claimed_folder(place):  # two would play every user twice
        yield _opened(place, fingerprint, facts, size)


def _opened(place: Path, fingerprint: str, facts: Mapping[str, Any], size: int) -> Runs:
    known = place / FACTS
    if known.exists():
        there, found = _known(known)
        if found != fingerprint:
            raise InvalidInput(
                f"{place} holds another experiment: {_difference(there, facts)}",
                hint="name another folder, or delete this one",
            )
    else:
        with replacing(known, mode=0o666) as temporary:
            text = json.dumps({"fingerprint": fingerprint, **facts}, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    if (place / _DONE).exists():  # the process was killed when it removed them
        shutil.rmtree(place / _DONE)
    runs = Runs(place, size)
    if runs.begun:
        (place / _PARTS).mkdir(exist_ok=True)
    return runs


def _known(path: Path) -> tuple[dict[str, Any], str]:
    """What a folder says of its experiment, and the fingerprint."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found, str(found["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged", hint="delete the folder and run again") from error


def _difference(there: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What two experiments differ in, as far as the facts tell."""
    here = json.loads(json.dumps(facts))
    names = sorted(name for name in here.keys() | there.keys() if there.get(name) != here.get(name))
    told = [_posters(there, here) if name == "posters" else name for name in names if name != "fingerprint"]
    return f"with other {', '.join(told) or 'data, arms, users, or settings or model of the policy'}"


def _posters(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Which digests of posters are others."""
    found = [one.get("posters") for one in (there, here)]
    sides = [one if isinstance(one, dict) else {} for one in found]  # the file may hold anything
    kinds = sorted(kind for kind in sides[0] | sides[1] if sides[0].get(kind) != sides[1].get(kind))
    return f"posters ({', '.join(kinds)})" if kinds else "posters"


def read_events(folder: str | PathLike[str], *, user: str | None = None, arm: str | None = None) -> Iterator[Event]:
    """The events of a finished experiment, all or those of a user or arm. Raises DataError."""
    path = Path(folder) / EVENTS
    if not path.exists():
        raise DataError(f"there is no {EVENTS} in {folder}", hint="name the folder of a finished experiment")
    with path.open(encoding="utf-8") as file:
        for line in file:
            event = Event.of_json(line)
            if user in (None, event.user) and arm in (None, event.arm):
                yield event
