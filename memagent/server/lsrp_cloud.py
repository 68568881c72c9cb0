"""LSRP's cloud over HTTP: ``POST /guideline`` takes a request's three fields and answers with the guideline.

``{"task": ..., "strategy": ..., "task_type": ...}`` is answered with ``{"text": ...}``, whatever cannot be served with
a status and ``{"detail": ...}``. ``GET /health`` says that it runs. No request is written down anywhere.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.cloud import LONGEST_TASK, Cloud
from memagent.agents.lsrp.messages import GuidelineRequest
from memagent.errors import DataError, InvalidInput, MemagentError, MissingExtra, ModelRefused
from memagent.llm.ports import address
from memagent.server.mcp_tokens import LOOPBACK

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

LONGEST_BODY = 8 * LONGEST_TASK
"""Bytes of a request's body, at most: a character of a task has up to four, and is sometimes escaped."""
_PATIENCE = 30.0  # seconds in which a request's body has to come

_GRACE = 3  # seconds that requests under way have when the server is told to stop


def lsrp_cloud_app(cloud: Cloud, *, token: str | None = None) -> FastAPI:
    """The application. With ``token`` each request has to bring it: ``Authorization: Bearer ...``.

    Answers: 401 without the token, 408 for a body that does not come, 413 for too long a one, 400 for what is no
    request, an unknown strategy or an empty task; 503 where repeating it may help, 502 where the model refuses, else
    500. Raises MissingExtra without FastAPI, InvalidInput for a token that no client can send.
    """
    try:
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse
    except ImportError:
        raise MissingExtra("the server needs FastAPI", hint='pip install "memagent[serve]"') from None
    if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
        raise InvalidInput("the token cannot be sent", hint="printable ASCII without spaces")
    app = FastAPI(title="memagent lsrp cloud", docs_url=None, redoc_url=None, openapi_url=None)

    async def guideline(request: Request) -> JSONResponse:
        if token is not None and not _has(request, token):
            return _told(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
        try:
            body = await asyncio.wait_for(_body(request), _PATIENCE)
            asked = GuidelineRequest.from_json(_json(body))
            found = await cloud.aguideline(asked)
        except _TooLong:
            return _told(413, f"at most {LONGEST_BODY:,} bytes", {"Connection": "close"})
        except TimeoutError:
            return _told(408, "the body did not come", {"Connection": "close"})
        except MemagentError as error:
            return _told(_status(error), str(error))
        return JSONResponse(found.to_json())

    def health() -> dict[str, str]:
        return {"status": "ok"}

    app.add_route("/guideline", guideline, methods=["POST"])
    app.get("/health")(health)
    return app


def serve_lsrp_cloud(
    cloud: Cloud,
    *,
    host: str = "127.0.0.1",
    port: int = 8010,
    token: str | None = None,
    log_level: str = "warning",
    told: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve until the process is told to end; ``told`` is called with the URL once it listens (port 0: a free one).

    Raises InvalidInput for an address beyond this machine without a token, and for one that cannot be listened on,
    MissingExtra without FastAPI or uvicorn.
    """
    if token is None and host not in LOOPBACK:
        raise InvalidInput(
            f"a server on {host} that asks for no token would let everybody use the model",
            hint="give a token, or listen on 127.0.0.1",
        )
    app = lsrp_cloud_app(cloud, token=token)
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("the server needs uvicorn", hint='pip install "memagent[serve]"') from None
    with _listening(host, port) as sock:
        told(address(host, sock.getsockname()[1]))
        # No access log, and no header that names the software.
        config = uvicorn.Config(
            app, log_level=log_level, access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE
        )
        uvicorn.Server(config).run(sockets=[sock])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port") from None


class _TooLong(Exception):
    """The body is longer than it may be."""


async def _body(request: Request) -> bytes:
    got = bytearray()
    async for piece in request.stream():
        got += piece
        if len(got) > LONGEST_BODY:
            raise _TooLong
    return bytes(got)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DataError("the body is not JSON", hint="send task, strategy and task_type") from None


def _has(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    # In constant time: how long it takes does not tell how much of a guess was right.
    return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def _told(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    from fastapi.responses import JSONResponse

    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _status(error: MemagentError) -> int:
    if isinstance(error, InvalidInput | DataError):
        return 400
    if isinstance(error, ModelRefused):
        return 502
    return 503 if error.retryable else 500
