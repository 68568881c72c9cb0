"""A made-up user, a served cloud, a server that answers anything, and a proxy that keeps every byte."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from memagent.agents.lsrp import Cloud, PrivateTask, TaskType, Written
from memagent.prompts.prompt import Prompt

PROFILE = {"name": "Rosalind Quist", "city": "Porto", "phone": "555 0142"}
HISTORY = (
    Written(title="Bees", text="Otto and I opened the hive at Vila Verde."),
    Written(title="Boat", text="The Marisol leaks again."),
)
TASK = PrivateTask(text="Invite Otto to dinner in Porto.", task_type=TaskType.WRITING, profile=PROFILE, history=HISTORY)
PRIVATE = ("Rosalind", "Quist", "Porto", "0142", "Otto", "Vila Verde", "Marisol", "hive")
"""What must not cross for this task."""
PLAN = "Greet the guest. Name the day."


def follows(prompt: Prompt[Any]) -> str:
    """A device's model that repeats the guideline it was given."""
    found = re.search(r"<guideline>\n(.*?)\n</guideline>", prompt.user, re.DOTALL)
    return f"I follow: {found[1] if found else 'nothing'}"


@contextmanager
def serving(cloud: Cloud, *, token: str | None = None) -> Iterator[str]:
    """The address of a server over this cloud."""
    import uvicorn

    from memagent.server.lsrp_cloud import lsrp_cloud_app

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(lsrp_cloud_app(cloud, token=token), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
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


@contextmanager
def answering(answer: Callable[[int, socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a whole request, then lets ``answer`` do what it likes; and the requests that it got."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(60)
                    got.append(_request(connection))
                    try:
                        answer(len(got), connection)
                    except OSError:
                        continue  # the other side has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", got
        finally:
            over.set()
            thread.join()


def http(status: str, body: bytes, *headers: str) -> bytes:
    """An answer, byte by byte."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def guided(text: str = PLAN) -> bytes:
    """The answer of a cloud."""
    return http("200 OK", json.dumps({"text": text}).encode(), "Content-Type: application/json")


@contextmanager
def recording(url: str) -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    """A proxy in front of a server: its address, and for each connection what went up and what came down."""
    host, _, port = url.removeprefix("http://").partition(":")
    up: list[bytes] = []
    down: list[bytes] = []

    def answer(_number: int, connection: socket.socket) -> None:
        with socket.create_connection((host, int(port))) as further:
            further.sendall(got[-1])
            came = bytearray()
            while piece := further.recv(65536):
                came += piece
        connection.sendall(bytes(came))
        up.append(got[-1])
        down.append(bytes(came))

    with answering(answer) as (address, got):
        yield address, up, down


def _request(connection: socket.socket) -> bytes:
    got = bytearray()
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return bytes(got)  # it has sent nothing, and gone
        got += piece
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    while len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
