"""Models that talk HTTP to a server, which here is a fake one."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from answer_schemas import Facts, Verdict, YesNo
from fake_server import Fake, Fault, Refused, nobody, serving

from memagent.errors import (
    InvalidInput,
    MalformedReply,
    ModelError,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
)
from memagent.llm import Backoff, Capabilities, Model, Prompt, Server, Usage, connect, http
from memagent.llm.chat_models import chat_model
from memagent.llm.request import PICTURE_TOKENS
from memagent.testing import FakeClock

pytestmark = pytest.mark.model

TEXT: Prompt[str] = Prompt(name="greet", version=1, system="Be kind.", user="Hello there", max_tokens=10)
ASKED: Prompt[YesNo] = Prompt(name="judge one", version=1, system="Judge.", user="Is it so?", answer=YesNo)
GUIDES = Capabilities(json_schema=True, logprobs=True)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake()) as found:
        yield found


def model_on(fake: Fake, **options: Any) -> Model:
    return Server(fake.url).model(**{"capabilities": GUIDES, "clock": FakeClock(), "timeout": 10.0, **options})


def test_a_chat_on_a_server(fake: Fake) -> None:
    reply = model_on(fake).ask(TEXT)
    assert reply.value == "You said: Hello there"
    assert reply.usage == Usage(input=10, output=4)
    (sent,) = fake.requests
    assert sent["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}]
    assert (sent["max_completion_tokens"], sent["temperature"], sent["model"]) == (10, 0.0, "fake-model")


def test_the_schema_is_sent_and_the_answer_read(fake: Fake) -> None:
    assert model_on(fake).ask(ASKED).value.verdict == "yes"
    sent = fake.requests[0]["response_format"]["json_schema"]
    assert sent == {"name": "judge_one", "schema": YesNo.model_json_schema()}


def test_a_guided_answer_that_is_cut_off_gets_a_second_try_with_more_room(fake: Fake) -> None:
    prompt: Prompt[Facts] = Prompt(name="f", version=1, system="", user="?", answer=Facts, max_tokens=3)
    with pytest.raises(MalformedReply) as caught:
        model_on(fake).ask(prompt)
    assert caught.value.reason == "truncated"
    assert [sent["max_completion_tokens"] for sent in fake.requests] == [3, 6]
    long: Prompt[Facts] = Prompt(name="f", version=1, system="", user="?", answer=Facts, max_tokens=8)
    assert model_on(fake).ask(long).attempts == 2


def test_options_of_the_chat_model_stay(fake: Fake) -> None:
    chat = Server(fake.url).chat_model(extra_body={"cache_salt": "ann"}, top_p=0.5)
    Model(chat, capabilities=GUIDES).ask(ASKED)
    assert fake.requests[0]["cache_salt"] == "ann"
    assert fake.requests[0]["top_p"] == 0.5
    assert "response_format" in fake.requests[0]


def test_stop_and_no_temperature(fake: Fake) -> None:
    prompt: Prompt[str] = Prompt(name="s", version=1, system="", user="one two three", stop=(" two",))
    model = model_on(fake, capabilities=Capabilities(temperature=False))
    assert model.ask(prompt).value == "You said: one"
    assert "temperature" not in fake.requests[0]
    assert [message["role"] for message in fake.requests[0]["messages"]] == ["user"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_log_probabilities_come_with_the_reply(fake: Fake, asynchronous: bool) -> None:
    prompt: Prompt[str] = Prompt(name="s", version=1, system="", user="x", logprobs=2)
    model = model_on(fake)
    reply = asyncio.run(model.aask(prompt)) if asynchronous else model.ask(prompt)
    assert reply.logprobs is not None
    assert [(one.token, one.logprob) for one in reply.logprobs] == [("You", -0.25), (" said:", -0.25), (" x", -0.25)]
    assert reply.logprobs[0].top == (("other0", -2.0), ("other1", -3.0))
    assert model.ask(TEXT).logprobs is None


def test_how_a_token_is_drawn_is_sent_only_where_it_is_asked_for(fake: Fake) -> None:
    model = model_on(fake)
    model.ask(Prompt[str](name="s", version=1, system="", user="x", temperature=0.5, top_p=0.9, top_k=2, seed=7))
    model.ask(TEXT)
    drawn, plain = fake.requests[-2:]
    assert (drawn["temperature"], drawn["top_p"], drawn["top_k"], drawn["seed"]) == (0.5, 0.9, 2, 7)
    assert not {"top_p", "top_k", "seed"} & set(plain)


def test_openais_other_protocol_is_sent_no_seed() -> None:
    from langchain_openai import ChatOpenAI

    nowhere: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "api_key": "none", "max_retries": 0}
    chat = ChatOpenAI(model="m", use_responses_api=True, **nowhere)
    with pytest.raises(ModelUnavailable, match="connection to the model failed"):  # and no TypeError of the client
        Model(chat, retries=0).ask(Prompt[str](name="s", version=1, system="", user="x", temperature=0.5, seed=7))


def test_pictures_are_sent_with_the_question() -> None:
    with serving(Fake(vision=True)) as fake:
        prompt: Prompt[str] = Prompt(
            name="p", version=1, system="", user="What is it?", images=("data:image/png;base64,",)
        )
        assert model_on(fake).ask(prompt).value == "You said: What is it?"
        assert fake.requests[0]["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png")


SEEN: Prompt[YesNo] = Prompt(
    name="see",
    version=1,
    system="Look.",
    user="Red?",
    images=("data:image/jpeg;base64,AAAA", "http://x/b.png"),
    answer=YesNo,
)
PARTS = [
    {"type": "text", "text": "Red?"},
    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
    {"type": "image_url", "image_url": {"url": "http://x/b.png"}},
]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_several_pictures_are_sent_as_content_parts_in_their_order_and_again_at_a_second_try(
    asynchronous: bool,
) -> None:
    with serving(Fake(vision=True, guides=False, reply=lambda _: "perhaps")) as fake:
        model = Server(fake.url).model(clock=FakeClock())
        assert model.capabilities.vision
        del fake.requests[:]
        with pytest.raises(MalformedReply):
            asyncio.run(model.aask(SEEN)) if asynchronous else model.ask(SEEN)
        first, second = (request["messages"] for request in fake.requests)
        assert first[0]["content"].startswith("Look.")
        assert first[1] == {"role": "user", "content": PARTS}
        assert second[:2] == first
        assert [turn["role"] for turn in second[2:]] == ["assistant", "user"]
        assert isinstance(second[3]["content"], str)


def test_connecting_loads_what_openai_would_meet_half_loaded_in_another_thread(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "httpx", raising=False)
    assert model_on(fake).capabilities.json_schema
    assert "httpx" in sys.modules


def test_a_model_that_does_not_see_is_sent_no_picture(fake: Fake) -> None:
    model = Server(fake.url).model(clock=FakeClock())
    assert model.capabilities.vision is False
    del fake.requests[:]
    with pytest.raises(ModelRefused, match="see/1 shows 2 pictures, and this model sees none"):
        model.ask(SEEN)
    assert fake.requests == []
    assert model.ask(TEXT).value == "You said: Hello there"


def test_a_server_that_was_not_asked_whether_it_sees_says_so_itself(fake: Fake) -> None:
    with pytest.raises(ModelRefused, match="not a multimodal model"):
        model_on(fake).ask(SEEN)


def test_tokens_of_pictures_that_nobody_counts_are_estimated() -> None:
    with serving(Fake(usage=False, vision=True)) as fake:
        usage = model_on(fake).ask(SEEN).usage
        assert usage.estimated
        assert 2 * PICTURE_TOKENS < usage.input < 2 * PICTURE_TOKENS + 50


def test_tokens_read_from_the_prefix_cache_are_told_apart() -> None:
    with serving(Fake(cached_tokens=7)) as fake:
        assert model_on(fake).ask(TEXT).usage == Usage(input=10, output=4, cached=7)


def test_a_server_that_does_not_count_tokens() -> None:
    with serving(Fake(usage=False)) as fake:
        usage = model_on(fake).ask(TEXT).usage
        assert usage.estimated
        assert (usage.input, usage.output) == (6, 6)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_on_a_server(fake: Fake, asynchronous: bool, tmp_path: Path) -> None:
    model = model_on(fake, cache=tmp_path)

    async def gather() -> list[str]:
        return [piece async for piece in model.astream(TEXT)]

    pieces = asyncio.run(gather()) if asynchronous else list(model.stream(TEXT))
    assert pieces == ["You", " said:", " Hello", " there"]
    assert model.meter.totals().usage == Usage(input=10, output=4)
    assert model.ask(TEXT).cached
    model.close()


def test_the_same_model_serves_one_event_loop_after_the_other(fake: Fake) -> None:
    model = model_on(fake)

    async def use() -> None:
        await model.aask_many([TEXT] * 4)
        async for _ in model.astream(TEXT):
            pass

    for _ in range(3):
        asyncio.run(use())
    assert model.meter.totals().calls == 15


def test_a_chat_openai_made_elsewhere_serves_one_loop_after_the_other_too(fake: Fake) -> None:
    from langchain_openai import ChatOpenAI

    model = Model(ChatOpenAI(model="fake-model", base_url=f"{fake.url}/v1", api_key="none", max_retries=0))  # type: ignore[arg-type]
    for _ in range(3):
        asyncio.run(model.aask_many([TEXT] * 4))
    assert model.ask(ASKED).value.verdict == "yes"
    assert model.meter.totals().calls == 13
    model._connected()[0].chat.root_client.close()  # type: ignore[attr-defined]


def test_sixteen_at_once_and_no_more(fake: Fake) -> None:
    fake.delay = 0.1
    model = model_on(fake)
    assert len(model.ask_many([TEXT] * 40)) == 40
    assert 8 < fake.most_at_once <= 16
    fake.most_at_once = 0
    assert len(asyncio.run(model.aask_many([TEXT] * 40))) == 40
    assert 8 < fake.most_at_once <= 16


# Failures


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=500), "server error"),
        (Fault(status=502, body="<html>Bad gateway</html>"), "server error"),
        (Fault(status=503), "server error"),
        (Fault(status=429), "rate limit"),
        (Fault(status=408), "timeout"),
        (Fault(status=409), "server error"),
        (Fault(status=0), "connection"),
        (Fault(status=200, body="<html>Please log in</html>"), "server error"),
        (Fault(status=200, body="not JSON"), "server error"),
        (Fault(status=200, body="{}"), "server error"),
        (Fault(status=200, body='{"choices": null}'), "server error"),
        (Fault(status=200, body='{"error": {"message": "out of memory"}}'), "server error"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.status} {value.body or ''}",
)
def test_failures_that_may_pass_are_tried_again(fake: Fake, fault: Fault, kind: str, asynchronous: bool) -> None:
    fake.faults = [fault]
    model = model_on(fake)
    reply = asyncio.run(model.aask(TEXT)) if asynchronous else model.ask(TEXT)
    assert reply.value == "You said: Hello there"
    assert model.meter.totals().retried == {kind: 1}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_answer_in_time(fake: Fake, asynchronous: bool) -> None:
    fake.faults = [Fault(status=200, delay=60.0)]
    model = model_on(fake, timeout=0.2, retries=0)
    with pytest.raises(ModelTimeout) as caught:
        asyncio.run(model.aask(TEXT)) if asynchronous else model.ask(TEXT)
    assert caught.value.retryable


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_server(asynchronous: bool) -> None:
    with nobody() as url:
        server = Server(url, model="fake-model")
        model = server.model(capabilities=GUIDES, clock=FakeClock(), timeout=10.0, retries=1)
        assert model.capabilities == GUIDES
        with pytest.raises(ModelUnavailable, match=r"refused|failed") as caught:
            asyncio.run(model.aask(TEXT)) if asynchronous else model.ask(TEXT)
    assert caught.value.retryable
    assert model.meter.totals().retried == {"connection": 1}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=400, message="no such parameter"), "no such parameter"),
        (Fault(status=401, message="wrong key"), "API key"),
        (Fault(status=403), "API key"),
        (Fault(status=404, message="no model"), "name"),
        (Fault(status=413), "too long"),
        (Fault(status=422), "422"),
        (Fault(status=429, message="insufficient_quota"), "insufficient_quota"),
        (Fault(status=501), "501"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value.status),
)
def test_refusals_are_not_tried_again(fake: Fake, fault: Fault, words: str) -> None:
    fake.faults = [fault]
    model = model_on(fake)
    with pytest.raises(ModelRefused, match=words) as caught:
        model.ask(TEXT)
    assert not caught.value.retryable
    assert len(fake.requests) == 1


def test_too_long_a_prompt_is_refused_with_the_servers_words(fake: Fake) -> None:
    prompt: Prompt[str] = Prompt(name="l", version=1, system="", user="word " * 5000)
    with pytest.raises(ModelRefused, match="maximum context length is 4096"):
        model_on(fake).ask(prompt)


def test_the_server_is_left_alone_as_long_as_it_asks_for(fake: Fake) -> None:
    clock = FakeClock()
    told = {"Retry-After": "7"}, {"retry-after-ms": "250"}
    fake.faults = [Fault(status=429, headers=told[0]), Fault(status=503, headers=told[1])]
    model_on(fake, clock=clock).ask(TEXT)
    assert clock.slept == [7.0, 0.25]


def test_a_server_that_asks_for_hours_is_given_up(fake: Fake) -> None:
    clock = FakeClock()
    fake.faults = [Fault(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(ModelUnavailable, match="too many requests"):
        model_on(fake, clock=clock).ask(TEXT)
    assert clock.slept == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_that_breaks_off_is_an_error_that_may_pass(fake: Fake, asynchronous: bool, tmp_path: Path) -> None:
    model = model_on(fake, cache=tmp_path)
    pieces: list[str] = []

    async def gather() -> None:
        keep = pieces.append
        if not asynchronous:
            for piece in model.stream(TEXT):
                keep(piece)
            return
        async for piece in model.astream(TEXT):
            keep(piece)

    fake.faults = [Fault(after_chunks=2)]
    with pytest.raises(ModelUnavailable, match="broke off") as caught:
        asyncio.run(gather())
    assert caught.value.retryable
    assert pieces == ["You", " said:"]
    assert model.meter.totals().failed == {"ModelUnavailable": 1}
    assert not model.ask(TEXT).cached
    model.close()


def test_a_stream_that_breaks_off_before_its_first_word_is_tried_again(fake: Fake) -> None:
    fake.faults = [Fault(after_chunks=0)]
    model = model_on(fake)
    assert list(model.stream(TEXT)) == ["You", " said:", " Hello", " there"]
    assert sum(model.meter.totals().retried.values()) == 1


def test_a_server_that_refuses_schemas_is_asked_for_tags() -> None:
    def tagged(body: dict[str, Any]) -> str:
        assert "<answer>" in body["messages"][0]["content"]
        return '<answer>{"verdict": "no"}</answer>'

    with serving(Fake(refuses_schemas=True, reply=tagged)) as fake:
        model = model_on(fake, capabilities=Capabilities())
        assert model.ask(ASKED).value.verdict == "no"
        assert model.ask(ASKED).value.verdict == "no"
        assert ["response_format" in sent for sent in fake.requests] == [True, False, False]


def test_a_server_that_ignores_schemas_is_helped_by_the_second_try() -> None:
    def reply(body: dict[str, Any]) -> str:
        told = "JSON schema" in body["messages"][-1]["content"]
        return json.dumps({"reasoning": "so", "label": "WRONG"}) if told else "It is wrong."

    with serving(Fake(guides=False, reply=reply)) as fake:
        prompt: Prompt[Verdict] = Prompt(name="v", version=1, system="", user="?", answer=Verdict)
        found = model_on(fake).ask(prompt)
        assert (found.value.label, found.attempts) == ("WRONG", 2)


def no_temperature(body: dict[str, Any]) -> str:
    if "temperature" in body:
        raise Refused(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")
    return "Hi."


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_model_that_refuses_a_temperature_is_sent_none_from_then_on(asynchronous: bool) -> None:
    with serving(Fake(reply=no_temperature)) as fake:
        model = model_on(fake)
        many = [Prompt[str](name="n", version=1, system="", user=str(number)) for number in range(6)]
        replies = asyncio.run(model.aask_many(many)) if asynchronous else model.ask_many(many)
        assert [reply.value for reply in replies] == ["Hi."] * 6
        assert 1 <= model.meter.totals().retried["temperature"] <= 6
        before = len(fake.requests)
        assert list(model.stream(TEXT)) == ["Hi."]
        assert len(fake.requests) == before + 1


def test_a_refusal_that_only_speaks_of_temperature_stays_one(fake: Fake) -> None:
    fake.faults = [Fault(status=400, message="the prompt, on the temperature of the sun, is too long")]
    with pytest.raises(ModelRefused, match="too long"):
        model_on(fake).ask(TEXT)
    assert len(fake.requests) == 1


def test_a_stream_that_ends_for_an_unknown_reason_has_ended() -> None:
    with serving(Fake(finish="eos_token")) as fake:
        assert "".join(model_on(fake).stream(TEXT)) == "You said: Hello there"


# Connecting


def test_connecting_finds_out_what_the_server_can_do() -> None:
    with serving(Fake(vision=True, max_model_len=2048)) as fake:
        server = connect(f"{fake.url}/v1/")
        assert fake.requests == []  # nothing is asked before it is needed
        assert server.capabilities == Capabilities(
            json_schema=True, logprobs=True, lora=True, vision=True, max_model_len=2048
        )
        assert server.capabilities.json_schema
        assert len(fake.requests) == 3
        assert (server.url, server.model_name, server.version()) == (fake.url, "fake-model", "0.0.fake")
        assert server.healthy()


@pytest.mark.parametrize("ignored", [False, True])
def test_connecting_finds_out_what_the_server_cannot_do(ignored: bool) -> None:
    limited = Fake(logprobs=False, runtime_lora=False, guides=not ignored, refuses_schemas=not ignored)
    with serving(limited) as fake:
        expected = Capabilities(json_schema=False, logprobs=False, lora=False, vision=False, max_model_len=4096)
        assert connect(fake.url).capabilities == expected


def test_a_server_too_busy_to_be_asked(fake: Fake) -> None:
    fake.faults = [Fault(status=503)]
    server = connect(fake.url)
    with pytest.raises(ModelUnavailable, match="too busy"):
        _ = server.capabilities
    assert server.capabilities.json_schema


def test_a_model_by_its_servers_url(fake: Fake) -> None:
    model = Model(fake.url)
    assert model.ask(TEXT).value == "You said: Hello there"
    assert model.capabilities.json_schema
    assert asyncio.run(Model(fake.url).aask(TEXT)).value == "You said: Hello there"
    assert str(chat_model(fake.url).invoke("Hi").text) == "You said: Hi"


def test_a_server_with_a_key() -> None:
    with serving(Fake(api_key="secret")) as fake:
        assert connect(fake.url, api_key="secret").model().ask(TEXT).value == "You said: Hello there"
        assert Model(chat_model(fake.url, api_key="secret")).ask(TEXT).value == "You said: Hello there"
        with pytest.raises(ModelRefused, match="API key"):
            connect(fake.url).model(capabilities=GUIDES).ask(TEXT)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://a b"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidInput):
        connect(url)


def test_nobody_there_and_somebody_else_there(tmp_path: Path) -> None:
    with nobody() as url:
        with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
            connect(url)
        assert caught.value.retryable
        assert not Server(url).healthy(timeout=1)


def test_a_server_that_does_not_answer_in_time_is_not_healthy() -> None:
    with socket.socket() as deaf:  # takes connections, and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        server = Server(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert not server.healthy(timeout=0.2)


def test_an_error_of_the_server_that_breaks_off_is_no_answer() -> None:
    with socket.socket() as breaks:  # it says that it sends more than it does
        breaks.bind(("127.0.0.1", 0))
        breaks.listen()
        asking = Server(f"http://127.0.0.1:{breaks.getsockname()[1]}")
        said: list[bool] = []
        thread = threading.Thread(target=lambda: said.append(asking.healthy(timeout=1.0)))
        thread.start()
        connection, _ = breaks.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nabc")
            thread.join()
    assert said == [False]


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("http://127.0.0.1:80/v2", True),
        ("https://127.0.0.1/v2", True),
        ("http://127.0.0.1:81/v2", False),
        ("http://elsewhere.example/v2", False),
        ("https://elsewhere.example/v2", False),
    ],
)
def test_a_key_does_not_follow_a_redirection_to_another_server(place: str, kept: bool) -> None:
    asked = urllib.request.Request("http://127.0.0.1:80/v1/models", headers={"Authorization": "Bearer key"})
    led = http._Redirections().redirect_request(asked, None, 302, "Found", {}, place)
    assert led is not None
    assert led.full_url == place
    assert led.has_header("Authorization") == kept


@contextmanager
def saying(answer: str) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that gives one answer, once; and what it was asked."""
    asked: list[bytes] = []

    def say() -> None:
        connection, _ = place.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(answer.encode())

    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        thread = threading.Thread(target=say)
        thread.start()
        yield f"http://127.0.0.1:{place.getsockname()[1]}", asked
        thread.join()


def test_another_server_to_which_one_leads_is_not_told_the_key() -> None:
    models = '{"data": [{"id": "m"}]}'
    with ExitStack() as stack:
        said = f"HTTP/1.1 200 OK\r\nContent-Length: {len(models)}\r\n\r\n{models}"
        other, second = stack.enter_context(saying(said))
        said = f"HTTP/1.1 302 Found\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n"
        url, first = stack.enter_context(saying(said))
        assert Server(url, api_key="secret").models() == ["m"]
    assert b"Bearer secret" in first[0]
    assert b"secret" not in second[0]


def test_who_leads_to_no_url_cannot_be_reached() -> None:
    with ExitStack() as stack:
        url, _ = stack.enter_context(saying("HTTP/1.1 307 Go\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n"))
        stack.enter_context(pytest.raises(ModelUnavailable, match="no URL"))
        Server(url).models()


def test_a_server_without_vllms_pages_is_healthy_if_it_lists_models() -> None:
    with serving(Fake(pages=("/v1/models",))) as fake:
        server = Server(fake.url)
        assert server.healthy()
        assert server.version() is None
        assert server.metrics().requests == 0
    with serving(Fake(pages=())) as fake:
        assert not Server(fake.url).healthy()


def test_a_model_that_the_server_does_not_have(fake: Fake) -> None:
    assert connect(fake.url, model="fake-model").model_name == "fake-model"
    with pytest.raises(InvalidInput, match="it has fake-model"):
        connect(fake.url, model="other")


# Adapters and metrics


def adapter(folder: Path, rank: int = 8) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def test_adapters_are_loaded_used_and_unloaded(fake: Fake, tmp_path: Path) -> None:
    server = connect(fake.url)
    place = adapter(tmp_path / "tuned")
    server.load_lora("tuned", place)
    assert (server.adapters(), server.models()) == (["tuned"], ["tuned", "fake-model"])
    assert server.model_name == "fake-model"
    tuned = server.model("tuned", capabilities=GUIDES)
    assert tuned.ask(TEXT).value == "tuned: You said: Hello there"
    assert server.model(capabilities=GUIDES).ask(TEXT).value == "You said: Hello there"
    with pytest.raises(ModelRefused, match="already been loaded"):
        server.load_lora("tuned", place)
    server.load_lora("tuned", place, replace=True)
    server.unload_lora("tuned")
    assert server.adapters() == []
    with pytest.raises(ModelRefused, match="404"):
        tuned.ask(TEXT)
    with pytest.raises(ModelRefused, match="cannot be found"):
        server.unload_lora("tuned")


def test_adapters_that_cannot_be_loaded(fake: Fake, tmp_path: Path) -> None:
    server = connect(fake.url)
    with pytest.raises(ModelRefused, match="greater than max_lora_rank 16") as caught:
        server.load_lora("large", adapter(tmp_path / "large", rank=64))
    assert not caught.value.retryable
    with pytest.raises(ModelRefused, match="No adapter found"):
        server.load_lora("missing", tmp_path / "missing")
    fake.runtime_lora = False
    with pytest.raises(ModelRefused, match="with adapters enabled"):
        server.load_lora("tuned", adapter(tmp_path / "tuned"))


def test_the_name_of_an_adapter_is_part_of_the_cache_key(fake: Fake, tmp_path: Path) -> None:
    server = connect(fake.url)
    server.load_lora("tuned", adapter(tmp_path / "tuned"))
    base = server.model(cache=tmp_path, capabilities=GUIDES)
    tuned = server.model("tuned", cache=tmp_path, capabilities=GUIDES)
    assert base.identity != tuned.identity
    assert base.ask(TEXT).value != tuned.ask(TEXT).value
    assert tuned.ask(TEXT).cached
    base.close()
    tuned.close()


def test_the_key_of_the_cache_does_not_hold_the_address(fake: Fake, tmp_path: Path) -> None:
    with serving(Fake()) as other:
        one, two = model_on(fake, cache=tmp_path), model_on(other, cache=tmp_path)
        one.ask(TEXT)
        assert two.ask(TEXT).cached
        one.close()
        two.close()


def test_a_repeated_run_asks_a_server_nothing_until_its_process_is_another(tmp_path: Path) -> None:
    with serving(Fake(started=1.7e9)) as fake:
        for asked in (4, 4):  # three short questions about what it can do, and the prompt
            model = Model(fake.url, cache=tmp_path)
            assert model.ask(TEXT).value == "You said: Hello there"
            assert model.capabilities.json_schema
            assert len(fake.requests) == asked
        fake.started = 1.8e9
        assert Model(fake.url, cache=tmp_path).ask(TEXT).cached
        assert len(fake.requests) == 7


def test_a_server_that_does_not_say_when_it_started_is_asked_again_what_it_can_do(fake: Fake, tmp_path: Path) -> None:
    for asked in (4, 7):
        Model(fake.url, cache=tmp_path).ask(TEXT)
        assert len(fake.requests) == asked


def test_the_counters_of_the_prefix_cache(fake: Fake) -> None:
    server = connect(fake.url)
    before = server.metrics()
    model = server.model(capabilities=GUIDES)
    for _ in range(3):
        model.ask(TEXT)
    found = server.metrics()
    assert found.prefix_queries > found.prefix_hits > 0
    assert 0 < found.prefix_hit_rate < 1
    assert (found.prompt_tokens, found.generation_tokens, found.requests) == (1200, 34, 3)
    spent = found.since(before)
    assert spent.prefix_queries == found.prefix_queries - before.prefix_queries
    assert spent.prompt_tokens == 0
    assert spent.since(spent).prefix_hit_rate == 0.0


def test_many_threads_meet_one_lazily_connected_model(fake: Fake) -> None:
    model = Model(fake.url)
    values: list[str] = []
    threads = [threading.Thread(target=lambda: values.append(model.ask(TEXT).value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == ["You said: Hello there"] * 8
    assert len(fake.requests) == 8 + 3


def test_an_answer_carries_no_failure_of_its_own_kind(fake: Fake) -> None:
    fake.faults = [Fault(status=500)] * 4
    with pytest.raises(ModelError) as caught:
        model_on(fake, backoff=Backoff(first=0)).ask(TEXT)
    assert type(caught.value) is ModelUnavailable
    assert re.search(r"500.*broken", caught.value.message)
