"""Looks for bytes in files from a process of its own.

A process that opens and closes a file that SQLite has open loses SQLite's locks on it (POSIX locks belong to the
process, not to the descriptor), so a test must not read the files of a memory that it holds open.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

LETTERS = "gjkpqvwxyz"
"""What marks are made of: no word of a schema, no id and no time has six of these letters in a row."""
LENGTH = 6  # bytes of a mark that count as a find

_PROGRAM = """
import json, pathlib, re, sys
letters, length = sys.argv[1], int(sys.argv[2])
runs = re.compile(b"[%s]{%d,}" % (letters.encode(), length))
for line in sys.stdin:
    found = {}
    for path in sorted(pathlib.Path(json.loads(line)).rglob("*")):
        for run in set(runs.findall(path.read_bytes())) if path.is_file() else ():
            found[run.decode()] = path.name
        for run in runs.findall(path.name.encode()):
            found[run.decode()] = path.name
    print(json.dumps(found), flush=True)
"""


def mark(rng: random.Random) -> str:
    """A word that can be told from everything else in a file, and from other marks."""
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(9, 14)))


def marked_text(rng: random.Random, size: int) -> str:
    """A text of marks, about ``size`` bytes long."""
    words = [mark(rng)]
    left = size - len(words[0])
    while left > 0:
        words.append(mark(rng))
        left -= len(words[-1]) + 1
    # The dots keep bytes that stand beside a text in a page (lengths, checksums) from passing for letters of it.
    return f".{' '.join(words)[: max(size, LENGTH)]}."


def pieces(texts: Iterable[str]) -> set[str]:
    """All runs of six letters of marks."""
    words = {word.strip(".") for text in texts for word in text.split()}
    return {word[i : i + LENGTH] for word in words for i in range(len(word) - LENGTH + 1)}


class Observer:
    """Finds marks in the raw bytes and the names of all files under a directory."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def runs(self, root: Path) -> dict[str, str]:
        """Every run of letters of marks that is in a file, and the file's name."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(str(root)) + "\n")
        self._process.stdin.flush()
        found: dict[str, str] = json.loads(self._process.stdout.readline())
        return found

    def left(self, root: Path, gone: Iterable[str], kept: Iterable[str] = ()) -> dict[str, str]:
        """Pieces of texts that should be gone, by the file they are in."""
        forbidden = pieces(gone) - pieces(kept)
        found = {piece: name for run, name in self.runs(root).items() for piece in pieces([run])}
        return {piece: name for piece, name in found.items() if piece in forbidden}


@contextmanager
def observer() -> Iterator[Observer]:
    """An observer, for as long as the block lasts."""
    command = [sys.executable, "-S", "-c", _PROGRAM, LETTERS, str(LENGTH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Observer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
