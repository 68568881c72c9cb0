"""Commands that look: search, context, get, list, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memagent.cli import options, output
from memagent.cli.opening import opened, opened_without_encoder

if TYPE_CHECKING:
    from memagent.memory.replies import Item, SearchReply


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    *,
    user: options.User,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many memories.")] = 5,
    retriever: options.RetrieverName = "hybrid",
    granularity: options.Granularity = "turn",
    filter_: options.Filter = None,
    as_of: options.AsOf = None,
    superseded: options.Superseded = False,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="Pass over what would exceed this many tokens in all.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each memory was found.")] = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Find the memories that answer a query, best first."""
    filters, moment = options.as_filter(filter_), options.as_time(as_of, "--as-of")
    chosen = options.as_retriever(retriever)
    with opened(store, encoder, precision, long_text) as memory:
        reply = memory.search(
            query,
            user_id=user,
            top_k=top_k,
            retriever=chosen,
            granularity=granularity,
            filters=filters,
            as_of=moment,
            superseded=superseded,
            max_tokens=max_tokens,
            explain=explain,
        )
    if as_json:
        output.write_json(reply)
    else:
        _show_found(reply)


def _show_found(reply: SearchReply) -> None:
    if not reply["results"]:
        output.say("no memory was found")
    else:
        rows = [
            (str(rank), f"{found['score']:.3f}", *_row(found)) for rank, found in enumerate(reply["results"], start=1)
        ]
        output.write_table(("#", "score", *_COLUMNS), rows, clip="memory")
    if "trace" in reply:
        _show_why(reply["results"], reply["trace"])


_COLUMNS = ("said", "id", "memory")


def _row(found: Item) -> tuple[str, str, str]:
    return output.local_date(found["event_at"]), output.short_id(found["id"]), found["memory"]


def _show_why(results: Sequence[Item], trace: Mapping[str, Any]) -> None:
    """The parts of each score, and how the retriever went about it."""
    parts = list(dict.fromkeys(part for found in results for part in found.get("score_details", {})))
    if parts:
        rows = [
            (str(rank), *(_part(found.get("score_details", {}), part) for part in parts))
            for rank, found in enumerate(results, start=1)
        ]
        output.write_table(("#", *parts), rows)
    output.write_fields(dict(_flat(trace)))


def _part(details: Mapping[str, float], part: str) -> str:
    return output.as_cell(float(details[part])) if part in details else "-"


def _flat(trace: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A trace as names and values; what is nested is named ``outer.inner``."""
    found: list[tuple[str, str]] = []
    for name, value in trace.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", output.as_cell(value)))
    return found


def context(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What the prompt is about.")],
    *,
    user: options.User,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="How long the text may be.")] = 1000,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many memories to choose from.")] = 20,
    retriever: options.RetrieverName = "hybrid",
    granularity: options.Granularity = "turn",
    filter_: options.Filter = None,
    as_of: options.AsOf = None,
    superseded: options.Superseded = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Write a text for a prompt: the memories that answer a query, dated, in the order they were said."""
    filters, moment = options.as_filter(filter_), options.as_time(as_of, "--as-of")
    chosen = options.as_retriever(retriever)
    with opened(store, encoder, precision, long_text) as memory:
        text = memory.context(
            query,
            user_id=user,
            max_tokens=max_tokens,
            top_k=top_k,
            retriever=chosen,
            granularity=granularity,
            filters=filters,
            as_of=moment,
            superseded=superseded,
        )
    if as_json:
        output.write_json({"context": text})
    elif text:
        output.write_text(text)
    else:
        output.say("no memory was found that fits")


def get(
    memory_id: options.MemoryId,
    *,
    user: options.OwnUser = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Show one memory."""
    with opened_without_encoder(store) as memory:
        found = memory.get(options.full_id(memory_id, user), user_id=user)
    if as_json:
        output.write_json(found)
        return
    output.write_fields(
        {
            "id": found["id"],
            "user": found["user_id"],
            "session": found["session_id"],
            "agent": found["agent_id"] or "-",
            "granularity": found["granularity"],
            "said": output.local_time(found["event_at"]),
            "stored": output.local_time(found["created_at"]),
            "changed": output.local_time(found["updated_at"]),
            "roles": ", ".join(found["roles"]) or "-",
            "metadata": output.as_cell(found["metadata"]),
        }
    )
    output.write_text(f"\n{found['memory']}")


def list_(
    *,
    user: options.User,
    granularity: options.Granularity = "turn",
    filter_: options.Filter = None,
    as_of: options.AsOf = None,
    superseded: options.Superseded = False,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many at most, the first stored first.")] = 100,
    every: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Show a user's memories in the order they were stored."""
    filters, moment = options.as_filter(filter_), options.as_time(as_of, "--as-of")
    with opened(store, encoder, precision, long_text) as memory:
        reply = memory.get_all(
            user_id=user,
            granularity=granularity,
            filters=filters,
            as_of=moment,
            superseded=superseded,
            top_k=None if every else top_k,
        )
    if as_json:
        output.write_json(reply)
        return
    if reply["results"]:
        output.write_table(_COLUMNS, map(_row, reply["results"]), clip="memory")
    output.say(f"{len(reply['results']):,} of {output.plural(reply['total'], granularity_noun(granularity))}")


def granularity_noun(granularity: str) -> str:
    """What one unit of a granularity is called in a message."""
    return "set of keywords" if granularity == "keywords" else granularity


def history(
    memory_id: options.MemoryId,
    *,
    user: options.OwnUser = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Show what happened to one memory, oldest first; without texts once it was deleted."""
    with opened_without_encoder(store) as memory:
        entries = memory.history(options.full_id(memory_id, user), user_id=user)
    if as_json:
        output.write_json({"results": entries})
        return
    rows = [
        (output.local_time(entry["at"]), entry["event"], entry["new_memory"] or entry["old_memory"] or "-")
        for entry in entries
    ]
    output.write_table(("when", "event", "memory"), rows, clip="memory")
