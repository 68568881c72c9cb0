"""Python's own file operations, one of which fails or is the last thing that the process does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

_TARGETS = (
    (os, "open"),
    (os, "fsync"),
    (os, "replace"),
    (os, "unlink"),
    (os, "mkdir"),
    (os, "rmdir"),
    (os, "stat"),
    (os, "fstat"),
    (os, "listdir"),
    (os, "fdopen"),
    (os, "access"),
    (fcntl, "flock"),
)


class FileOperations:
    """Counts the operations of a block, and does something at one of them instead of the operation itself."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def watched(self, at: int, instead: Callable[[], None], *, without: tuple[str, ...] = ()) -> Iterator[None]:
        """In this block ``instead`` is called at operation number ``at`` (from 0)."""
        self.names = []
        patches = [
            mock.patch.object(module, name, self._hook(name, getattr(module, name), at, instead))
            for module, name in _TARGETS
            if name not in without
        ]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()

    def _hook(self, name: str, original: Callable[..., Any], at: int, instead: Callable[[], None]) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.names.append(name)
            if len(self.names) == at + 1:
                instead()
            return original(*arguments, **options)

        return call
