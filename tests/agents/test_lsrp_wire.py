"""What crosses is in the log byte for byte, holds the message and named headers, and whatever fails is told."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsrp_examples import PLAN, TASK, answering, guided, http, recording, serving

from memagent.agents.lsrp import (
    Cloud,
    Crossed,
    GuidelineRequest,
    RemoteLeader,
    TaskType,
    WireLog,
    read_wire_log,
    remote,
)
from memagent.agents.lsrp.remote import HEADERS, LONGEST_ANSWER
from memagent.agents.lsrp.wire import crossing
from memagent.errors import (
    DataError,
    InvalidInput,
    MalformedReply,
    MemagentError,
    ModelDenied,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    StoreUnavailable,
)
from memagent.testing import ScriptedModel

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

pytestmark = pytest.mark.model

REQUEST = GuidelineRequest(task="Write a note. Schöne Grüße 很好", strategy="directive", task_type=TaskType.WRITING)
TOKEN = "a-long-token"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memagent.agents.lsrp.remote._WAIT", 0.0)


def test_the_log_holds_exactly_what_a_proxy_saw_and_that_is_the_message_and_the_named_headers(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.jsonl")
    with serving(Cloud(ScriptedModel([PLAN])), token=TOKEN) as url, recording(url) as (proxy, up, down):
        assert RemoteLeader(proxy, token=TOKEN, wire=log).guideline(REQUEST).text == PLAN
    log.close()
    sent, came = read_wire_log(tmp_path / "wire.jsonl")
    assert (sent, came) == log.records
    assert (sent.direction, came.direction) == ("up", "down")
    assert sent.head.replace("<token>", TOKEN).encode() + sent.body == up[0]
    assert came.head.encode() + came.body == down[0]
    assert (sent.size, came.size) == (len(up[0]), len(down[0]))
    head, _, body = up[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /guideline HTTP/1.1"
    assert [line.partition(": ")[0] for line in lines] == list(HEADERS)
    assert json.loads(body) == REQUEST.to_json()
    assert set(REQUEST.to_json()) == {"task", "strategy", "task_type"}
    assert TOKEN not in (tmp_path / "wire.jsonl").read_text()


def test_two_users_send_the_same_bytes_for_the_same_task() -> None:
    seen = []
    for _ in range(2):
        with answering(lambda _, connection: connection.sendall(guided())) as (url, got):
            RemoteLeader(url).guideline(REQUEST)
        seen.append(got[0].replace(url.removeprefix("http://").encode(), b"HOST"))
    assert seen[0] == seen[1]


def test_a_padded_message_says_less_of_its_length_and_the_same_otherwise() -> None:
    with serving(Cloud(ScriptedModel([PLAN]))) as url:
        leader = RemoteLeader(url, pad=256)
        assert leader.guideline(REQUEST).text == PLAN
    body = leader.wire.records[0].body
    assert len(body) == 256
    assert json.loads(body) == REQUEST.to_json()


def test_a_chunked_answer_is_read_and_logged_as_it_came() -> None:
    body = b'{"text": "Greet."}'
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with answering(lambda _, connection: connection.sendall(raw)) as (url, _):
        leader = RemoteLeader(url)
        assert leader.guideline(REQUEST).text == "Greet."
    assert leader.wire.records[1].head.encode() + leader.wire.records[1].body == raw


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (http("200 OK", b"<html>"), MalformedReply),
        (http("200 OK", b"[]"), MalformedReply),
        (http("200 OK", b'{"text": 3}'), MalformedReply),
        (http("200 OK", b'{"text": "x", "also": "y"}'), MalformedReply),
        (http("200 OK", b'{"text": "  "}'), MalformedReply),
        (http("200 OK", b'{"text": "\\ud800"}'), MalformedReply),
        (http("200 OK", b"[" * 100_000), MalformedReply),
        (http("200 OK", b'{"text": "' + b"x" * LONGEST_ANSWER + b'"}'), MalformedReply),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, ModelUnavailable),
        (http("302 Found", b"", "Location: http://127.0.0.1:9/"), MalformedReply),
        (http("401 Unauthorized", b'{"detail": "a token is needed"}'), ModelDenied),
        (http("400 Bad Request", b'{"detail": "unknown strategy"}'), ModelRefused),
        (http("500 Oh", b"oh"), ModelUnavailable),
        (b"not http at all\r\n\r\n", ModelUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", ModelUnavailable),
        (b"", ModelUnavailable),
    ],
)
def test_what_is_no_guideline_is_told_and_logged(raw: bytes, error: type[MemagentError]) -> None:
    with answering(lambda _, connection: connection.sendall(raw)) as (url, got):
        leader = RemoteLeader(url, timeout=30)
        with pytest.raises(error):
            leader.guideline(REQUEST)
    assert len(got) == (2 if error is ModelUnavailable else 1)
    assert [one.direction for one in leader.wire.records] == (["up", "down"] if raw else ["up"]) * len(got)


def test_a_cloud_that_fails_once_is_asked_again() -> None:
    def answer(number: int, connection: socket.socket) -> None:
        connection.sendall(http("503 Busy", b"{}") if number == 1 else guided())

    with answering(answer) as (url, got):
        assert RemoteLeader(url).guideline(REQUEST).text == PLAN
    assert len(got) == 2


def test_a_cloud_that_sends_a_byte_now_and_then_is_left_at_the_deadline() -> None:
    def drip(_number: int, connection: socket.socket) -> None:
        for byte in guided():
            connection.sendall(bytes([byte]))
            time.sleep(0.25)  # some fifty seconds for all of them

    with answering(drip) as (url, _):
        begun = time.monotonic()
        with pytest.raises(ModelTimeout, match=r"within 0\.3 s"):
            RemoteLeader(url, timeout=0.3).guideline(REQUEST)
        assert time.monotonic() - begun < 30


def test_nobody_there_is_told() -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        RemoteLeader("http://127.0.0.1:9", timeout=30).guideline(REQUEST)


@pytest.mark.parametrize("family", [socket.AF_INET, 99], ids=["silent", "of a family that is not there"])
def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(
    family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[float] = []

    def hasty(sock: socket.socket, address: Any, seconds: float) -> socket.socket:
        allowed.append(seconds)
        return to_address(sock, address, 0.1 if address == silent else seconds)

    to_address = remote._to_address
    with answering(lambda _, connection: connection.sendall(guided())) as (url, _), full() as silent:
        there = ("127.0.0.1", int(url.rpartition(":")[2]))
        found = [
            (kind, socket.SOCK_STREAM, 0, "", place) for kind, place in ((family, silent), (socket.AF_INET, there))
        ]
        monkeypatch.setattr(remote, "_to_address", hasty)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert RemoteLeader("http://leader.example.org", timeout=60).guideline(REQUEST).text == PLAN
    assert [seconds <= 30 for seconds in allowed] == ([True, False] if family == socket.AF_INET else [False])


@contextmanager
def full() -> Iterator[tuple[str, int]]:
    """A place whose queue is full, so that it says nothing to who connects."""
    with ExitStack() as stack:
        place = stack.enter_context(socket.socket())
        place.bind(("127.0.0.1", 0))
        place.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place.getsockname())
        yield place.getsockname()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:80",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x?user=ann",
        "http://x/#a",
        "http://x:y",
        "http://a..b",
        f"http://{64 * 'a'}.org",
    ],
)
def test_an_address_that_says_more_or_less_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        RemoteLeader(url)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": "5"}, {"token": ""}, {"token": "a b"}, {"token": "a\r\nX: y"}, {"pad": -1}]
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        RemoteLeader("http://127.0.0.1:9", **options)


def test_a_leader_may_be_waited_for_without_a_limit() -> None:
    with answering(lambda _, connection: connection.sendall(guided())) as (url, _):
        for endless in (None, float("inf")):
            leader = RemoteLeader(url, timeout=endless)
            assert leader.timeout == float("inf")
            assert leader.guideline(REQUEST).text


def test_the_address_may_name_the_endpoint_or_a_folder_above() -> None:
    assert RemoteLeader("http://127.0.0.1:8010/guideline").url == "http://127.0.0.1:8010/guideline"
    assert RemoteLeader("https://leader.example.org/lsrp/").url == "https://leader.example.org:443/lsrp/guideline"
    assert RemoteLeader("http://[::1]:8010").url == "http://[::1]:8010/guideline"


def test_nothing_is_sent_that_cannot_be_logged(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "missing" / "wire.jsonl")
    with (
        answering(lambda _, connection: connection.sendall(guided())) as (url, got),
        pytest.raises(StoreUnavailable, match="cannot be written"),
    ):
        RemoteLeader(url, wire=log).guideline(REQUEST)
    assert b"".join(got) == b""


def test_a_record_that_a_crash_cut_off_is_taken_away_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    first = WireLog(path)
    first.record("up", b"{}")
    first.close()
    path.write_bytes(path.read_bytes() + b'{"direction": "up", "at"')
    assert len(read_wire_log(path)) == 1
    second = WireLog(path)
    second.record("down", b"\xff\x00")
    second.close()
    assert [(one.direction, one.body) for one in read_wire_log(path)] == [("up", b"{}"), ("down", b"\xff\x00")]
    assert path.stat().st_mode & 0o077 == 0


def test_logs_that_share_a_file_lose_no_record_of_each_other(tmp_path: Path) -> None:
    path, over = tmp_path / "wire.jsonl", threading.Event()

    def come_and_go() -> int:
        for count in itertools.count(1):
            passing = WireLog(path)
            passing.record("down", b"y")
            passing.close()
            if over.is_set():
                return count
        raise AssertionError

    log, body = WireLog(path), b"x" * 200_000
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(come_and_go)
        for _ in range(60):
            log.record("up", body)
        over.set()
    log.close()
    bodies = Counter(len(one.body) for one in read_wire_log(path))
    assert bodies == {len(body): 60, 1: others.result()}


def test_only_the_latest_records_stay_in_memory() -> None:
    log = WireLog(keep=2)
    for number in range(4):
        log.record("up", str(number).encode())
    assert [one.body for one in log.records] == [b"2", b"3"]


def test_records_of_a_block_are_its_own() -> None:
    log = WireLog()
    log.record("up", b"before")
    with crossing() as outer:
        log.record("up", b"outer")
        with crossing() as inner:
            log.record("up", b"inner")
    log.record("up", b"after")
    assert [one.body for one in outer] == [b"outer"]
    assert [one.body for one in inner] == [b"inner"]


@given(st.binary(), st.binary(max_size=50))
def test_a_record_is_read_as_it_was_written(body: bytes, head: bytes) -> None:
    made = WireLog().record("down", body, head=head)
    assert Crossed.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    "line",
    [b"x", b"3", b"[]", b"{}", b'{"direction": "up"}', b"[" * 100_000, b"\xff"]
    + [
        json.dumps({"direction": way, "at": at, "size": size, "body": "x"}).encode()
        for way, at, size in [
            ("sideways", "2026-01-01T00:00:00+00:00", 1),
            ("up", "2026-01-01T00:00:00", 1),
            ("up", "yesterday", 1),
            ("up", "2026-01-01T00:00:00+00:00", "1"),
        ]
    ],
)
def test_a_damaged_log_is_told_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "wire.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(DataError, match="line 1"):
        read_wire_log(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_wire_log(tmp_path / "missing.jsonl")


def test_a_task_that_is_no_unicode_is_not_sent() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        RemoteLeader("http://127.0.0.1:9").guideline(
            GuidelineRequest(task="\ud800", strategy="general", task_type=TASK.task_type)
        )
