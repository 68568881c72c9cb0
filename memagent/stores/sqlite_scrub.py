"""Overwriting what was deleted.

``secure_delete`` alone is not enough: it zeroes a deleted cell, but not the stale copies that moving cells between
pages leaves in the unallocated part of a page (seen in one of three random runs of 1,500 operations). So after a
deletion the whole file is rewritten and its log emptied. The deletion itself is committed before; the mark ``scrub`` in
the file says what is still to be done (1: all, 2: the file is rewritten), so that a process that is killed in between
leaves the work to the next writer.
"""

from __future__ import annotations

import time

import apsw

from memagent.errors import StoreBusy
from memagent.stores.sqlite_errors import translate

_REWRITTEN = 2


def is_due(connection: apsw.Connection) -> bool:
    """Whether a deletion has left something to overwrite."""
    return bool(_mark(connection))


def _mark(connection: apsw.Connection) -> object:
    return connection.execute("select value from meta where name = 'scrub'").get


def scrub(connection: apsw.Connection, *, wait: float, timeout: float, where: str) -> None:
    """Rewrite the file and empty its log. The caller holds the user's file lock.

    Waits up to ``wait`` seconds for readers in other processes. Raises StoreBusy, or the error of a file operation;
    then the work stays marked. ``timeout`` is the wait time that the connection has otherwise.
    """
    try:
        if _mark(connection) != _REWRITTEN:
            connection.execute("vacuum")
            connection.execute("update meta set value = ? where name = 'scrub'", (_REWRITTEN,))
        _empty_log(connection, wait, where)
        connection.execute("update meta set value = 0 where name = 'scrub'")
    except (apsw.Error, StoreBusy) as error:
        ours = translate(error, where) if isinstance(error, apsw.Error) else error
        raise type(ours)(
            f"the memory is deleted, but its bytes are not overwritten yet: {ours.message}",
            hint="the next write, or `memagent verify`, finishes it",
        ) from error
    finally:
        connection.set_busy_timeout(int(timeout * 1000))


def _empty_log(connection: apsw.Connection, wait: float, where: str) -> None:
    deadline = time.monotonic() + wait
    connection.set_busy_timeout(0)  # the checkpoint would wait by itself, and not by our deadline
    while connection.execute("pragma wal_checkpoint(truncate)").fetchall()[0][0]:
        if time.monotonic() >= deadline:
            raise StoreBusy(f"another process is reading {where}")
        time.sleep(0.002)
