"""Timing things against each other, and reading this process's memory."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Task = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds of ``n`` calls: their median and 95th percentile."""

    p50: float
    p95: float
    n: int

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """The summary of single calls; at least one."""
        middle, high = np.percentile(np.asarray(seconds) * 1000, (50, 95)).tolist()
        return cls(p50=middle, p95=high, n=len(seconds))


def timed(task: Task) -> float:
    """How many seconds one call takes."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun


def compared(tasks: Mapping[str, Task], calls: int, *, block: int = 10) -> dict[str, Timing]:
    """Time ``calls`` calls of each task, in turns of ``block`` calls.

    What else the machine does then slows all of them alike, so their ratio holds where the times do not. A block
    begins with a call that is not counted: it finds the caches full of another task's data.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        while len(seconds[names[-1]]) < calls:
            for name in names:
                tasks[name]()
                left = min(block, calls - len(seconds[name]))
                seconds[name] += [timed(tasks[name]) for _ in range(left)]
    finally:
        if was_enabled:
            gc.enable()
    return {name: Timing.of(values) for name, values in seconds.items()}


def resident_bytes() -> int:
    """Resident memory of this process, what can be given back to the system given back first.

    Where the system does not tell, the most it ever was.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # only the GNU C library has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
