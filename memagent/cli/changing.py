"""Commands that change what is stored: add, update, delete."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memagent.cli import options, output
from memagent.cli.asking import confirm
from memagent.cli.opening import opened
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.memory import Memory
    from memagent.memory.replies import AddReply, Inference

_SHOWN = 20  # rows of what was added; more are counted


def add(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to remember; - reads it from standard input.")
    ] = None,
    *,
    user: options.User,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="F.jsonl",
            help="JSON Lines (or .jsonl.gz, or - for standard input): a message a line, {role, content, ...}, or a "
            "session a line, {messages, session_id, timestamp, ...}. All of it is stored, or nothing.",
        ),
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", help="Who said TEXT: user, assistant ... Default: a note of no role.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="The session it belongs to. Default: a new one.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="A label: which agent was there.")] = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", "-t", metavar="TIME", help="When it was said, ISO 8601 with zone. Default: now."),
    ] = None,
    metadata: options.Metadata = None,
    summaries: Annotated[
        bool, typer.Option(help="Write the summaries and keywords of sessions that this ends.")
    ] = True,
    infer: Annotated[
        bool,
        typer.Option(
            "--infer", help="Have a language model write facts and summaries of it.", rich_help_panel="Language model"
        ),
    ] = False,
    model: options.ModelName = "",
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            help="How long to wait for it; what is left waits for `memagent infer`.",
            rich_help_panel="Language model",
        ),
    ] = 120.0,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Remember a text, or the messages or sessions of a file, word for word."""
    if infer and not model:
        raise InvalidInput("--infer needs a language model", hint="name it with --model or MEMAGENT_MODEL")
    if (text is None) == (file is None):
        raise InvalidInput("pass either a text or --file", hint="for example: memagent add 'I moved.' --user ann")
    if file is not None and role is not None:
        raise InvalidInput("--role is for a text", hint="the messages of a file have roles of their own")
    labels = {
        "session_id": session,
        "agent_id": agent,
        "timestamp": options.as_time(timestamp, "--timestamp"),
        "metadata": options.as_pairs(metadata),
    }
    given = {name: value for name, value in labels.items() if value is not None}
    content = _from_file(file, given) if file is not None else {"messages": _said(text, role)}
    with opened(store, encoder, precision, long_text, create=True, llm=model if infer else None) as memory:
        reply = _stored(memory, content, given, user, infer=infer)
        if summaries:
            memory.flush(user_id=user)
        if infer:
            reply["inference"] = memory.wait(user_id=user, timeout=wait)
    if as_json:
        output.write_json(reply)
    else:
        _show_added(reply, user)


def _said(text: str | None, role: str | None) -> str | dict[str, str]:
    spoken = sys.stdin.read() if text == "-" else text or ""
    return spoken if role is None else {"role": role, "content": spoken}


def _from_file(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    from memagent.cli.jsonl import messages_or_sessions

    return messages_or_sessions(file, given)


def _stored(
    memory: Memory, content: Mapping[str, Any], given: Mapping[str, Any], user: str, *, infer: bool
) -> AddReply:
    if "sessions" in content:
        return memory.add_many(content["sessions"], user_id=user, infer=infer)
    return memory.add(content["messages"], user_id=user, infer=infer, **given)


def _show_added(reply: AddReply, user: str) -> None:
    results = reply["results"]
    rows = [(done["event"], output.short_id(done["id"]), done["memory"]) for done in results]
    if rows:
        output.write_table(("event", "id", "memory"), rows[:_SHOWN], clip="memory")
    sessions = list(dict.fromkeys(done["session_id"] for done in results))
    where = f"session {sessions[0]!r}" if len(sessions) == 1 else output.plural(len(sessions), "session")
    output.say(f"{output.plural(len(results), 'turn')} stored for {user!r} in {where}")
    if found := reply.get("inference"):
        _show_inferred(found)


def _show_inferred(found: Inference) -> None:
    parts = [f"{found['done']:,} done"]
    if left := found["queued"] + found["running"]:
        parts.append(f"{left:,} left for `memagent infer`")
    if found["failed"]:
        parts.append(f"{found['failed']:,} failed, see `memagent status`")
    output.say(f"language model: {', '.join(parts)}")


def update(
    memory_id: options.MemoryId,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Its new text.", show_default=False)] = None,
    *,
    user: options.OwnUser = None,
    metadata: options.Metadata = None,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Give a memory a new text, new metadata (in place of the old), or both; what was there stays in its history."""
    pairs = options.as_pairs(metadata)
    if text is None and pairs is None:
        raise InvalidInput("there is nothing to update", hint="pass a text, --metadata, or both")
    with opened(store, encoder, precision, long_text) as memory:
        reply = memory.update(options.full_id(memory_id, user), text, metadata=pairs, user_id=user)
    if as_json:
        output.write_json(reply)
    else:
        output.say(reply["message"])


def delete(
    memory_id: Annotated[
        str | None, typer.Argument(metavar="[MEMORY_ID]", help="The memory to delete.", show_default=False)
    ] = None,
    *,
    user: options.OwnUser = None,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="Delete all memories of a session.")
    ] = None,
    filter_: options.Filter = None,
    every: Annotated[bool, typer.Option("--all", help="Delete all of the user's memories.")] = False,
    yes: options.Yes = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Delete one memory, or (after a question) those of a session, those that pass a filter, or all of a user's.

    No text of theirs stays in the user's file; that something was deleted does. `memagent forget` erases the
    user altogether.
    """
    filters = options.as_filter(filter_)
    many = every or session is not None or filters is not None
    if many == (memory_id is not None) or (every and (session is not None or filters is not None)):
        raise InvalidInput(
            "what to delete is not clear", hint="pass a memory id, or --all, or --session and --filter or one of them"
        )
    if memory_id is not None:
        with opened(store, encoder, precision, long_text) as memory:
            changed = memory.delete(options.full_id(memory_id, user), user_id=user)
        _tell(changed, changed["message"], as_json=as_json)
        return
    if user is None:
        raise InvalidInput("--user is missing", hint="name whose memories to delete")
    with opened(store, encoder, precision, long_text) as memory:
        count = _how_many(memory, user, session, filters)
        if count:
            confirm(f"Delete {output.plural(count, 'turn')} of {user!r}, for good?", yes=yes)
        deleted = memory.delete_all(user_id=user, session_id=session, filters=filters)
    _tell(deleted, f"{output.plural(deleted['deleted'], 'turn')} deleted", as_json=as_json)


def _how_many(memory: Memory, user: str, session: str | None, filters: dict[str, Any] | None) -> int:
    conditions = [filters] if filters is not None else []
    if session is not None:
        conditions.append({"session_id": session})
    where = {"AND": conditions} if conditions else None
    return memory.get_all(user_id=user, filters=where, top_k=1)["total"]


def _tell(reply: object, message: str, *, as_json: bool) -> None:
    if as_json:
        output.write_json(reply)
    else:
        output.say(message)
