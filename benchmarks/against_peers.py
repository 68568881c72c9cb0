"""The same add and search work on memagent, mem0, LangGraph's InMemoryStore and bare FAISS.

The peers are installed into an environment of their own, made by this script (``--env``, about 2 GB), together with
this checkout; peers_worker.py then runs in it, all systems in one process, taking turns. Nothing is fetched when it
runs: all of them embed with the packaged all-MiniLM-L6-v2.

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limits import Check, show
from rich import box
from rich.console import Console
from rich.table import Table

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent
_PEERS = ("mem0ai==2.2.1", "langgraph>=1.2", "sentence-transformers>=6.0", "faiss-cpu>=1.13", "torch==2.13.0")
_CONSTRAINED = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "faiss-cpu", "onnxruntime")
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


def measured(python: Path, **work: int) -> list[dict[str, Any]]:
    """Run the worker in the peers' environment; what it measured of each system."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "MEM0_TELEMETRY": "False",
            "MEM0_DIR": f"{folder}/mem0",
            "PYTHONPATH": "",
        }
        done = subprocess.run(
            [str(python), str(_HERE / "peers_worker.py"), json.dumps({**work, "folder": folder})],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    results: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return results


def _table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(rows.values()))
    title = f"{first['memories']:,} memories of {first['users']} users, all-MiniLM-L6-v2, five results"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "bulk add", "x mem0", "single add", "x mem0", "search p50", "p95", "x mem0", "results", "durable"):
        table.add_column(name, justify="right" if name else "left")
    mem0 = rows["mem0"]
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['bulk_add']:,.0f} /s",
            f"{row['bulk_add'] / mem0['bulk_add']:.1f}",
            f"{row['single_add']:.1f} ms",
            f"{mem0['single_add'] / row['single_add']:.1f}",
            f"{row['search']:.1f} ms",
            f"{row['search_p95']:.1f}",
            f"{mem0['search'] / row['search']:.1f}",
            f"{row['results']:.2f} (least {row['least']})",
            "yes" if row["durable"] else "no",
        )
    return table


def _checks(rows: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    ours, mem0 = rows["memagent"], rows["mem0"]
    ratios = {
        "bulk_add": ours["bulk_add"] / mem0["bulk_add"],
        "single_add": mem0["single_add"] / ours["single_add"],
        "search": mem0["search"] / ours["search"],
    }
    checks = [
        Check(what=f"{what.replace('_', ' ')}, times as fast", value=ratios[what], limit=limit, unit="x", at_least=True)
        for what, limit in _LIMITS.items()
    ]
    least = Check(what="fewest results of a search, of 5", value=ours["least"], limit=5, at_least=True)
    return [*checks, least]


if __name__ == "__main__":
    sys.exit(main())
