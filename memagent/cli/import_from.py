"""``memagent import-from``: memories from other systems.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from memagent.cli import options, output
from memagent.cli.opening import opened
from memagent.errors import DataError, MissingExtra

app = typer.Typer(no_args_is_help=True)

_MEM0 = """
Example: memagent import-from mem0 mem0.json --user ann
"""
_LANGGRAPH = """
Example: memagent import-from langgraph langgraph-store.db --store memagent-store
"""


@app.callback()
def main() -> None:
    """Take memories over from other systems."""


@app.command("mem0", epilog=_MEM0)
def mem0(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What mem0's get_all() replied, as JSON.")],
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="ID", help="Whose the memories are that name no user.")
    ] = None,
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Take times without a zone as UTC.")] = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Store the memories of a mem0 export; what was imported before is passed over."""
    from memagent.integrations.importers import import_mem0

    with opened(store, encoder, precision, long_text, create=True) as memory, _bar() as show:
        done = import_mem0(memory, file, user_id=user, assume_utc=assume_utc, progress=show)
    if as_json:
        output.write_json(done)
    else:
        known = f", {done['known']:,} were there" if done["known"] else ""
        stored, users = output.plural(done["stored"], "memory"), output.plural(done["users"], "user")
        output.say(f"{stored} stored for {users}{known}")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, and what shows how far the work is."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("memories", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command("langgraph", epilog=_LANGGRAPH)
def langgraph(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The database of a LangGraph SqliteStore.")],
    *,
    user_at: Annotated[int, typer.Option(min=0, metavar="N", help="Which element of a namespace names the user.")] = 0,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Copy the items of a LangGraph store, for use through MemagentStore. The file is only read."""
    import sqlite3

    from memagent.integrations.importers import copy_langgraph_store
    from memagent.integrations.langgraph import MemagentStore

    try:
        from langgraph.store.sqlite import SqliteStore
    except ModuleNotFoundError:
        raise MissingExtra(
            "reading a LangGraph SqliteStore needs langgraph-checkpoint-sqlite",
            hint="pip install langgraph-checkpoint-sqlite",
        ) from None
    if not file.is_file():
        raise DataError(f"there is no file {file}", hint="check the path")
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        try:
            with opened(store, encoder, precision, long_text, create=True) as memory:
                done = copy_langgraph_store(SqliteStore(connection), MemagentStore(memory, user_at=user_at))
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise DataError(f"{file} is no LangGraph store: {error}", hint="name the database of a SqliteStore") from None
    if as_json:
        output.write_json(done)
    else:
        items, namespaces = output.plural(done["items"], "item"), output.plural(done["namespaces"], "namespace")
        output.say(f"{items} of {namespaces} copied")
