"""Paths that callers give, and files that appear only when they are complete."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias

from memagent.errors import InvalidInput

Identity: TypeAlias = tuple[int, int]
"""Device and inode of a file."""

_SHOWN = 32  # characters of a file's name that its temporary name begins with


def as_path(value: object, what: str) -> Path:
    """``value`` as a path, ``~`` expanded; ``what`` names it in errors.

    Raises InvalidInput for anything that cannot name a file: no text or path, nothing, a NUL, a lone surrogate, the
    home of a user who does not exist, a name too long for the file system.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        shown = "empty" if text == "" else type(value).__name__
        raise InvalidInput(f"{what} is {shown}", hint="pass a path as text or as pathlib.Path")
    if "\0" in text:
        raise InvalidInput(f"{what} holds a NUL character", hint="no file can have such a name")
    try:
        path = Path(text).expanduser()
        os.lstat(path)
    except RuntimeError:
        raise InvalidInput(
            f"{what} is {text!r}, and that home is unknown", hint="write the path out, or begin it with ./"
        ) from None
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds a lone surrogate", hint="decode the name with os.fsdecode") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(f"{what} has a name that is too long: {text[:60]!r}...", hint="shorten it") from None
    return path


def file_to_write(value: object, what: str) -> Path:
    """The path of a file to be written; raises InvalidInput where something other than a file is in its place."""
    path = as_path(value, what)
    mode = _mode(path)
    if mode and not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise InvalidInput(f"{path} is {kind}", hint="name the file to write")
    return path


def directory_to_use(value: object, what: str) -> Path:
    """The path of a directory that is there or will be made; raises InvalidInput where a file is in its place."""
    path = as_path(value, what)
    mode = _mode(path)
    if mode and not stat.S_ISDIR(mode):
        raise InvalidInput(f"{path} is a file", hint="pass a directory")
    return path


def _mode(path: Path) -> int:
    """What kind of file a path leads to; 0 if there is none, or none that may be looked at."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def identity_of(path: Path) -> Identity | None:
    """Which file a path leads to now; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)


def sync_directory(path: Path) -> None:
    """Make created, renamed and removed names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def claim(path: Path, file: IO[Any] | int) -> None:
    """Keep other runs off ``file``, which is open at ``path``, until it is closed, also by the end of the process.

    ``file``: an open file, or a descriptor (of a folder too).

    Raises InvalidInput where another has it, OSError where the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InvalidInput(
            f"another run is writing to {path}", hint="wait for its end, or write to another place"
        ) from error


@contextmanager
def claimed_folder(folder: Path) -> Iterator[None]:
    """A folder, made if it is not there, for one run at a time.

    Raises InvalidInput where another run has it, or it cannot be used.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            claim(folder, descriptor)
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be used: {error.strerror}", hint="name another folder") from error
        yield


@contextmanager
def closing_file(file: IO[Any], failed: Callable[[OSError], Exception]) -> Iterator[None]:
    """Close ``file`` when the block ends; ``failed`` makes the error to raise where what it has left to write fails."""
    try:
        yield
    finally:
        try:
            file.close()
        except OSError as error:
            raise failed(error) from error


@contextmanager
def replacing(target: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """A new, empty file beside ``target``, to be filled in the block, which takes its place when the block ends.

    Readers see the old file or the whole new one, also after a power cut; of several writers the last to end wins, and
    none meets the file of another. After an error nothing is left of it. ``mode`` is less what the umask takes away.
    """
    temporary = target.with_name(f"{target.name[:_SHOWN]}.{os.urandom(4).hex()}.partial")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with suppress(PermissionError):  # a directory that may be written to need not be readable
        sync_directory(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
