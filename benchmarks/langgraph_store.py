"""memagent's LangGraph store beside LangGraph's InMemoryStore: the same items, the same encoder, in turns.

Ours writes each put to disk (fsync); InMemoryStore forgets everything. What encoding takes is in both.

    python benchmarks/langgraph_store.py                     5,000 items, all-MiniLM-L6-v2
    python benchmarks/langgraph_store.py --items 500 --calls 20
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore
from limits import Check, show
from progress import clear, tell

from memagent.bench.measure import Timing, compared
from memagent.bench.texts import Grammar
from memagent.encoders import load_encoder
from memagent.integrations import MemagentStore

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from memagent.encoders.port import Encoder

NAMESPACE = ("ann", "memories")
_BLOCK = 500
_OTHERS = 10  # the share of items that have the topic which the filter asks for is one in ten


def main() -> int:
    options = _arguments()
    encoder = load_encoder()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stores-", dir=options.out) as folder:
        ours = MemagentStore(folder, encoder=encoder)
        theirs = InMemoryStore(index={"dims": encoder.dim, "embed": embedding(encoder)})
        stores: dict[str, BaseStore] = {"memagent": ours, "InMemoryStore": theirs}
        fill(stores, options.items)
        checks = list(measured(stores, options.calls, options.items))
        ours.close()
    clear()
    return 0 if show(f"{options.items:,} items, {options.calls} calls of each kind", checks) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5_000, help="how many items there are before anything is timed")
    parser.add_argument("--calls", type=int, default=100, help="how many calls of each kind are timed")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="the store is made in this folder")
    return parser.parse_args()


def embedding(encoder: Encoder) -> Callable[[Any], list[list[float]]]:
    """The encoder as LangGraph wants it: lists of numbers."""
    return lambda texts: encoder.encode_documents(list(texts)).tolist()


def items(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and values: what somebody said, and one of ten topics."""
    grammar = Grammar(seed)
    for number in count():
        yield f"{seed}-{number}", {"text": " ".join(grammar.turn()), "topic": number % _OTHERS}


def fill(stores: dict[str, BaseStore], size: int) -> None:
    """Put the same items into all stores, in blocks."""
    source = items(0)
    for start in range(0, size, _BLOCK):
        tell(f"storing items {start:,} to {min(size, start + _BLOCK):,} of {size:,}")
        block = [next(source) for _ in range(min(_BLOCK, size - start))]
        for store in stores.values():
            store.batch([PutOp(NAMESPACE, key, value) for key, value in block])


def measured(stores: dict[str, BaseStore], calls: int, size: int) -> Iterator[Check]:
    """Each kind of call on both stores, in turns."""
    kinds = (_put, _overwrite, _put_later, _get, _search, _filtered, _listed, _delete)
    for kind in kinds:
        tell(f"timing: {kind.__name__.strip('_')}")
        tasks = {name: kind(store, size) for name, store in stores.items()}
        for task in tasks.values():
            task()  # the first call opens indexes and fills caches
        timings = compared(tasks, calls)
        yield from _checks(kind, timings["memagent"], timings["InMemoryStore"])


def _checks(kind: Callable[..., Any], ours: Timing, theirs: Timing) -> Iterator[Check]:
    mine, other = ours.p50, theirs.p50
    note = f"{mine:.2f} ms beside {other:.2f} ms"
    what = (kind.__doc__ or "").strip().rstrip(".").lower()
    if kind in (_put, _overwrite, _put_later):
        yield Check(what=f"{what}: more than InMemoryStore", value=mine - other, limit=5.0, unit="ms", note=note)
    elif kind in (_search, _filtered):
        yield Check(what=f"{what}: of InMemoryStore's time", value=mine / other, limit=1.0, unit="x", note=note)
    else:
        limit = 500.0 if kind is _delete else 20.0  # a deletion rewrites the file, so that no bytes stay
        yield Check(what=f"{what}: median", value=mine, limit=limit, unit="ms", note=note)


def _put(store: BaseStore, size: int) -> Callable[[], object]:
    """Put a new item."""
    source = items(1)
    return lambda: store.put(NAMESPACE, *next(source))


def _overwrite(store: BaseStore, size: int) -> Callable[[], object]:
    """Put an item that exists."""
    source = items(2)
    places = count()
    return lambda: store.put(NAMESPACE, f"0-{next(places) % size}", next(source)[1])


def _get(store: BaseStore, size: int) -> Callable[[], object]:
    """Get."""
    places = count()
    return lambda: store.get(NAMESPACE, f"0-{next(places) % size}")


def _search(store: BaseStore, size: int) -> Callable[[], object]:
    """Search with a query."""
    grammar = Grammar(3)
    return lambda: store.search(NAMESPACE, query=grammar.question(), limit=10)


def _filtered(store: BaseStore, size: int) -> Callable[[], object]:
    """Search with a query and a filter."""
    grammar = Grammar(4)
    return lambda: store.search(NAMESPACE, query=grammar.question(), filter={"topic": 3}, limit=10)


def _listed(store: BaseStore, size: int) -> Callable[[], object]:
    """Search with a filter only."""
    return lambda: store.search(NAMESPACE, filter={"topic": {"$gte": 3}}, limit=10)


def _delete(store: BaseStore, size: int) -> Callable[[], object]:
    """Delete."""
    places = count()
    return lambda: store.delete(NAMESPACE, f"0-{next(places) % size}")


def _put_later(store: BaseStore, size: int) -> Callable[[], object]:
    """Put a new item, awaited."""
    source = items(5)
    return lambda: asyncio.run(store.aput(NAMESPACE, *next(source)))


if __name__ == "__main__":
    sys.exit(main())
