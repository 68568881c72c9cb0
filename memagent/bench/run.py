"""One benchmark run: what is measured, in which order, and what is written down."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memagent._version import __version__
from memagent.bench.figures import BenchSettings, Figure, Group
from memagent.bench.ingesting import measure_ingest
from memagent.bench.opening import measure_open, measure_users
from memagent.bench.searching import measure_search
from memagent.bench.starting import measure_startup
from memagent.bench.storing import measure_add
from memagent.bench.workshop import Workshop
from memagent.machine import machine
from memagent.records import utc_now

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder

SCHEMA = 1


class Progress(Protocol):
    """Is told how far a run is."""

    def __call__(self, done: int, total: int, doing: str) -> None:
        """``done`` of ``total`` parts are measured; ``doing`` says in words what comes now."""


def run_bench(
    settings: BenchSettings,
    *,
    out: Path,
    encoder: Encoder | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure what ``settings`` ask for; the result, fit for JSON.

    Stores are made in a temporary folder in ``out`` (so on its disk) and removed at the end. ``encoder`` (None: the
    default one, its files under ``cache_dir``) encodes where encoding is included; ``ingest`` and ``startup`` always
    take the default one. A keyboard interrupt ends the run: what was measured until then is returned, with
    ``complete`` False.
    """
    begun = utc_now()
    clock = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="stores-", dir=out))
    figures: list[Figure] = []
    complete = True
    try:
        for done, group in enumerate(settings.only):
            workshop = Workshop(root, settings, _teller(progress, done, len(settings.only)), cache_dir)
            figures.extend(_PARTS[group](workshop, encoder))
    except KeyboardInterrupt:
        complete = False
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return {
        "schema": SCHEMA,
        "memagent": __version__,
        "complete": complete,
        "started_at": begun.isoformat(),
        "seconds": round(time.perf_counter() - clock, 1),
        "machine": machine(),
        "settings": asdict(settings),
        "figures": [asdict(figure) for figure in figures],
    }


def _teller(progress: Progress | None, done: int, total: int) -> Callable[[str], None]:
    def tell(doing: str) -> None:
        if progress is not None:
            progress(done, total, doing)

    return tell


_Part = Callable[[Workshop, "Encoder | None"], Iterator[Figure]]
_PARTS: dict[Group, _Part] = {
    "search": lambda workshop, encoder: measure_search(workshop, encoder or workshop.load()),
    "add": lambda workshop, encoder: measure_add(workshop, encoder or workshop.load()),
    "ingest": lambda workshop, _: measure_ingest(workshop),
    "open": lambda workshop, _: measure_open(workshop),
    "users": lambda workshop, _: measure_users(workshop),
    "startup": lambda workshop, _: measure_startup(workshop),
}
