"""Runs a server for another process, and ends it, with all processes it has started, when that process is gone.

A program of its own, of the standard library alone: ``python keeper.py LOG GRACE COMMAND...``. Its standard input is a
pipe from the process it works for: that pipe closes when the process ends in whatever way, kill -9 among them. It
writes the server's process id to standard output, and exits with the server's status.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

_LOOK = 0.1  # seconds between two looks at the server


def keep(log: str, grace: float, command: Sequence[str]) -> int:
    """Run ``command`` until it ends or nobody wants it any more; its exit status."""
    wanted = True

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal wanted
        wanted = False

    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, stop)
    with open(log, "ab") as output:  # noqa: PTH123 - nothing but the standard library's basics
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    print(server.pid, flush=True)  # noqa: T201 - told to the process it works for
    try:
        while wanted and server.poll() is None:
            readable, _, _ = select.select([0], [], [], _LOOK)
            wanted = not readable or os.read(0, 1024) != b""
        if server.poll() is None:
            end(server.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while server.poll() is None and time.monotonic() < deadline:
                time.sleep(_LOOK)
    finally:
        end(server.pid, signal.SIGKILL)  # what has not ended by itself, and what the server has left behind
    return server.wait()


def end(group: int, kind: signal.Signals) -> None:
    """Signal all processes of a group that may have ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, kind)


if __name__ == "__main__":
    status = keep(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
    sys.exit(status if status >= 0 else 128 - status)
