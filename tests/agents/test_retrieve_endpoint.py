"""The /retrieve endpoint: served by memagent, asked by memagent, in the shape that Search-R1's users know."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fake_server import nobody
from hypothesis import example, given
from hypothesis import strategies as st
from reason_rag_examples import PASSAGES, QUESTION, REPLIES, Shelf

from memagent import Memory
from memagent.agents.reason_rag import Document, EndpointSearcher, MemorySearcher, NoSearcher, ReasonRag, Searcher
from memagent.agents.reason_rag.endpoint import contents_of, titled
from memagent.agents.reason_rag.searching import searched
from memagent.errors import InvalidInput, SearchFailed, SearchUnavailable, StoreBusy
from memagent.llm.http import ServerHttp
from memagent.testing import HashingEncoder, ScriptedModel

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from memagent.server.retrieve import retrieve_app  # noqa: E402  # after the skip

pytestmark = pytest.mark.model


@contextmanager
def serving(searcher: Searcher) -> Iterator[str]:
    """The address of a server over this searcher."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(retrieve_app(searcher), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def test_what_is_served_has_the_published_shape() -> None:
    with serving(Shelf()) as url:
        http = ServerHttp(url)
        body = {"queries": ["The Amber Clock", "Norland"], "topk": 2, "return_scores": True}
        answer = json.loads(http.post("/retrieve", body, timeout=60))
        assert [len(results) for results in answer["result"]] == [2, 2]
        first = answer["result"][0][0]
        assert first == {"document": {"id": "p1", "contents": f'"The Amber Clock"\n{PASSAGES[0].text}'}, "score": 0.0}
        bare = json.loads(http.post("/retrieve", {"queries": ["The Amber Clock"]}, timeout=60))
        assert bare["result"][0][0] == first["document"]
        assert len(bare["result"][0]) == 3
        assert http.get_json("/health", timeout=60) == {"status": "ok"}


def test_an_agent_searches_it_as_it_searches_anything() -> None:
    with serving(Shelf()) as url:
        searcher = EndpointSearcher(f"{url}/retrieve")
        found = searcher.search("author of The Amber Clock", 3)
        assert found[0] == PASSAGES[0]
        assert len(searcher.search_many(["a", "b", "c"], 2)) == 3
        assert ReasonRag(ScriptedModel(list(REPLIES)), searcher).ask(QUESTION).text == "Norland"


@pytest.mark.parametrize(
    "body",
    [{}, {"queries": "a text"}, {"queries": ["x"], "topk": 0}, {"queries": ["x"] * 1001}, {"queries": [1]}],
)
def test_what_cannot_be_read_is_refused(body: dict[str, Any]) -> None:
    with serving(NoSearcher()) as url:
        assert ServerHttp(url).call("/retrieve", body, timeout=60).status == 422


def test_a_search_that_fails_is_told_with_a_status_that_says_whether_to_repeat() -> None:
    class Failing:
        error: Exception = StoreBusy("busy")

        def search(self, query: str, k: int) -> list[Document]:
            raise self.error

    failing = Failing()
    with serving(failing) as url:
        for error, status in ((StoreBusy("busy"), 503), (InvalidInput("bad"), 400), (SearchFailed("odd"), 500)):
            failing.error = error
            answer = ServerHttp(url).call("/retrieve", {"queries": ["x"]}, timeout=60)
            assert (answer.status, json.loads(answer.body)["detail"]) == (status, error.args[0])


@contextmanager
def answering(answer: Callable[[int], tuple[int, bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers with what ``answer`` makes of the number of the call, and the bodies that it got."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(len(bodies))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_request_is_as_published_and_documents_without_scores_or_ids_are_read() -> None:
    other = {"result": [[{"contents": "Only text"}, {"document": {"id": 7, "title": "T", "text": "x"}, "score": 2}]]}
    with answering(lambda _: (200, json.dumps(other).encode())) as (url, bodies):
        found = EndpointSearcher(url).search("what?", 5)
    assert json.loads(bodies[0]) == {"queries": ["what?"], "topk": 5, "return_scores": True}
    assert found == (
        Document(id="Only text", text="Only text"),
        Document(id="7", title="T", text="x", score=2.0),
    )


def test_documents_whose_id_is_null_are_several_and_scores_that_are_none_count_nothing() -> None:
    documents = [{"document": {"id": None, "contents": text}, "score": 10**400} for text in ("one", "two")]
    with answering(lambda _: (200, json.dumps({"result": [documents]}).encode())) as (url, _):
        found = searched(EndpointSearcher(url), "x", 3)
    assert [(document.id, document.score) for document in found] == [("one", 0.0), ("two", 0.0)]


def test_a_server_that_fails_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memagent.agents.reason_rag.endpoint._WAIT", 0.0)
    good = json.dumps({"result": [[]]}).encode()
    with answering(lambda call: (500, b"oh") if call < 3 else (200, good)) as (url, bodies):
        assert EndpointSearcher(url).search("x", 3) == ()
        assert len(bodies) == 3
    with nobody() as url, pytest.raises(SearchUnavailable, match="cannot be reached") as raised:
        EndpointSearcher(url, retries=1).search("x", 3)
    assert raised.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'{"result": []}',
        b'{"result": [3]}',
        b'{"result": [["text"]]}',
        b'{"result": [[{"id": 1}]]}',
    ],
    ids=lambda body: body[:30],
)
def test_an_answer_that_is_something_else_is_told(body: bytes) -> None:
    with answering(lambda _: (200, body)) as (url, _), pytest.raises(SearchFailed, match="cannot be used"):
        EndpointSearcher(url).search("x", 3)


def test_an_address_without_the_endpoint_is_told() -> None:
    with answering(lambda _: (404, b"no")) as (url, _), pytest.raises(SearchFailed, match="is it the address"):
        EndpointSearcher(url).search("x", 3)
    for address in ("somewhere", "http://[::1"):
        with pytest.raises(InvalidInput, match="no URL"):
            EndpointSearcher(address)
    with pytest.raises(InvalidInput, match="retries"):
        EndpointSearcher("http://localhost:1", retries=-1)


@given(st.text(max_size=20), st.text(max_size=40))
@example("", "user: a\nassistant: b")
@example('The "big"', "x")
def test_contents_hold_title_and_text(title: str, text: str) -> None:
    contents = contents_of(Document(id="a", title=title, text=text))
    assert titled(contents) == (" ".join(title.split()), text.strip())
    assert contents.split("\n")[0] == f'"{" ".join(title.split())}"'  # as a client of Search-R1 takes it apart


def test_one_empty_query_of_many_finds_nothing_and_the_others_what_they_ask_for() -> None:
    memory = Memory(":memory:", encoder=HashingEncoder(dim=64), background=False)
    memory.add("Ana plays the cello.", user_id="ann")
    with serving(MemorySearcher(memory, user_id="ann", retriever="bm25")) as url:
        found = EndpointSearcher(url).search_many(["cello", " "], 3)
    assert [[one.text for one in documents] for documents in found] == [["Ana plays the cello."], []]


def test_a_score_that_is_no_number_is_none() -> None:
    with answering(lambda _: (200, b'{"result": [[{"document": {"contents": "x"}, "score": NaN}]]}')) as (url, _):
        assert EndpointSearcher(url).search("x", 3) == (Document(id="x", text="x"),)


def test_nothing_is_asked_for_no_queries() -> None:
    assert EndpointSearcher("http://127.0.0.1:9").search_many([], 3) == []
