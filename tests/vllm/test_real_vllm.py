"""VLLMServer and Model with a real vLLM and a small model, on the CPU.

Needs what tests/vllm/prepare.py builds, in the places where it builds it or in those that the variable
MEMAGENT_VLLM_PLACES names (the JSON that prepare.py prints). One server serves all tests; it is killed in the last one.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import memagent.prompts
from memagent.errors import ModelRefused, ModelUnavailable
from memagent.llm import Model, Prompt, VLLMServer
from memagent.llm.loose_json import read_value

BUILD = Path(__file__).parents[2] / "build"
PLACES = {"env": "vllm-env", "model": "vllm-model", "adapter": "vllm-adapter"}

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


@pytest.fixture(scope="session")
def places() -> dict[str, Path]:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("the tests against a real vLLM run alone: pytest tests/vllm")
    given = json.loads(os.environ.get("MEMAGENT_VLLM_PLACES", "{}"))
    found = {name: Path(given.get(name, BUILD / folder)) for name, folder in PLACES.items()}
    ready = found["env"] / ".ready"
    if not ready.is_file() or not all(place.is_dir() for place in found.values()):
        pytest.skip("no vLLM is prepared here: python tests/vllm/prepare.py does, where it can be installed")
    return found


@pytest.fixture(scope="session")
def server(places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    with VLLMServer(
        places["model"],
        name="tiny",
        lora={},
        max_lora_rank=8,
        max_model_len=4096,
        python=places["env"],
        log=log,
        extra_args=["--enable-prompt-tokens-details"],
    ) as started:
        yield started


@pytest.fixture(scope="session")
def model(server: VLLMServer) -> Model:
    return server.model(timeout=600.0)


def test_it_says_what_it_is_and_what_it_can_do(server: VLLMServer) -> None:
    assert server.interpreter is not None
    assert server.server.version() == server.interpreter.version
    assert server.server.models() == ["tiny"]
    found = server.capabilities
    assert (found.json_schema, found.logprobs, found.lora, found.vision) == (True, True, True, False)
    assert found.max_model_len == 4096


def test_it_answers(model: Model) -> None:
    reply = model.ask(FRANCE)
    assert reply.value
    assert 1 < reply.usage.output <= 16
    assert not reply.usage.estimated


def test_it_streams(model: Model) -> None:
    pieces = list(model.stream(FRANCE))
    assert len(pieces) > 3
    assert "".join(pieces).strip() == model.ask(FRANCE).value

    async def gathered() -> str:
        return "".join([piece async for piece in model.astream(FRANCE)])

    assert asyncio.run(gathered()) == "".join(pieces)
    assert not model.meter.totals().usage.estimated


@pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema.__name__)
def test_it_is_held_to_the_schemas_of_all_prompts(model: Model, schema: type[BaseModel]) -> None:
    asked: Prompt[Any] = Prompt(
        name="schema",
        version=1,
        system="Answer with a short JSON object. Every text in it has at most five words.",
        user="Ann said on 8 May 2023: I moved to Lisbon yesterday, and I like tea.",
        answer=schema,
        max_tokens=48,
    )
    # A small model may go on for ever inside a text: then what there is of its reply is the beginning of an answer.
    found = model.outcomes([asked])[0]
    if isinstance(found, Exception):
        assert getattr(found, "reason", None) == "truncated", found
        keys = list(schema.model_fields)
        text = getattr(found, "text", "")
        assert text.lstrip().startswith("{")
        assert f'"{keys[0]}"' in text
    else:
        assert isinstance(found.value, schema)
        assert found.attempts == 2 or not found.repairs
        assert isinstance(read_value(found.text.strip())[0], dict)


def test_log_probabilities(model: Model) -> None:
    scored: Prompt[str] = Prompt(name="l", version=1, system="", user="Say yes or no.", max_tokens=3, logprobs=5)
    reply = model.ask(scored)
    assert reply.logprobs is not None
    assert 1 <= len(reply.logprobs) <= 3
    for token in reply.logprobs:
        assert token.logprob <= 0
        assert 5 <= len(token.top) <= 6
        assert [score for _, score in token.top] == sorted((score for _, score in token.top), reverse=True)


def test_an_adapter_is_loaded_used_and_unloaded(server: VLLMServer, model: Model, places: dict[str, Path]) -> None:
    before = model.ask(FRANCE).value
    server.load_lora("random", places["adapter"])
    assert server.server.adapters() == ["random"]
    tuned = server.model("random", capabilities=model.capabilities, timeout=600.0)
    assert tuned.ask(FRANCE).value != before
    assert model.ask(FRANCE).value == before
    with pytest.raises(ModelRefused, match="already been loaded"):
        server.load_lora("random", places["adapter"])
    server.load_lora("random", places["adapter"], replace=True)
    server.unload_lora("random")
    assert server.server.adapters() == []
    with pytest.raises(ModelRefused, match="404"):
        tuned.ask(FRANCE)
    with pytest.raises(ModelRefused, match="404"):
        server.load_lora("missing", places["model"].parent / "missing")


def numbered(count: int) -> list[Prompt[str]]:
    return [
        Prompt(name="n", version=1, system="", user=f"Name a town in country number {n}.", max_tokens=8)
        for n in range(count)
    ]


def test_sixteen_at_once(model: Model) -> None:
    for replies in (model.ask_many(numbered(16)), asyncio.run(model.aask_many(numbered(16)))):
        assert len(replies) == 16
        assert all(1 <= reply.usage.output <= 8 for reply in replies)


def test_the_prefix_cache_serves_the_shared_part(server: VLLMServer, model: Model) -> None:
    asked = [Prompt[str](name="p", version=1, system=LONG, user=f"Who is number {n}?", max_tokens=2) for n in range(4)]
    before = server.metrics()
    replies = [model.ask(prompt) for prompt in asked]
    spent = server.metrics().since(before)
    assert spent.prefix_queries == sum(reply.usage.input for reply in replies)
    assert spent.prefix_hit_rate > 0.4
    assert replies[0].usage.cached == 0
    assert all(reply.usage.cached >= 128 for reply in replies[1:])


def test_too_long_a_prompt_is_refused(model: Model) -> None:
    with pytest.raises(ModelRefused, match="maximum context length"):
        model.ask(Prompt[str](name="l", version=1, system="", user="word " * 5000))


def test_a_server_killed_in_the_middle_and_the_run_resumed(server: VLLMServer, model: Model, tmp_path: Path) -> None:
    def run() -> Model:
        capabilities = model.capabilities
        return server.model(cache=tmp_path, capabilities=capabilities, timeout=600.0, retries=0, concurrency=2)

    first = run()
    group = server._group
    assert group is not None

    def kill() -> None:
        while first.meter.totals().calls < 4:
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ModelUnavailable) as caught:
        first.ask_many(numbered(32))
    killer.join()
    assert caught.value.retryable
    done = first.meter.totals().calls
    assert 4 <= done < 32
    first.close()
    server.stop()
    server.start()
    second = run()
    assert len(second.ask_many(numbered(32))) == 32
    assert (second.meter.totals().cached, second.meter.totals().calls) == (done, 32 - done)
    second.close()
