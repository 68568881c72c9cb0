"""A demo made once for all tests of a process, with the hashing double: the files are real, the figures are not."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from memagent.evals.demo.command import REPORT, make_demo
from memagent.evals.demo.running import DemoRun
from memagent.testing import HashingEncoder


class Made(NamedTuple):
    """What the demo found, the folder it wrote to, and the page."""

    demo: DemoRun
    folder: Path
    page: str


@cache
def made() -> Made:
    folder = Path(mkdtemp(prefix="memagent-demo-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    demo = make_demo(folder, HashingEncoder())
    return Made(demo, folder, (folder / REPORT).read_text(encoding="utf-8"))
