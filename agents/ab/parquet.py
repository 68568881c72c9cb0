"""The event log as a table, for those who read Parquet."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from memagent.agents.ab.events import FIELDS
from memagent.files import replacing

_ROWS = 50_000  # in a row group, and in memory
_WHOLE = frozenset({"visit", "step", "page", "position", "rank", "rating"})
_REAL = frozenset({"interest", "cost", "energy"})


def write_parquet(lines: Path, target: Path) -> bool:
    """A Parquet file with the events of a file of JSON Lines; False, and none, where pyarrow is not installed.

    The same events and the same pyarrow give the same bytes.
    """
    if importlib.util.find_spec("pyarrow") is None:
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {**dict.fromkeys(_WHOLE, pa.int32()), **dict.fromkeys(_REAL, pa.float64())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in FIELDS])
    with (
        replacing(target, mode=0o666) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        lines.open(encoding="utf-8") as file,
    ):
        for rows in _batches(file):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return True


def _batches(lines: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    given = iter(lines)
    while rows := [json.loads(line) for line in islice(given, _ROWS)]:
        yield rows
