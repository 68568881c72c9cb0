"""Bulk ingestion of turns, all storing included, beside bare ``SentenceTransformer.encode`` of the same texts.

Both get blocks of about 256 turns, one after the other, each time another of them first. Texts longer than the encoder
sees at once are cut, as SentenceTransformer does, so that the work is the same; with ``--windows`` a memory that embeds
all of them takes part too.

    python benchmarks/ingestion.py                                              synthetic conversations
    python benchmarks/ingestion.py --dataset locomo --data locomo10.json        a data set in its official format
    python benchmarks/ingestion.py --dataset longmemeval --data longmemeval_s.json --turns 1024
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from limits import Check, show
from progress import clear, tell

from memagent.bench.ingesting import bare_encode, ingestion_rates
from memagent.bench.texts import Grammar
from memagent.encoders import load_encoder
from memagent.evals.datasets import load_dataset
from memagent.evals.storing import stored_sessions
from memagent.granularity import group_turns, turn_text
from memagent.records import Session

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder

_BLOCK = 256


def main() -> int:
    options = _arguments()
    blocks = list(in_blocks(_sessions(options.dataset, options.data, options.turns), options.turns))
    texts = [turn_text(turn) for block in blocks for session in block for turn in group_turns(session.messages)]
    encoders: dict[str, Encoder] = {
        "float32": load_encoder(long_text="truncate"),
        "int8": load_encoder(precision="int8", long_text="truncate"),
    }
    if options.windows:
        encoders["float32, long texts whole"] = load_encoder()
        encoders["int8, long texts whole"] = load_encoder(precision="int8")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stores-", dir=options.out) as root:
        rates = ingestion_rates(Path(root), encoders, bare_encode(), blocks, tell)
    clear()
    checks = [
        Check(
            what=name,
            value=rate.ratio,
            limit=0.95 if name.startswith("float32") else 1.4,
            unit="x",
            at_least=True,
            note=f"{rate.turns:,.0f} turns/s; bare {rate.bare:,.0f}",
        )
        for name, rate in rates.items()
    ]
    tokens = sum(map(encoders["float32"].count_tokens, texts)) / len(texts)
    title = f"{options.dataset}: {len(texts):,} turns of {tokens:.0f} tokens on average, {len(blocks)} blocks"
    holds = show(title, checks)
    return 0 if holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=("synthetic", "locomo", "longmemeval"), default="synthetic")
    parser.add_argument("--data", type=Path, action="append", default=[], help="a file of the data set; repeatable")
    parser.add_argument("--turns", type=int, default=2_048, help="how many turns are ingested at most")
    parser.add_argument("--windows", action="store_true", help="also embed long texts whole")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="the stores are made in this folder")
    return parser.parse_args()


def _sessions(dataset: str, data: list[Path], turns: int) -> Iterator[Session]:
    """The sessions of all histories, with ids that differ between histories."""
    if dataset == "synthetic":
        yield from Grammar().sessions(turns)
        return
    for history in load_dataset(dataset, data).histories:
        for session in stored_sessions(history):
            messages = tuple(replace(message, id="") for message in session.messages)
            yield replace(session, id=f"{history.user_id}/{session.id}", messages=messages)


def in_blocks(sessions: Iterable[Session], turns: int) -> Iterator[list[Session]]:
    """Sessions in blocks of at least 256 turns, until there are ``turns`` turns."""
    block: list[Session] = []
    size = total = 0
    for session in sessions:
        block.append(session)
        size += len(group_turns(session.messages))
        if size >= _BLOCK or total + size >= turns:
            yield block
            total += size
            block, size = [], 0
        if total >= turns:
            return


if __name__ == "__main__":
    sys.exit(main())
