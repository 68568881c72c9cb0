"""VLLMServer and Model with a real vLLM and a small model, on the CPU; tests/real_vllm.py has the fixtures."""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import memagent.prompts
from memagent.errors import MalformedReply, ModelRefused, ModelUnavailable
from memagent.llm import Model, Prompt, Reply, VLLMServer, connect

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

LONG = " ".join(f"Rule {n}: answer in plain words, and never make up what was not said." for n in range(40))
FRANCE: Prompt[str] = Prompt(name="q", version=1, system="", user="What is the capital of France?", max_tokens=16)


def schemas() -> list[type[BaseModel]]:
    """Every answer that a prompt of the package may have, and the parts of answers."""
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.iter_modules(memagent.prompts.__path__, "memagent.prompts."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.name:
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]


def numbered(count: int, max_tokens: int = 8) -> list[Prompt[str]]:
    return [
        Prompt(name="n", version=1, system="", user=f"Name a town in country number {n}.", max_tokens=max_tokens)
        for n in range(count)
    ]


def test_it_says_what_it_is_and_what_it_can_do(vllm_server: VLLMServer) -> None:
    assert vllm_server.interpreter is not None
    assert vllm_server.server.version() == vllm_server.interpreter.version
    assert vllm_server.server.models() == ["tiny"]
    found = vllm_server.capabilities
    assert (found.json_schema, found.logprobs, found.lora, found.vision) == (True, True, True, False)
    assert found.max_model_len == 4096
    assert connect(vllm_server.url).capabilities == found


def test_it_answers(vllm_model: Model) -> None:
    reply = vllm_model.ask(FRANCE)
    assert reply.value
    assert 1 < reply.usage.output <= 16
    assert not reply.usage.estimated


def test_a_chat_model_of_langchain_talks_to_it(vllm_server: VLLMServer) -> None:
    chat = vllm_server.chat_model(max_tokens=16, temperature=0.0)
    said = [("system", "Answer in one sentence."), ("human", "What is the capital of France?")]
    answer = chat.invoke(said)
    assert str(answer.text)
    assert answer.response_metadata["model_name"] == "tiny"


def test_it_streams(vllm_model: Model) -> None:
    pieces = list(vllm_model.stream(FRANCE))
    assert len(pieces) > 3
    assert "".join(pieces).strip() == vllm_model.ask(FRANCE).value

    async def gathered() -> str:
        return "".join([piece async for piece in vllm_model.astream(FRANCE)])

    assert asyncio.run(gathered()) == "".join(pieces)
    assert not vllm_model.meter.totals().usage.estimated


def shortened(schema: Any) -> Any:
    """The same schema with short texts, numbers and lists, so that a small model comes to an end."""
    if isinstance(schema, list):
        return [shortened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: shortened(part) for name, part in schema.items()}
    if found.get("type") == "string" and not {"enum", "const", "format", "pattern"} & set(found):
        found["maxLength"] = 12
    if found.get("type") == "integer":
        found = {"minimum": 0, "maximum": 99} | found
    if found.get("type") == "array":
        found["maxItems"] = max(1, found.get("minItems", 1))
    return found


def structured(schema: type[BaseModel], max_tokens: int) -> Prompt[Any]:
    return Prompt(
        name="schema",
        version=1,
        system="Answer with a short JSON object.",
        user="Ann said on 8 May 2023: I moved to Lisbon yesterday, and I like tea.",
        answer=schema,
        max_tokens=max_tokens,
    )


@pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema.__name__)
def test_it_is_held_to_the_schemas_of_all_prompts(vllm_model: Model, schema: type[BaseModel]) -> None:
    class Short(schema):  # type: ignore[valid-type, misc]  # mypy knows no class that is a variable
        @classmethod
        def model_json_schema(cls, *arguments: Any, **options: Any) -> Any:
            return shortened(schema.model_json_schema())

    reply = vllm_model.ask(structured(Short, 200))
    assert isinstance(reply.value, schema)
    assert (reply.attempts, reply.repairs) == (1, ())
    # The schema as it is: a small model may go on for ever inside a text, but begins as it must.
    begun = vllm_model.outcomes([structured(schema, 12)])[0]
    assert isinstance(begun, Reply | MalformedReply)
    assert re.match(rf'\{{\s*"({"|".join(schema.model_fields)})"', begun.text)
    assert isinstance(begun, Reply) or begun.reason == "truncated"


def test_log_probabilities(vllm_model: Model) -> None:
    scored: Prompt[str] = Prompt(name="l", version=1, system="", user="Say yes or no.", max_tokens=3, logprobs=5)
    reply = vllm_model.ask(scored)
    assert reply.logprobs is not None
    assert 1 <= len(reply.logprobs) <= 3
    for token in reply.logprobs:
        assert token.logprob <= 0
        assert 5 <= len(token.top) <= 6
        assert [score for _, score in token.top] == sorted((score for _, score in token.top), reverse=True)


def test_an_adapter_is_loaded_used_and_unloaded(
    vllm_server: VLLMServer, vllm_model: Model, vllm_places: dict[str, Path]
) -> None:
    adapter = vllm_places["adapter"]
    before = vllm_model.ask(FRANCE).value
    vllm_server.load_lora("random", adapter)
    assert vllm_server.server.adapters() == ["random"]
    tuned = vllm_server.model("random", capabilities=vllm_model.capabilities, timeout=600.0)
    assert tuned.ask(FRANCE).value != before
    assert vllm_model.ask(FRANCE).value == before
    with pytest.raises(ModelRefused, match="already been loaded"):
        vllm_server.load_lora("random", adapter)
    vllm_server.load_lora("random", adapter, replace=True)
    vllm_server.unload_lora("random")
    assert vllm_server.server.adapters() == []
    with pytest.raises(ModelRefused, match="404"):
        tuned.ask(FRANCE)
    with pytest.raises(ModelRefused, match="404"):
        vllm_server.load_lora("missing", adapter.parent / "missing")


def test_sixteen_calls_of_ask_are_served_at_once(vllm_server: VLLMServer, vllm_model: Model) -> None:
    most = 0.0
    over = threading.Event()

    def look() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, vllm_server.metrics().counters["vllm:num_requests_running"])
            time.sleep(0.05)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(vllm_model.ask, numbered(16, max_tokens=64)))
    finally:
        over.set()
        looking.join()
    assert len(replies) == 16
    assert all(1 <= reply.usage.output <= 64 for reply in replies)
    assert most > 8
    assert vllm_model.meter.totals().calls == 16


def test_lists_of_prompts_are_asked_at_once(vllm_model: Model) -> None:
    for replies in (vllm_model.ask_many(numbered(16)), asyncio.run(vllm_model.aask_many(numbered(16)))):
        assert len(replies) == 16
        assert all(1 <= reply.usage.output <= 8 for reply in replies)


def test_the_prefix_cache_serves_the_shared_part(vllm_server: VLLMServer, vllm_model: Model) -> None:
    asked = [Prompt[str](name="p", version=1, system=LONG, user=f"Who is number {n}?", max_tokens=2) for n in range(4)]
    before = vllm_server.metrics()
    replies = [vllm_model.ask(prompt) for prompt in asked]
    spent = vllm_server.metrics().since(before)
    assert spent.prefix_queries == sum(reply.usage.input for reply in replies)
    assert spent.prefix_hit_rate > 0.4
    assert replies[0].usage.cached == 0
    assert all(reply.usage.cached >= 128 for reply in replies[1:])


def test_too_long_a_prompt_is_refused(vllm_model: Model) -> None:
    with pytest.raises(ModelRefused, match="maximum context length"):
        vllm_model.ask(Prompt[str](name="l", version=1, system="", user="word " * 5000))


def test_a_server_killed_in_the_middle_and_the_run_resumed(
    vllm_server: VLLMServer, vllm_model: Model, tmp_path: Path
) -> None:
    def run() -> Model:
        capabilities = vllm_model.capabilities
        return vllm_server.model(cache=tmp_path, capabilities=capabilities, timeout=600.0, retries=0, concurrency=2)

    first = run()
    group = vllm_server._group
    assert group is not None

    def kill() -> None:
        while first.meter.totals().calls < 4:
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(ModelUnavailable, match=r"connection|reached") as caught:
        first.ask_many(numbered(32))
    killer.join()
    assert caught.value.retryable
    assert "server" in caught.value.hint
    done = first.meter.totals().calls
    assert 4 <= done < 32
    first.close()
    vllm_server.stop()
    vllm_server.start()
    second = run()
    assert len(second.ask_many(numbered(32))) == 32
    assert (second.meter.totals().cached, second.meter.totals().calls) == (done, 32 - done)
    second.close()
