"""The embedded model behind OpenAI's protocol, for programs that want a URL: chat completions, whole or streamed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard
from uuid import uuid4

from memagent.errors import InvalidInput, ModelRefused, ModelUnavailable, ServerFailed
from memagent.llm.failures import failure_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_LARGEST = 4_000_000  # bytes of a request
_IGNORED = ("tools", "tool_choice", "response_format", "logprobs")


class ChatServer(ThreadingHTTPServer):
    """Serves one LangChain chat model; ``serve_forever`` runs it, from another thread ``shutdown`` ends it."""

    daemon_threads = True

    def __init__(self, chat: BaseChatModel, name: str, *, host: str = "127.0.0.1", port: int = 8000) -> None:
        """Raises :class:`~memagent.errors.ServerFailed` when the port cannot be used."""
        self.chat = chat
        self.name = name
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ServerFailed(
                f"port {port} on {host} cannot be used: {error.strerror}", hint="choose another port"
            ) from error
        self.url = f"http://{host}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer
    _pages: ClassVar[dict[str, str]] = {"/health": "health", "/v1/models": "models"}

    def log_message(self, *arguments: Any) -> None:
        """Say nothing: what is asked is private."""

    def do_GET(self) -> None:
        """Health, and the list of the one model."""
        page = self._pages.get(self.path)
        if page is None:
            self._fail(404, "there is no such page")
        elif page == "health":
            self._answer(200, {})
        else:
            self._answer(200, {"object": "list", "data": [{"id": self.server.name, "object": "model"}]})

    def do_POST(self) -> None:
        """A chat completion."""
        try:
            body = self._body()
            if self.path != "/v1/chat/completions":
                self._fail(404, "there is no such page")
            elif body.get("stream"):
                self._stream(body)
            else:
                self._whole(body)
        except (InvalidInput, ModelRefused) as error:
            self._fail(400, str(error))
        except (ConnectionError, ModelUnavailable):  # whoever asked has gone, or the process ends
            self.close_connection = True

    def _body(self) -> dict[str, Any]:
        try:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if 0 < size <= _LARGEST else None
        except (ValueError, RecursionError):
            body = None
        if not _is_request(body):
            self.close_connection = True  # what was sent may not be read to its end
            raise InvalidInput("the request is no JSON object with messages", hint="see the chat completions API")
        if refused := [name for name in _IGNORED if body.get(name)]:
            raise InvalidInput(f"the embedded model has no {', '.join(refused)}", hint="leave it out")
        return body

    def _pieces(self, body: dict[str, Any]) -> Iterator[Any]:
        """The chunks of the reply. Raises what the caller did wrong as ModelRefused."""
        options: dict[str, Any] = {"temperature": body.get("temperature") or 0.0}
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        if limit is not None:
            options["max_tokens"] = limit
        stop = body.get("stop")
        if stop:
            options["stop"] = [stop] if isinstance(stop, str) else stop
        if body.get("seed") is not None:
            options["seed"] = body["seed"]
        messages = [(str(one.get("role")), _text(one.get("content"))) for one in body.get("messages", [])]
        try:
            yield from self.server.chat.stream(messages, **options)
        except (ValueError, TypeError, OverflowError) as error:  # the last of an endless number
            raise ModelRefused(str(error)) from error
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise ModelRefused(str(error)) from error

    def _whole(self, body: dict[str, Any]) -> None:
        whole: Any = None
        for piece in self._pieces(body):
            whole = piece if whole is None else whole + piece
        message = {"role": "assistant", "content": str(whole.text)}
        choice = {"index": 0, "message": message, "finish_reason": _finish(whole), "logprobs": None}
        self._answer(200, {**self._head("chat.completion"), "choices": [choice], "usage": _usage(whole)})

    def _stream(self, body: dict[str, Any]) -> None:
        pieces = self._pieces(body)
        first = next(pieces, None)  # a refusal comes before the headers
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        head = self._head("chat.completion.chunk")
        last: Any = first
        while first is not None:
            delta = {"role": "assistant", "content": str(first.text)}
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            last, first = first, next(pieces, None)
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(last)}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            self._event({**head, "choices": [], "usage": _usage(last)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.server.name,
        }

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def _fail(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": status}})

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _is_request(body: Any) -> TypeGuard[dict[str, Any]]:
    messages = body.get("messages", []) if isinstance(body, dict) else None
    return isinstance(messages, list) and all(isinstance(message, dict) for message in messages)


def _text(content: object) -> str:
    """The text of a message; of parts, those that are text."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _finish(whole: Any) -> str:
    return str((whole.response_metadata or {}).get("finish_reason") or "stop")


def _usage(whole: Any) -> dict[str, int]:
    found = whole.usage_metadata or {}
    sent, received = int(found.get("input_tokens", 0)), int(found.get("output_tokens", 0))
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
