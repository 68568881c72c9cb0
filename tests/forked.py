"""A forked process that a test leads step by step."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


class Child:
    """A forked child that does what it is told, step by step."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._told, tell = os.pipe()
        done, self._done = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                for step in steps:
                    os.read(self._told, 1)
                    step()
                    os.write(self._done, b".")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(self._told)
        os.close(self._done)
        self._tell, self._heard = tell, done

    def step(self) -> None:
        """Have the next step done."""
        os.write(self._tell, b".")
        assert os.read(self._heard, 1) == b".", "the child has failed"

    def end(self) -> None:
        """Wait for its end."""
        assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == 0
        os.close(self._tell)
        os.close(self._heard)
