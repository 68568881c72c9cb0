"""``memagent mcp`` in processes of its own, over stdio and HTTP, asked by the official client and without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner, Result

import memagent
from memagent import Memory
from memagent.cli import app
from memagent.server.mcp_tokens import add_token

ROOT = Path(memagent.__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list", "arguments": {}}}


async def memories(client: Client) -> list[str]:
    found = await client.call_tool("list", {})
    return [one["memory"] for one in found.structured_content["memories"]]


# stdio


def test_a_client_over_stdio_remembers_across_processes(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.add("I keep bees.", user_id="ann")
        memory.add("I sail.", user_id="bob")
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "memagent", "mcp", "--store", str(tmp_path)],
        env={**ENVIRONMENT, "MEMAGENT_USER": "ann"},
    )

    async def talk() -> list[str]:
        async with Client(server, mode="legacy") as client:  # test_mcp_page.py has the newer era over stdio
            await client.call_tool("remember", {"text": "My dog is called Rex."})
            return await memories(client)

    assert asyncio.run(talk()) == ["My dog is called Rex.", "I keep bees."]
    with Memory(tmp_path) as memory:
        assert memory.get_all(user_id="ann")["total"] == 2


def test_lines_that_are_no_messages_are_answered_and_nothing_is_lost(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "memagent", "mcp", "--user", "ann", "--store", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(line: bytes) -> Any:
            process.stdin.write(line + b"\n")  # type: ignore[union-attr]
            return json.loads(process.stdout.readline())  # type: ignore[union-attr]

        def error_of(line: bytes) -> tuple[Any, int]:
            answer = ask(line)
            return answer["id"], answer["error"]["code"]

        assert error_of(b"{") == (None, -32700)
        assert ask(json.dumps(INITIALIZE).encode())["result"]["serverInfo"]["name"] == "memagent"
        process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        for line in (b"no JSON", b"", b'{"id": 1', b"\xff\xfe", b"[" * 100_000):
            assert error_of(line) == (None, -32700)
        for line in (b"[]", b"3", b'"text"', b'{"id": 7}', b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}'):
            assert error_of(line) == (None, -32600)
        assert error_of(b'{"jsonrpc": "2.0", "id": 8, "method": "no/such"}') == (8, -32601)
        assert error_of(b'{"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": 3}}') == (9, -32602)
        call = {"name": "remember", "arguments": {"text": "I keep bees."}}
        stored = ask(json.dumps({"jsonrpc": "2.0", "id": 10, "method": "tools/call", "params": call}).encode())
        assert not stored["result"]["isError"]
        listed = ask(json.dumps(LIST).encode())
        assert [one["memory"] for one in listed["result"]["structuredContent"]["memories"]] == ["I keep bees."]
        process.kill()  # what was acknowledged is on disk
    with Memory(tmp_path) as memory:
        assert memory.get_all(user_id="ann")["total"] == 1


def test_the_end_of_the_input_ends_the_server(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "memagent", "mcp", "--user", "ann", "--store", str(tmp_path / "store")]
    done = subprocess.run(arguments, input=b"", capture_output=True, env=ENVIRONMENT, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    assert not (tmp_path / "store").exists()


# HTTP


class Served(NamedTuple):
    """A server over HTTP, the tokens of its users, and the file of tokens."""

    url: str
    tokens: dict[str, str]
    file: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``memagent mcp --http`` for ann and bob; ended by SIGTERM, in order."""
    folder = tmp_path_factory.mktemp("mcp")
    file = folder / "tokens.json"
    tokens = {user: add_token(file, user) for user in ("ann", "bob")}
    arguments = ["mcp", "--http", "--port", "0", "--tokens", str(file), "--store", str(folder / "store")]
    with subprocess.Popen(
        [sys.executable, "-m", "memagent", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        try:
            assert process.stdout is not None
            yield Served(process.stdout.readline().strip(), tokens, file)
            process.send_signal(signal.SIGTERM)
            _, messages = process.communicate(timeout=120)
            assert process.returncode == 130, messages
            assert "Traceback" not in messages
        finally:
            process.kill()


@asynccontextmanager
async def connected(served: Served, token: str, mode: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(served.url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.model
@ERAS
def test_each_token_reaches_the_memory_of_its_user_alone(served: Served, mode: str) -> None:
    async def talk(user: str) -> list[str]:
        async with connected(served, served.tokens[user], mode) as client:
            await client.call_tool("remember", {"text": f"I am {user}, {mode}."})
            await asyncio.sleep(0.05)
            return await memories(client)

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(talk("ann"), talk("bob"), talk("ann")))

    for user, found in zip(("ann", "bob", "ann"), asyncio.run(both()), strict=True):
        assert f"I am {user}, {mode}." in found
        assert all(text.startswith(f"I am {user},") for text in found)


def posting(served: Served, work: Callable[[Callable[..., Any]], Any]) -> Any:
    """What ``work`` makes of a function that posts a body, with the headers of a client."""
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}

    async def talk() -> Any:
        async with httpx2.AsyncClient() as http:

            async def post(body: Any, token: str | None = None, **headers: str) -> Any:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                given = {"authorization": f"Bearer {token}"} if token is not None else {}
                return await http.post(served.url, content=content, headers={**accept, **given, **headers})

            return await work(post)

    return asyncio.run(talk())


@pytest.mark.model
def test_without_a_valid_token_nobody_is_let_in(served: Served) -> None:
    async def work(post: Callable[..., Any]) -> None:
        digest = next(iter(json.loads(served.file.read_text())))
        for token in (None, "wrong", digest, served.tokens["ann"] + "x"):
            answer = await post(INITIALIZE, token)
            assert answer.status_code == 401
            assert "Bearer" in answer.headers["www-authenticate"]

    posting(served, work)


@pytest.mark.model
def test_a_token_cannot_go_on_with_the_session_of_another_user(served: Served) -> None:
    async def work(post: Callable[..., Any]) -> None:
        begun = await post(INITIALIZE, served.tokens["ann"])
        session = {"mcp-session-id": begun.headers["mcp-session-id"]}
        assert (await post(LIST, served.tokens["bob"], **session)).status_code == 404
        assert (await post(LIST, None, **session)).status_code == 401
        assert (await post(LIST, served.tokens["ann"], **session)).status_code == 200

    posting(served, work)


@pytest.mark.model
def test_malformed_requests_are_refused_and_the_server_goes_on(served: Served) -> None:
    async def work(post: Callable[..., Any]) -> None:
        token = served.tokens["ann"]
        bodies: list[Any] = [b"{", b"", b"\xff", [], 3, {"id": 1}, {**LIST, "jsonrpc": "1.0"}, b"[" * 100_000]
        for body in bodies:
            answer = await post(body, token)
            assert 400 <= answer.status_code < 500
            assert answer.json()["error"]["message"]
        assert (await post(b" " * (5 << 20), token)).status_code == 413
        assert (await post(INITIALIZE, token, host="evil.example")).status_code == 421
        assert (await post(INITIALIZE, token, origin="http://evil.example")).status_code == 403
        assert (await post(INITIALIZE, token)).status_code == 200

    posting(served, work)


@pytest.mark.model
def test_a_token_counts_from_when_it_is_in_the_file_until_it_is_out(served: Served) -> None:
    async def work(post: Callable[..., Any]) -> None:
        before = served.file.read_text()
        token = add_token(served.file, "carl")
        assert (await post(INITIALIZE, token)).status_code == 200
        served.file.write_text("damaged")
        assert (await post(INITIALIZE, token)).status_code == 401
        served.file.write_text(before)
        assert (await post(INITIALIZE, token)).status_code == 401
        assert (await post(INITIALIZE, served.tokens["ann"])).status_code == 200

    posting(served, work)


# the command line


def command(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(
        app, arguments, env={"MEMAGENT_USER": "", "MEMAGENT_MCP_TOKENS": "", "MEMAGENT_MODEL": "", **env}
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "whose memory is it?"),
        (["--http"], "whose memory is it?"),
        (["--user", ""], "the user id is empty"),
        (["--user", "ann", "--tokens", "t.json"], "tokens are for HTTP"),
        (["--http", "--user", "ann", "--tokens", "t.json"], "both --user and --tokens"),
        (["--http", "--tokens", "t.json"], "there is no file t.json"),
        (["--user", "ann", "--infer"], "--infer needs a language model"),
        (["--http", "--user", "ann", "--host", "0.0.0.0"], "would give the memory to everybody"),
    ],
)
def test_a_server_whose_user_is_not_settled_is_not_started(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("mcp", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_shown_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    done = command("mcp-token", "--user", "ann", "--tokens", str(file))
    token = done.stdout.strip()
    assert done.exit_code == 0
    assert len(token) >= 43
    assert token not in file.read_text()
    assert list(json.loads(file.read_text()).values()) == ["ann"]
    assert file.stat().st_mode & 0o077 == 0
    again = command("mcp-token", "--user", "ann", "--tokens", str(file)).stdout.strip()
    assert again != token
    assert len(json.loads(file.read_text())) == 2


@pytest.mark.parametrize("name", ["mcp", "mcp-token"])
def test_the_help_says_what_it_is_for(name: str) -> None:
    assert "memory" in command(name, "--help").stdout
