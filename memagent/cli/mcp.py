"""``memagent mcp``: a memory for MCP clients."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.cli import options
from memagent.cli.opening import load
from memagent.cli.output import say
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.memory import AsyncMemory
    from memagent.server.mcp_tokens import Tokens

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        envvar="MEMAGENT_MCP_TOKENS",
        metavar="FILE",
        help="With --http: the tokens that are let in, and their users.",
    ),
]


def mcp(
    *,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", "-u", envvar="MEMAGENT_USER", metavar="ID", help="Whose memory it is, for every client."
        ),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP in place of the standard streams.")] = False,
    host: Annotated[str, typer.Option(help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: the port; 0 takes a free one.")] = 8765,
    tokens: TokenFile = None,
    infer: Annotated[
        bool,
        typer.Option(
            "--infer", help="Have a language model write facts of what is remembered.", rich_help_panel="Language model"
        ),
    ] = False,
    model: options.ModelName = "",
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
) -> None:
    """Serve the memory over the Model Context Protocol: tools to remember, recall, list, correct and forget.

    The user is --user, or with --http the one whose token a client sends; a model cannot name another.
    """
    from memagent.server.mcp_tokens import Tokens, refuse_open_door

    file = Tokens(tokens) if tokens is not None and http else None
    _refuse_unclear(user, tokens, http=http)
    if infer and not model:
        raise InvalidInput("--infer needs a language model", hint="name it with --model or MEMAGENT_MODEL")
    if http:
        refuse_open_door(host, file)
    if file is not None:
        file.users()  # a missing or damaged file is told now
    import memagent.server.mcp_server  # noqa: F401  # a missing package is told before the encoder is loaded

    opened = partial(_opened, store, load(encoder, precision, long_text), model if infer else None)
    if not http:
        # A thread waits for the next line and cannot be interrupted. What was acknowledged is on disk.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        asyncio.run(_stdio(opened, str(user), infer=infer))
        return
    asyncio.run(_http(opened, user, host, port, file, infer=infer))
    raise KeyboardInterrupt  # only a signal ends it


def mcp_token(
    *,
    user: options.User,
    tokens: Annotated[
        Path,
        typer.Option(
            "--tokens", envvar="MEMAGENT_MCP_TOKENS", metavar="FILE", help="The file of tokens; made if need be."
        ),
    ],
) -> None:
    """Make a token with which an MCP client reaches a user's memory, and show it, once."""
    from memagent.server.mcp_tokens import add_token

    typer.echo(add_token(tokens, user))
    say(f"{tokens} holds its digest; to take the token back, remove the newest line of {user!r}")


def _refuse_unclear(user: str | None, tokens: Path | None, *, http: bool) -> None:
    from memagent.stores.sqlite import checked_user_id

    if user is not None:
        checked_user_id(user)
    if tokens is not None and not http:
        raise InvalidInput("tokens are for HTTP", hint="add --http, or name the user with --user")
    if (user is None) == (tokens is None):
        raise InvalidInput(
            "whose memory is it?" if user is None else "both --user and --tokens say whose memory it is",
            hint="pass --user ID, or with --http --tokens FILE",
        )


def _opened(store: Path, encoder: Encoder, model: str | None) -> AsyncMemory:
    from memagent.memory import AsyncMemory

    return AsyncMemory(store, encoder=encoder, model=model)


async def _stdio(opened: Callable[[], AsyncMemory], user: str, *, infer: bool) -> None:
    from memagent.server.mcp_server import build_server
    from memagent.server.mcp_stdio import serve_stdio

    async with opened() as memory:
        await serve_stdio(build_server(memory, user_id=user, infer=infer))


async def _http(
    opened: Callable[[], AsyncMemory], user: str | None, host: str, port: int, tokens: Tokens | None, *, infer: bool
) -> None:
    from memagent.server.mcp_http import PATH, http_app, listen, serve_http
    from memagent.server.mcp_server import build_server

    async with opened() as memory:
        app = http_app(build_server(memory, user_id=user, infer=infer), host=host, tokens=tokens)
        with listen(host, port) as listening:
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"http://{shown}:{listening.getsockname()[1]}{PATH}")
            sys.stdout.flush()
            say("Ctrl-C stops it")
            await serve_http(app, listening)
