"""The options that many commands share, and how their texts are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from memagent.errors import InvalidFilter, InvalidInput, InvalidTime, UnknownMemory
from memagent.records import as_utc

if TYPE_CHECKING:
    from memagent.retrievers.port import Retriever

User: TypeAlias = Annotated[str, typer.Option("--user", "-u", metavar="ID", help="Whose memory.", show_default=False)]
OwnUser: TypeAlias = Annotated[
    str | None,
    typer.Option("--user", "-u", metavar="ID", help="Whose memory it is; needed with the short form of an id."),
]
MemoryId: TypeAlias = Annotated[
    str, typer.Argument(metavar="MEMORY_ID", help="Its id, or with --user the short form that tables show.")
]
Store: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--store", envvar="MEMAGENT_STORE", metavar="DIR", help="The folder of the store.", rich_help_panel="Place"
    ),
]
DEFAULT_STORE = Path("memagent-store")
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.", rich_help_panel="Place")]

EncoderName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        envvar="MEMAGENT_ENCODER",
        metavar="MODEL",
        help="A sentence-transformers model, by name or path. Default: all-MiniLM-L6-v2.",
        rich_help_panel="Encoder",
    ),
]
Precision: TypeAlias = Annotated[
    Literal["float32", "int8"],
    typer.Option("--precision", help="int8 is faster on a CPU, and less exact.", rich_help_panel="Encoder"),
]
LongText: TypeAlias = Annotated[
    Literal["windows", "truncate"],
    typer.Option(
        "--long-text",
        help="Text longer than the encoder sees at once: embed all of it in windows, or cut it.",
        rich_help_panel="Encoder",
    ),
]

Unit: TypeAlias = Literal["turn", "session", "summary", "keywords", "combination", "fact"]
RetrieverName: TypeAlias = Annotated[
    str,
    typer.Option("--retriever", "-r", metavar="NAME", help="bm25, dense or hybrid, or 'NAME\\[param=value,...]'."),
]
Granularity: TypeAlias = Annotated[Unit, typer.Option("--granularity", "-g", help="The units to look at.")]
Filter: TypeAlias = Annotated[
    str | None,
    typer.Option("--filter", "-f", metavar="JSON", help='Only memories that pass, for example \'{"topic": "food"}\'.'),
]
AsOf: TypeAlias = Annotated[
    str | None, typer.Option("--as-of", metavar="TIME", help="Only what was said at this time or before.")
]
Superseded: TypeAlias = Annotated[
    bool, typer.Option("--superseded", help="Facts too of which others have taken the place.")
]
ModelName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        envvar="MEMAGENT_MODEL",
        metavar="MODEL",
        help="The language model: a server's URL, 'embedded', or PROVIDER:NAME.",
        rich_help_panel="Language model",
        show_default=False,
    ),
]
Metadata: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata", "-m", metavar="KEY=VALUE", help="Repeatable. A value that is JSON (10, true) is taken as such."
    ),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def as_filter(text: str | None) -> dict[str, Any] | None:
    """A filter from its JSON; raises InvalidFilter."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidFilter(f"--filter is not JSON: {error}", hint='for example \'{"topic": "food"}\'') from None
    if not isinstance(value, dict):
        raise InvalidFilter(f"--filter is JSON but no object: {text}", hint='for example \'{"topic": "food"}\'')
    return value


def as_pairs(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Metadata from ``key=value`` texts; None if there are none. Raises InvalidInput."""
    if not pairs:
        return None
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or key in found:
            raise InvalidInput(f"cannot use --metadata {pair!r}", hint="write key=value, each key once")
        found[key] = _json_or_text(value)
    return found


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def as_time(text: str | None, option: str) -> str | None:
    """A time as it was written, checked; raises InvalidTime with an example fit for a shell."""
    if text is None:
        return None
    try:
        as_utc(text, option)
    except InvalidTime as error:
        raise InvalidTime(error.message, hint="for example 2025-03-01T10:00:00+01:00, or ...T09:00:00Z") from None
    return text


def as_retriever(text: str) -> Retriever | str:
    """A retriever's name as it is, or with ``[param=value,...]`` the retriever; raises UnknownName or InvalidInput."""
    if "[" not in text:
        return text
    from memagent.evals.specs import parse_specs

    return parse_specs([text])[0].retriever


def full_id(memory_id: str, user: str | None) -> str:
    """A memory's whole id: the short form that tables show lacks the user's part. Raises UnknownMemory without that."""
    if "-" in memory_id:
        return memory_id
    if user is None:
        raise UnknownMemory(
            f"no memory has the id {memory_id[:100]!r}", hint="name its user with --user, or pass the whole id"
        )
    from memagent.stores.sqlite import checked_user_id
    from memagent.stores.sqlite_user import owner_of

    return f"{owner_of(checked_user_id(user))}-{memory_id}"
