"""What it takes to start: importing the package, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.bench.figures import Figure, latency
from memagent.bench.measure import Timing, timed
from memagent.errors import MemagentError
from memagent.memory import Memory

if TYPE_CHECKING:
    from memagent.bench.workshop import Workshop

_IMPORT = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_IMPORTS = {
    "import memagent": "import memagent",
    "from memagent import Memory": "from memagent import Memory",
    "import numpy": "import numpy",
}
_USER = "user"


def measure_startup(workshop: Workshop) -> Iterator[Figure]:
    """Import times in fresh processes, and a whole ``memagent search``, with the default encoder."""
    workshop.tell("starting processes")
    repeats = workshop.settings.opens
    store = workshop.root / "startup"
    with Memory(store, encoder=workshop.load(), background=False) as memory:
        for session in workshop.grammar.sessions(20):
            memory.add_many([session], user_id=_USER)
    imports: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    bare: list[float] = []
    search: list[float] = []
    for _ in range(repeats):
        for name, statement in _IMPORTS.items():
            imports[name].append(float(_run(["-c", _IMPORT.format(statement)])))
        bare.append(timed(lambda: _run(["-c", "import numpy"])))
        search.append(timed(lambda: _run(_search(store), workshop.cache_dir)))
    for name in ("import memagent", "from memagent import Memory"):
        yield latency(
            "startup",
            name,
            Timing.of(imports[name]),
            against="import numpy",
            other=Timing.of(imports["import numpy"]),
        )
    yield latency(
        "startup",
        "memagent search, whole process",
        Timing.of(search),
        against="a Python process that imports numpy",
        other=Timing.of(bare),
    )


def _search(store: Path) -> list[str]:
    return ["-m", "memagent", "search", "Which book did I buy?", "--user", _USER, "--store", str(store), "--json"]


def _run(arguments: list[str], cache_dir: Path | None = None) -> str:
    others = {name: value for name, value in os.environ.items() if not name.startswith("MEMAGENT_")}
    place = {"MEMAGENT_CACHE": str(cache_dir)} if cache_dir else {}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**others, **place, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise MemagentError(f"python {' '.join(arguments[:3])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
