"""OpenAI's Responses API, which langchain-openai takes for some models and settings in place of chat completions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from memagent.errors import ModelUnavailable
from memagent.llm import Model, Prompt, Reply
from memagent.llm.clients import clients
from memagent.llm.reply import Usage

pytestmark = pytest.mark.model


class Responses(ThreadingHTTPServer):
    """Says "hello there" to everybody; ``seen`` are the requests. What says "cut" in its question is cut off by length,
    what says "broken" by a connection that closes.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Responses

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(body)
        asked = json.dumps(body["input"])
        status = "incomplete" if "cut" in asked else "completed"
        if not body.get("stream"):
            self._say("application/json", json.dumps(_response(status)))
            return
        part = {"output_index": 0, "content_index": 0, "item_id": "m1"}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {**_response("in_progress"), "output": [], "usage": None}},
            *(
                {"type": "response.output_text.delta", **part, "delta": text, "logprobs": []}
                for text in ("hello", " there")
            ),
        ]
        if "broken" not in asked:
            events.append({"type": f"response.{status}", "response": _response(status)})
        told = ({**event, "sequence_number": number} for number, event in enumerate(events))
        self._say("text/event-stream", "".join(f"data: {json.dumps(event)}\n\n" for event in told))

    def _say(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def _response(status: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "hello there", "annotations": []}]
    return {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [{"type": "message", "id": "m1", "status": "completed", "role": "assistant", "content": content}],
        "usage": {
            "input_tokens": 5,
            "output_tokens": 3,
            "total_tokens": 8,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


@pytest.fixture
def server() -> Iterator[Responses]:
    with Responses() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def model_on(server: Responses, **settings: Any) -> Model:
    place = f"http://127.0.0.1:{server.server_address[1]}/v1"
    settings = settings or {"use_responses_api": True}
    there: dict[str, Any] = {"base_url": place, "api_key": "none", "max_retries": 0, **clients(local=True)}
    return Model(ChatOpenAI(model="m", **there, **settings), retries=0)


def question(text: str, **more: Any) -> Prompt[str]:
    return Prompt(name="q", version=1, system="", user=text, **more)


@pytest.mark.parametrize(
    "settings",
    [{"use_responses_api": True}, {"reasoning": {"effort": "low"}}, {"model_kwargs": {"text": {"verbosity": "low"}}}],
)
def test_it_is_sent_only_what_it_takes(server: Responses, settings: dict[str, Any]) -> None:
    model = model_on(server, **settings)
    drawn = question("x", temperature=0.5, top_p=0.9, seed=7, logprobs=2)
    assert model.ask(drawn).value == "hello there"
    assert list(model.stream(drawn)) == ["hello", " there"]
    for seen in server.seen:
        assert (seen["temperature"], seen["top_p"]) == (0.5, 0.9)
        assert not {"seed", "logprobs", "stream_options"} & set(seen)


@pytest.mark.parametrize("text", ["whole", "cut"])
def test_an_answer_that_was_cut_off_is_told(server: Responses, text: str) -> None:
    model = model_on(server)
    told: list[Reply[str]] = []
    assert list(model.stream(question(text), told=told.append)) == ["hello", " there"]
    for reply in (model.ask(question(text)), *told):
        assert (reply.value, reply.truncated) == ("hello there", text == "cut")
        assert reply.usage == Usage(input=5, output=3)


def test_a_stream_that_breaks_off_is_no_answer(server: Responses) -> None:
    with pytest.raises(ModelUnavailable, match="broke off"):
        list(model_on(server).stream(question("broken")))
