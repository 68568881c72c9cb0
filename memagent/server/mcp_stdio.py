"""The MCP server over the standard streams of its process."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.server import Server
    from mcp.shared._stream_protocols import ReadStream, WriteStream


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until the input ends. While it lasts, whatever else writes to stdout writes to stderr."""
    async with stdio_server() as (read, write):
        await server.run(Answering(read, write), write, server.create_initialization_options())


class Answering:
    """A stream of messages in which a line that is no message is answered with an error, and passed over.

    The SDK's own loop drops such a line without a word, and its sender would wait for ever.
    """

    def __init__(self, inner: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]) -> None:
        self._inner = inner
        self._write = write

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        while True:
            item = await self._inner.receive()
            if not isinstance(item, Exception):
                return item
            await self._write.send(SessionMessage(refused(item)))

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    def __aiter__(self) -> Answering:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Answering:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def refused(problem: Exception) -> types.JSONRPCError:
    """The answer to a line that is no JSON, or no JSON-RPC message (JSON-RPC 2.0, section 5.1)."""
    no_json = isinstance(problem, ValidationError) and any(e["type"] == "json_invalid" for e in problem.errors())
    error = (
        types.ErrorData(code=types.PARSE_ERROR, message="the line is no JSON")
        if no_json
        else types.ErrorData(code=types.INVALID_REQUEST, message="the line is no JSON-RPC 2.0 message")
    )
    return types.JSONRPCError(jsonrpc="2.0", id=None, error=error)
