"""Work on many tasks at once, in threads, with the results in the order of the tasks."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from memagent.errors import Stopped

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # so many times the threads: tasks begun while the first of them is not done

_STOPPED: ContextVar[threading.Event | None] = ContextVar("memagent_ab_stopped", default=None)


def going_on() -> None:
    """Raise Stopped in a thread whose work is not wanted any more."""
    stopped = _STOPPED.get()
    if stopped is not None and stopped.is_set():
        raise Stopped("the run was stopped", hint="run it again to resume")


def worked(work: Callable[[T], R], tasks: Iterable[T], *, threads: int) -> Generator[R, None, None]:
    """What ``work`` makes of each task, in order, ``threads`` of them under way at once.

    After an error no further task is begun; it is raised in the place of its result, after all results before it. Work
    that is under way then, or when the iterator is closed, finds out by :func:`going_on` that it is not wanted; it is
    waited for, but not after an interrupt from the keyboard.
    """
    if threads == 1:
        yield from map(work, tasks)
        return
    stopped, failed = threading.Event(), threading.Event()
    context = contextvars.copy_context()
    context.run(_STOPPED.set, stopped)

    def one(task: T) -> R:
        try:
            return work(task)
        except BaseException:
            failed.set()
            raise

    pool = ThreadPoolExecutor(threads, thread_name_prefix="memagent-ab")
    under_way: deque[Future[R]] = deque()
    left = iter(tasks)
    waited_for = True
    try:
        while True:
            while len(under_way) < _AHEAD * threads and not failed.is_set():
                for task in left:
                    under_way.append(pool.submit(context.copy().run, one, task))
                    break
                else:
                    break
            if not under_way:
                return
            yield under_way.popleft().result()
    except KeyboardInterrupt:
        waited_for = False
        raise
    finally:
        stopped.set()
        pool.shutdown(wait=waited_for, cancel_futures=True)
