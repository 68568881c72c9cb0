"""System calls of SQLite that fail once: what a virtual file system cannot see, shared memory and locks above all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

_WORD = ctypes.c_void_p
_NUMBER = ctypes.c_ssize_t
# fcntl is variadic in C; on Linux its arguments are passed like those of other functions.
_CALLS: dict[str, tuple[Any, list[Any], int]] = {
    "open": (ctypes.c_int, [ctypes.c_char_p, ctypes.c_int, ctypes.c_int], errno.EMFILE),
    "fcntl": (ctypes.c_int, [ctypes.c_int, ctypes.c_int, _WORD], errno.EIO),
    "fstat": (ctypes.c_int, [ctypes.c_int, _WORD], errno.EIO),
    "ftruncate": (ctypes.c_int, [ctypes.c_int, _NUMBER], errno.EIO),
    "pwrite64": (_NUMBER, [ctypes.c_int, _WORD, _NUMBER, _NUMBER], errno.ENOSPC),
    "mmap": (_NUMBER, [_WORD, _NUMBER, ctypes.c_int, ctypes.c_int, ctypes.c_int, _NUMBER], errno.ENOMEM),
}


class FailingCalls:
    """Like :class:`memagent.testing.faulty_vfs.FaultyVFS`, one layer below: in all connections of the process."""

    def __init__(self) -> None:
        self._vfs = apsw.VFS("memagent-calls", "unix")
        self._originals = {name: self._vfs.xGetSystemCall(name) for name in _CALLS}
        self._hooks = {name: self._hook(name) for name in _CALLS}
        self.operations: list[str] = []
        self._at: int | None = None
        self._only: tuple[str, ...] | None = None

    @contextmanager
    def failing(self, at: int, *, only: tuple[str, ...] | None = None) -> Iterator[None]:
        """In this block the call number ``at`` (from 0), of those named in ``only``, fails; no other does."""
        self.operations, self._at, self._only = [], at, only
        for name, hook in self._hooks.items():
            self._vfs.xSetSystemCall(name, ctypes.cast(hook, _WORD).value or 0)
        try:
            yield
        finally:
            self._at = None
            for name, original in self._originals.items():
                self._vfs.xSetSystemCall(name, original or 0)

    @property
    def has_failed(self) -> bool:
        """Whether the call that was to fail has come."""
        return self._at is not None and len(self.operations) > self._at

    def close(self) -> None:
        """Take the virtual file system away again."""
        self._vfs.unregister()

    def _hook(self, name: str) -> Any:
        result, arguments, code = _CALLS[name]
        kind = ctypes.CFUNCTYPE(result, *arguments, use_errno=True)
        original: Callable[..., int] = kind(self._originals[name] or 0)

        def call(*values: Any) -> int:
            if self._at is not None and (self._only is None or name in self._only) and not _releases(name, values):
                self.operations.append(name)
                if len(self.operations) == self._at + 1:
                    ctypes.set_errno(code)
                    return -1
            return original(*values)

        return kind(call)


def _releases(name: str, values: tuple[Any, ...]) -> bool:
    """Whether a call lets go of a lock, or asks for no lock at all."""
    if name != "fcntl":
        return False
    return values[1] != fcntl.F_SETLK or ctypes.c_short.from_address(values[2]).value == fcntl.F_UNLCK
