"""The same add and search work on memagent, mem0, LangGraph's InMemoryStore and bare FAISS.

The peers are installed into an environment of their own, made by this script (``--env``, about 2 GB), together with
this checkout; peers_worker.py then runs in it once for each system. The processes take turns (a user's memories each,
ten single additions each, ten searches each), so that what else the machine does slows all of them alike and none has
to share its threads with another's. Nothing is fetched when it runs: all embed with the packaged all-MiniLM-L6-v2.

    python benchmarks/against_peers.py                        2,000 memories of 20 users, 5,000 of 50 (mem0: 20 minutes)
    python benchmarks/against_peers.py --sizes 500 --users 5  a quick look
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from typing import Any

from limits import Check, show
from peers_worker import SYSTEMS
from progress import clear, tell
from rich import box
from rich.console import Console
from rich.table import Table

from memagent.bench.measure import Timing
from memagent.bench.texts import Grammar

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent
_PEERS = ("mem0ai==2.2.1", "langgraph>=1.2", "sentence-transformers>=6.0", "faiss-cpu>=1.13", "torch==2.13.0")
_CONSTRAINED = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "faiss-cpu", "onnxruntime")
_BLOCK = 10
_LIMITS = {"bulk_add": 10.0, "single_add": 4.0, "search": 3.0}


def main() -> int:
    options = _arguments()
    python = prepared(options.env)
    results: list[dict[str, Any]] = []
    for size, users in zip(options.sizes, options.users, strict=True):
        found = measured(python, memories=size, users=users, searches=options.searches, adds=options.adds)
        results += [{"memories": size, "users": users, **result} for result in found]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    holds = True
    for size in options.sizes:
        rows = {result["system"]: result for result in results if result["memories"] == size}
        Console().print(_table(rows))
        holds &= show("memagent (hybrid, its default) beside mem0", _checks(rows))
    return 0 if holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, default=Path("build/peers-env"), help="the environment of the peers")
    parser.add_argument("--sizes", type=_numbers, default=(2_000, 5_000), metavar="N,N", help="memories stored")
    parser.add_argument("--users", type=_numbers, default=(20, 50), metavar="N,N", help="users who share them")
    parser.add_argument("--searches", type=int, default=200, help="timed searches")
    parser.add_argument("--adds", type=int, default=50, help="timed single additions")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    if len(options.sizes) != len(options.users):
        parser.error("--users needs as many numbers as --sizes")
    return options


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def prepared(folder: Path) -> Path:
    """The Python of the peers' environment, which is made when it is not there or lacks anything."""
    python = folder.resolve() / "bin" / "python"
    done = folder / "installed.txt"
    wanted = "\n".join(_PEERS)
    if done.exists() and done.read_text("utf-8") == wanted:
        return python
    print(f"installing {', '.join(_PEERS)} and this checkout into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    constraints = folder / "constraints.txt"
    constraints.write_text(_same_versions(), encoding="utf-8")
    subprocess.run([*pip, "--constraint", str(constraints), *_PEERS, "--editable", str(_CHECKOUT)], check=True)
    done.write_text(wanted, encoding="utf-8")
    return python


def _same_versions() -> str:
    """The project's pins of the packages that do the work; the rest is as the peers want it."""
    lines = (_CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if line.partition("==")[0].lower() in _CONSTRAINED)


class Worker:
    """One system in a process of its own."""

    def __init__(self, python: Path, system: str, folder: Path) -> None:
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "MEM0_TELEMETRY": "False",
            "MEM0_DIR": str(folder / "mem0-home"),
            "PYTHONPATH": "",
        }
        self.system = system
        self._process = subprocess.Popen(
            [str(python), str(_HERE / "peers_worker.py"), system, str(folder / "store")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.durable = bool(self._reply()["durable"])

    def ask(self, **work: Any) -> dict[str, Any]:
        """What the system replies; nothing else works meanwhile."""
        assert self._process.stdin is not None  # for the type checker
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.system} ended with status {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def measured(python: Path, *, memories: int, users: int, searches: int, adds: int) -> list[dict[str, Any]]:
    """What each system takes, the systems working in turns."""
    grammar = Grammar()
    shares = {f"user-{n}": [_memory(grammar) for _ in range(memories // users)] for n in range(users)}
    with tempfile.TemporaryDirectory(prefix="peers-") as root, ExitStack() as running:
        workers = []
        for place, system in enumerate(SYSTEMS):
            tell(f"starting {system}")
            folder = Path(root) / str(place)
            folder.mkdir()
            workers.append(Worker(python, system, folder))
            running.callback(workers[-1].close)
        bulk = _bulk_seconds(workers, shares)
        added = in_turns(workers, "add", adds, _calls(list(shares), partial(_memory, Grammar(1))))
        searched = in_turns(workers, "search", searches, _calls(list(shares), Grammar(2).question))
    clear()
    return [
        {
            "system": worker.system,
            "durable": worker.durable,
            "bulk_add": sum(map(len, shares.values())) / bulk[worker.system],
            "single_add": Timing.of(added[worker.system].seconds).p50,
            "search": Timing.of(searched[worker.system].seconds).p50,
            "search_p95": Timing.of(searched[worker.system].seconds).p95,
            "results": mean(searched[worker.system].counts),
            "least": min(searched[worker.system].counts),
        }
        for worker in workers
    ]


def _memory(grammar: Grammar) -> str:
    return " ".join(grammar.turn())


def _bulk_seconds(workers: Sequence[Worker], shares: Mapping[str, list[str]]) -> dict[str, float]:
    """What each system takes to store everything, user by user in turns."""
    seconds = dict.fromkeys((worker.system for worker in workers), 0.0)
    for number, (user, texts) in enumerate(shares.items(), start=1):
        for worker in workers:
            tell(f"storing user {number} of {len(shares)}: {worker.system}")
            seconds[worker.system] += worker.ask(do="add_all", user=user, texts=texts)["seconds"]
    return seconds


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one system: how long each took, and how many results it had."""

    seconds: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


def in_turns(workers: Sequence[Worker], do: str, calls: int, made: Iterator[tuple[str, str]]) -> dict[str, Calls]:
    """Time ``calls`` calls of each system, ten at a time, the same ones of all.

    Each ten begin with a call that is not counted: it finds the caches full of another system's data.
    """
    found = {worker.system: Calls() for worker in workers}
    for start in range(0, calls, _BLOCK):
        block = list(islice(made, 1 + min(_BLOCK, calls - start)))
        for worker in workers:
            tell(f"{do} {start} of {calls}: {worker.system}")
            reply = worker.ask(do=do, calls=block)
            found[worker.system].seconds.extend(reply["seconds"][1:])
            found[worker.system].counts.extend(reply.get("counts", [])[1:])
    return found


def _calls(users: Sequence[str], text: Callable[[], str]) -> Iterator[tuple[str, str]]:
    return ((user, text()) for user in cycle(users))


def _table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(rows.values()))
    title = f"{first['memories']:,} memories of {first['users']} users, all-MiniLM-L6-v2, five results"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "bulk add\n/s", "single add\nms", "search\np50 ms", "\np95 ms", "\nresults", "\ndurable"):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name), overflow="fold")
    table.caption = "Below each figure: how many times as fast as mem0; below the results of a search the fewest."
    table.caption_justify = "left"
    for name, row in rows.items():
        times = _times_as_fast(row, rows["mem0"])
        table.add_row(
            name,
            f"{row['bulk_add']:,.0f}\n[dim]{times['bulk_add']:.1f} x[/]",
            f"{row['single_add']:.1f}\n[dim]{times['single_add']:.1f} x[/]",
            f"{row['search']:.1f}\n[dim]{times['search']:.1f} x[/]",
            f"{row['search_p95']:.1f}",
            f"{row['results']:.2f}\n[dim]{row['least']}[/]",
            "yes" if row["durable"] else "no",
        )
    return table


def _times_as_fast(row: Mapping[str, Any], mem0: Mapping[str, Any]) -> dict[str, float]:
    return {
        "bulk_add": row["bulk_add"] / mem0["bulk_add"],
        "single_add": mem0["single_add"] / row["single_add"],
        "search": mem0["search"] / row["search"],
    }


def _checks(rows: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """The limits for memagent as it comes; in the notes the same for its encoder in int8."""
    ours, int8 = (_times_as_fast(rows[name], rows["mem0"]) for name in ("memagent", "memagent, int8"))
    checks = [
        Check(
            what=f"{what.replace('_', ' ')}, times as fast",
            value=ours[what],
            limit=limit,
            unit="x",
            at_least=True,
            note=_note(int8[what], limit, "x"),
        )
        for what, limit in _LIMITS.items()
    ]
    fewest = Check(
        what="fewest results of a search, of 5",
        value=rows["memagent"]["least"],
        limit=5,
        at_least=True,
        note=_note(rows["memagent, int8"]["least"], 5),
    )
    return [*checks, fewest]


def _note(value: float, limit: float, unit: str = "") -> str:
    return f"int8: {value:.1f} {unit}".strip() + ("" if value >= limit else ", does not hold")


if __name__ == "__main__":
    sys.exit(main())
