"""The MCP server over streamable HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Route

from memagent.errors import InvalidInput, MemagentError
from memagent.server.mcp_tokens import LOOPBACK, Tokens, digest, refuse_open_door

if TYPE_CHECKING:
    from mcp.server import Server
    from starlette.types import ASGIApp

_log = logging.getLogger("memagent")

PATH = "/mcp"
_GRACE = 3  # seconds that open streams have to end when the server is stopped


class _Verifier:
    """Tells the SDK for whom a token stands."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token's user, as its subject; None for an unknown token."""
        try:
            user = self._tokens.user_of(token)
        except MemagentError as error:
            _log.error("nobody is let in: %s", error)
            return None
        # The SDK binds a session to client and subject: another user's token cannot go on with it.
        return None if user is None else AccessToken(token=digest(token), client_id="token", scopes=[], subject=user)


def http_app(server: Server[Any], *, host: str = "127.0.0.1", tokens: Tokens | None = None) -> Starlette:
    """The server as an ASGI application, at ``/mcp``.

    With ``tokens`` each request needs one (``Authorization: Bearer ...``) and works for its user; the server must then
    have been built without a fixed user. ``host`` is where it will listen: without tokens only this machine is
    allowed (InvalidInput otherwise), and pages of a browser are kept out by their Host and Origin.
    """
    refuse_open_door(host, tokens)
    manager = StreamableHTTPSessionManager(app=server, security_settings=_security(host))
    endpoint: ASGIApp = StreamableHTTPASGIApp(manager)
    middleware: list[Middleware] = []
    if tokens is not None:
        endpoint = RequireAuthMiddleware(endpoint, [])
        middleware = [
            Middleware(AuthenticationMiddleware, backend=BearerAuthBackend(_Verifier(tokens))),
            Middleware(AuthContextMiddleware),
        ]
    return Starlette(
        routes=[Route(PATH, endpoint=endpoint)], middleware=middleware, lifespan=lambda _app: manager.run()
    )


def _security(host: str) -> TransportSecuritySettings:
    if host not in LOOPBACK:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    names = ("127.0.0.1", "localhost", "[::1]")
    return TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in names], allowed_origins=[f"http://{name}:*" for name in names]
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there (port 0: a free one); raises InvalidInput where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port") from None


async def serve_http(app: Starlette, listening: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and return; requests under way are finished, a second signal breaks them off."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE)
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, server.stop)
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that is only told to stop: uvicorn's own raises the signal again, in the midst of what comes after."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    def stop(self) -> None:
        """Stop, and at the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
