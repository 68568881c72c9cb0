"""Commands for upkeep: users, stats, verify, reindex, doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memagent.cli import options, output
from memagent.cli.failures import STORE_FAILED
from memagent.cli.opening import load, must_exist, opened, opened_with, opened_without_encoder
from memagent.errors import InvalidInput, Stopped
from memagent.files import as_path

if TYPE_CHECKING:
    from memagent.memory import Memory


def users(*, store: options.Store = options.DEFAULT_STORE, as_json: options.Json = False) -> None:
    """Show the ids of all users, one a line."""
    with opened_without_encoder(store) as memory:
        found = memory.users()
    if as_json:
        output.write_json({"users": found})
        return
    for user in found:
        typer.echo(output.one_line(user) if user.strip() else repr(user))


def stats(
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="ID", help="Of this user. Default: of the whole store.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Show how much is stored."""
    with opened_without_encoder(store) as memory:
        counts: dict[str, Any] = memory.stats(user_id=user)
    if user is None:
        files = [path for path in as_path(store, "--store").rglob("*") if path.is_file()]
        counts = {"store": str(store), "users": counts["users"], "bytes": sum(path.stat().st_size for path in files)}
    if as_json:
        output.write_json(counts)
    else:
        output.write_fields({name.replace("_", " "): _count(value) for name, value in counts.items()})


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "-")


def verify(
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="ID", help="Only this user. Default: everybody.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Check files and the indexes made of them. Exit status 1 if something is wrong.

    With --encoder also whether the vectors are that encoder's.
    """
    place = opened_without_encoder(store) if encoder is None else opened(store, encoder, precision, long_text)
    with place as memory:
        report = memory.verify(user_id=user)
    if as_json:
        output.write_json(report)
    else:
        rows = [(owner, problem) for owner, problems in report["problems"].items() for problem in problems]
        if rows:
            output.write_table(("user", "problem"), rows, clip="problem")
        sound = report["users"] - len(report["problems"])
        output.say(f"{sound:,} of {output.plural(report['users'], 'user')} sound")
    if not report["ok"]:
        raise typer.Exit(STORE_FAILED)


def reindex(
    *,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="ID", help="Whose memory.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All users whose vectors come from another encoder.")] = False,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Embed memories again, with the encoder that is named now.

    With --all it can be stopped: the same command goes on with the users that are left.
    """
    if every == (user is not None):
        raise InvalidInput("pass either --user or --all", hint="for example: memagent reindex --user ann")
    must_exist(store)
    loaded = load(encoder, precision, long_text)
    with opened_with(store, loaded) as memory:
        done = {user: memory.reindex(user_id=user)} if user is not None else _reindex_all(memory, loaded.fingerprint)
    if as_json:
        output.write_json({"users": done, "units": sum(done.values())})
    else:
        output.say(f"{output.plural(sum(done.values()), 'unit')} of {output.plural(len(done), 'user')} embedded again")


def _reindex_all(memory: Memory, fingerprint: str) -> dict[str, int]:
    due = [user for user in memory.users() if memory.stats(user_id=user)["encoder"] not in (None, fingerprint)]
    done: dict[str, int] = {}
    try:
        with progress("embedding", len(due)) as advance:
            for user in due:
                done[user] = memory.reindex(user_id=user)
                advance()
    except KeyboardInterrupt:
        raise Stopped(
            f"stopped after {len(done):,} of {output.plural(len(due), 'user')}", hint="the same command goes on"
        ) from None
    return done


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, and what to call after each step."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)


def doctor(
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="ID", help="Look at this user's texts only. Default: all.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Look for what could be wrong with the installation and the store. Exit status 1 if something is."""
    from memagent.cli.doctor import examine

    findings = examine(as_path(store, "--store"), encoder, precision, long_text, user=user)
    ok = all(finding.state != "problem" for finding in findings)
    if as_json:
        output.write_json({"ok": ok, "findings": [finding.as_dict() for finding in findings]})
    else:
        rows = [(f.state, f.what, f"{f.detail}; {f.hint}" if f.hint else f.detail) for f in findings]
        output.write_table(("state", "what", "found"), rows, wrap="found")
    if not ok:
        raise typer.Exit(STORE_FAILED)
