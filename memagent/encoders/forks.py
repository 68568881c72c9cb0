"""What a forked child must not touch of its parent's: threads and database connections that it does not have.

Destroying an ONNX Runtime session in a child waits for ever for threads that exist in the parent
only, and closing its SQLite connection breaks the parent's locks; so both are left alone there.
"""

from __future__ import annotations

import ctypes
import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that holds what does not survive a fork."""

    def forked(self) -> None:
        """Called in the child: let go of what the parent owns, renew locks."""


_WATCHED: WeakSet[Forkable] = WeakSet()


def watch(owner: Forkable) -> None:
    """Have ``owner.forked()`` called in every child forked while ``owner`` lives."""
    _WATCHED.add(owner)


def abandon(inherited: object) -> None:
    """Never destroy this object, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def _tell() -> None:
    for owner in list(_WATCHED):
        owner.forked()


os.register_at_fork(after_in_child=_tell)
