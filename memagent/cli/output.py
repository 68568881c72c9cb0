"""How results are shown: JSON for programs, tables for people; messages go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

# Stored text comes from anywhere: control characters (terminal commands among them) and marks that reorder
# what follows are shown as a replacement character.
_HIDDEN = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
_PRINTABLE = {code: mark for code, mark in _HIDDEN.items() if code not in (0x09, 0x0A)}


_GAP = 3  # between two columns of a table
_NARROWEST = 8


def printable(text: str) -> str:
    """The text with nothing in it that a terminal would obey; lines and tabs stay."""
    return text.translate(_PRINTABLE)


def one_line(text: str) -> str:
    """The text on one line, fit for a cell of a table."""
    return " ".join(text.split()).translate(_HIDDEN)


def say(message: str) -> None:
    """Write a message, which is not a result, to stderr."""
    typer.echo(printable(message), err=True)


def write_json(value: object) -> None:
    """Write a result as JSON; in ASCII where stdout cannot hold the characters."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    typer.echo(text)


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, clip: str | None = None, wrap: str | None = None
) -> None:
    """Write a table. In a narrow terminal the column ``clip`` is cut and the column ``wrap`` goes on below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    cells = [tuple(Text(one_line(cell)) for cell in row) for row in rows]
    widths = [max([len(name), *(row[i].cell_len for row in cells)]) for i, name in enumerate(columns)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        rest = console.width - (sum(widths) - width) - _GAP * (len(columns) - 1)
        room = max(_NARROWEST, rest) if name in (clip, wrap) else width
        table.add_column(
            name, no_wrap=name != wrap, overflow="ellipsis" if name == clip else "fold", width=min(width, room)
        )
    for row in cells:
        table.add_row(*row)
    console.print(table)


def write_fields(fields: Mapping[str, str]) -> None:
    """Write names and values, one a line; a long value is not cut, so that it can be copied."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        typer.echo(f"{typer.style(name.ljust(width), bold=True)}  {one_line(value)}")


def write_text(text: str) -> None:
    """Write text as it is to a file or a pipe, and without what a terminal would obey to a terminal."""
    typer.echo(printable(text) if sys.stdout.isatty() else text)


def local_date(moment: str) -> str:
    """An ISO 8601 time as the date it was here."""
    return datetime.fromisoformat(moment).astimezone().date().isoformat()


def local_time(moment: str) -> str:
    """An ISO 8601 time as date and time here, to the second."""
    return datetime.fromisoformat(moment).astimezone().isoformat(" ", "seconds")


def short_id(memory_id: str) -> str:
    """The part of a memory's id that tells it from the user's others."""
    return memory_id.rpartition("-")[2]


def plural(count: int, noun: str) -> str:
    """``1 turn``, ``2,000 turns``, ``3 memories``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def as_cell(value: Any) -> str:
    """A value of a reply as text; a number that is not whole to 3 digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
