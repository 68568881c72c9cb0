"""A small server that speaks enough of OpenAI's protocol, and of vLLM's additions, to test clients against.

Tokens are words. It answers with ``reply(body)``; where it is asked for a JSON schema and guides, with an instance of
that schema. Faults that are queued are served first. Run as a program it behaves as ``vllm``'s API server does.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Fault:
    """What happens instead of an answer. ``status`` 0: the connection is closed without one."""

    status: int = 500
    message: str = "broken"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before it, at most: until the server ends."""
    body: str | None = None
    after_chunks: int | None = None
    """Stream so many pieces, then break off."""


def echo(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    return f"You said: {text}"


@dataclass
class Fake:
    """The server's state: what it is able to do, and what it has seen."""

    model: str = "fake-model"
    reply: Callable[[dict[str, Any]], str] = echo
    guides: bool = True
    refuses_schemas: bool = False
    logprobs: bool = True
    vision: bool = False
    runtime_lora: bool = True
    finish: str = "stop"
    pages: tuple[str, ...] = ("/health", "/version", "/metrics", "/v1/models")
    max_model_len: int = 4096
    max_lora_rank: int = 16
    delay: float = 0.0
    api_key: str | None = None
    usage: bool = True
    cached_tokens: int | None = None
    faults: list[Fault] = field(default_factory=list)
    adapters: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    prompts_seen: set[str] = field(default_factory=set)
    prefix_queries: int = 0
    prefix_hits: int = 0
    started: float | None = None
    url: str = ""
    on_stop: Callable[[], None] = lambda: None
    over: threading.Event = field(default_factory=threading.Event)


def instance(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """A value that fits a JSON schema, of those that pydantic makes."""
    if "$ref" in schema:
        return instance(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], defs)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "string")
    simple: dict[str, Any] = {"integer": schema.get("minimum", 1), "number": 0.5, "boolean": True, "null": None}
    if kind == "object":
        simple[kind] = {name: instance(part, defs) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        simple[kind] = [instance(schema.get("items", {}), defs)]
    return simple.get(kind, "words from the server")


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        fake = self.fake
        if self.path not in fake.pages:
            self.fail(404, "Not Found")
        elif self.path == "/health":
            self.answer(200, b"", "text/plain")
        elif self.path == "/version":
            self.answer_json(200, {"version": "0.0.fake"})
        elif self.path == "/metrics":
            labels = f'{{engine="0",model_name="{fake.model}"}}'
            page = (
                "# HELP vllm:prefix_cache_queries_total Looked up.\n# TYPE vllm:prefix_cache_queries_total counter\n"
                f"vllm:prefix_cache_queries_total{labels} {float(fake.prefix_queries)}\n"
                f"vllm:prefix_cache_hits_total{labels} {float(fake.prefix_hits)}\n"
                'vllm:request_success_total{finished_reason="stop"} 1.0\n'
                'vllm:request_success_total{finished_reason="length"} 2.0\n'
                "vllm:prompt_tokens_total 1.2e+03\nvllm:generation_tokens_total 34\nodd NaN\nodder words\n"
            )
            page += "" if fake.started is None else f"process_start_time_seconds {fake.started}\n"
            self.answer(200, page.encode(), "text/plain")
        elif self.path == "/v1/models":
            base = {"id": fake.model, "object": "model", "max_model_len": fake.max_model_len, "parent": None}
            more = [{"id": name, "object": "model", "parent": fake.model} for name in fake.adapters]
            self.answer_json(200, {"object": "list", "data": [*more, base]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            if self.fake.api_key and self.headers.get("Authorization") != f"Bearer {self.fake.api_key}":
                raise Refused(401, "Incorrect API key provided")
            if self.path == "/v1/chat/completions":
                self.chat(body)
            elif self.path.endswith("_lora_adapter") and self.fake.runtime_lora:
                self.adapter(body)
            else:
                raise Refused(404, "Not Found")
        except Refused as refused:
            self.fail(refused.status, str(refused))

    def adapter(self, body: dict[str, Any]) -> None:
        name, adapters = body.get("lora_name"), self.fake.adapters
        if not name:
            raise Refused(400, "Both 'lora_name' and 'lora_path' must be provided.")
        if "unload" in self.path:
            if name not in adapters:
                raise Refused(404, f"The lora adapter '{name}' cannot be found.")
            del adapters[name]
        else:
            folder = Path(body["lora_path"])
            if name in adapters and not body.get("load_inplace"):
                raise Refused(400, f"The lora adapter '{name}' has already been loaded.")
            if not folder.is_dir():
                raise Refused(404, f"Loading lora {name} failed: No adapter found for {folder}")
            rank = json.loads((folder / "adapter_config.json").read_text())["r"]
            if rank > self.fake.max_lora_rank:
                raise Refused(500, f"LoRA rank {rank} is greater than max_lora_rank {self.fake.max_lora_rank}")
            adapters[name] = str(folder)
        self.answer(200, f"Success: {name}".encode(), "text/plain")

    def chat(self, body: dict[str, Any]) -> None:
        fake = self.fake
        with fake.lock:
            fake.requests.append(body)
            fault = fake.faults.pop(0) if fake.faults else None
            fake.running += 1
            fake.most_at_once = max(fake.most_at_once, fake.running)
        try:
            time.sleep(fake.delay)
            if fault and fault.delay:
                fake.over.wait(fault.delay)
            if fault and fault.after_chunks is None and self.serve_fault(fault):
                return
            self.complete(body, fault)
        finally:
            with fake.lock:
                fake.running -= 1

    def serve_fault(self, fault: Fault) -> bool:
        if fault.status == 200 and fault.body is None:
            return False
        if fault.status == 0:
            self.close_connection = True
            self.connection.close()
        elif fault.body is not None:
            self.answer(fault.status, fault.body.encode(), "text/html")
        else:
            self.fail(fault.status, fault.message, fault.headers)
        return True

    def complete(self, body: dict[str, Any], fault: Fault | None) -> None:
        fake = self.fake
        if body["model"] != fake.model and body["model"] not in fake.adapters:
            raise Refused(404, f"The model `{body['model']}` does not exist.")
        parts = [part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"]]
        if any(part["type"] == "image_url" for part in parts) and not fake.vision:
            raise Refused(400, f"{fake.model} is not a multimodal model")
        sent = json.dumps(body["messages"])
        prompt_tokens = len(sent.split())
        self.count_prefix(sent)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 256
        if prompt_tokens + limit > fake.max_model_len:
            raise Refused(400, f"This model's maximum context length is {fake.max_model_len} tokens.")
        text = self.text(body)
        words = text.split(" ")
        finish = fake.finish if len(words) <= limit else "length"
        pieces = [word if place == 0 else f" {word}" for place, word in enumerate(words[:limit])]
        usage: dict[str, Any] = {"prompt_tokens": prompt_tokens, "completion_tokens": len(pieces)}
        usage["total_tokens"] = prompt_tokens + len(pieces)
        if fake.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": fake.cached_tokens}
        if body.get("stream"):
            self.stream(body, pieces, finish, usage, fault)
        else:
            self.whole(body, pieces, finish, usage)

    def text(self, body: dict[str, Any]) -> str:
        fake = self.fake
        wanted = body.get("response_format")
        if wanted and fake.refuses_schemas:
            raise Refused(400, "response_format is not supported")
        if wanted and fake.guides:
            schema = wanted["json_schema"]["schema"]
            return json.dumps(instance(schema, schema.get("$defs", {})))
        text = fake.reply(body)
        if body["model"] in fake.adapters:
            text = f"{body['model']}: {text}"
        for stop in body.get("stop") or []:
            text = text.partition(stop)[0]
        return text

    def count_prefix(self, sent: str) -> None:
        with self.fake.lock:
            self.fake.prefix_queries += len(sent)
            known = [len(one) for one in self.fake.prompts_seen if sent.startswith(one[: len(one) // 2])]
            self.fake.prefix_hits += max(known, default=0) // 2
            self.fake.prompts_seen.add(sent)

    def scores(self, body: dict[str, Any], pieces: list[str]) -> dict[str, Any] | None:
        if not body.get("logprobs") or not self.fake.logprobs:
            return None
        top = body.get("top_logprobs") or 0
        others = [{"token": f"other{place}", "logprob": -2.0 - place, "bytes": None} for place in range(top)]
        return {
            "content": [{"token": one, "logprob": -0.25, "bytes": None, "top_logprobs": others} for one in pieces],
            "refusal": None,
        }

    def whole(self, body: dict[str, Any], pieces: list[str], finish: str, usage: dict[str, Any]) -> None:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(pieces)},
            "finish_reason": finish,
            "logprobs": self.scores(body, pieces),
        }
        found = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        if self.fake.usage:
            found["usage"] = usage
        self.answer_json(200, found)

    def stream(
        self, body: dict[str, Any], pieces: list[str], finish: str, usage: dict[str, Any], fault: Fault | None
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        common = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        for place, piece in enumerate(pieces):
            if fault and fault.after_chunks == place:
                self.fake.on_stop()
                return
            last = finish if place == len(pieces) - 1 else None
            delta = {"role": "assistant", "content": piece}
            scores = self.scores(body, [piece])
            self.event({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": last, "logprobs": scores}]})
        if (body.get("stream_options") or {}).get("include_usage") and self.fake.usage:
            self.event({**common, "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        error = {"error": {"message": message, "type": "error", "param": None, "code": status}}
        self.answer_json(status, error, headers)

    def answer_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self.answer(status, json.dumps(value).encode(), "application/json", headers)

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of our concern."""


def bound(fake: Fake, host: str = "127.0.0.1", port: int = 0) -> QuietServer:
    """A server for this state, bound and not yet serving."""
    server = QuietServer((host, port), type("BoundHandler", (Handler,), {"fake": fake}))
    fake.url = f"http://{host}:{server.server_address[1]}"
    return server


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    """The server, in a thread of this process."""
    server = bound(fake)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a port that no server can take meanwhile: connections to it are refused."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"
