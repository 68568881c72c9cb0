"""Commands that take a user's memory elsewhere or away: export, import, backup, forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memagent.cli import options, output
from memagent.cli.asking import confirm
from memagent.cli.opening import opened, opened_without_encoder
from memagent.errors import StoreCorrupt


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; .gz compresses it.")],
    *,
    user: options.User,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Write all of a user's memory as JSON Lines, without vectors."""
    with opened_without_encoder(store) as memory:
        done = memory.export(file, user_id=user)
    if as_json:
        output.write_json(done)
    else:
        output.say(_moved(done["units"], done["sessions"], done["messages"]) + f" written to {done['path']}")


def _moved(units: int, sessions: int, messages: int) -> str:
    of = (output.plural(units, "unit"), output.plural(sessions, "session"), output.plural(messages, "message"))
    return ", ".join(of)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `memagent export` wrote.")],
    *,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="ID", help="Another user to give it to. Default: the same.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Read an export into the store, all of it or nothing."""
    with opened(store, encoder, precision, long_text, create=True) as memory:
        done = memory.import_(file, user_id=user)
    if as_json:
        output.write_json(done)
    else:
        moved = _moved(done["units"], done["sessions"], done["messages"])
        output.say(f"{moved} stored for {done['user_id']!r}")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    *,
    user: options.User,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Copy a user's file, vectors included, while it is in use."""
    with opened_without_encoder(store) as memory:
        path = memory.backup(file, user_id=user)
    if as_json:
        output.write_json({"user_id": user, "path": path})
    else:
        output.say(f"written to {path}")


def forget(
    *,
    user: options.User,
    yes: options.Yes = False,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Erase a user: texts, vectors, history, the id itself. There is no way back."""
    with opened_without_encoder(store) as memory:
        try:
            counts = memory.stats(user_id=user)
            what = _moved(0, counts["sessions"], counts["messages"]).removeprefix("0 units, ")
        except StoreCorrupt:
            what = "a damaged file"  # it can be erased all the same
        confirm(f"Erase everything of {user!r} ({what}), for good?", yes=yes)
        erased = memory.forget_user(user_id=user)
    if as_json:
        output.write_json(erased)
    else:
        moved = _moved(erased["units"], erased["sessions"], erased["messages"])
        output.say(f"{user!r} is forgotten: {moved} erased")
