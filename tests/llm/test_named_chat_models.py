"""From a name to a chat model."""

from __future__ import annotations

import asyncio
import json
import sys
from types import ModuleType
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr

from memagent.errors import InvalidInput, MissingExtra, ModelRefused
from memagent.llm import Capabilities, Model, Prompt, as_model, chat_model
from memagent.llm.chat import ChatWire, _finish, _logprobs, response_format

TEXT: Prompt[str] = Prompt(name="greet", version=1, system="Be kind.", user="Hello")


def test_openais_models_need_no_further_package() -> None:
    found = chat_model("openai:gpt-5-mini", api_key=SecretStr("k"))
    assert isinstance(found, ChatOpenAI)
    assert (found.model_name, found.max_retries) == ("gpt-5-mini", 0)


def test_without_a_key_it_is_refused_and_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelRefused, match="API key"):
        Model("openai:gpt-5-mini").ask(TEXT)


def test_other_providers_need_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("langchain", "langchain.chat_models"):  # another test may have imported the latter
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"memagent\[providers\]"):
        chat_model("anthropic:claude-haiku-4-5")


def played_langchain(init: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("langchain"), ModuleType("langchain.chat_models")
    module.init_chat_model = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain", package)
    monkeypatch.setitem(sys.modules, "langchain.chat_models", module)


def test_a_name_goes_to_langchain_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(name: str, **options: Any) -> BaseChatModel:
        return FakeListChatModel(responses=[f"I am {name} {options}"])

    played_langchain(init, monkeypatch)
    assert str(chat_model("anthropic:claude", top_k=3).invoke("?").text) == "I am anthropic:claude {'top_k': 3}"
    assert as_model("anthropic:claude").ask(TEXT).value == "I am anthropic:claude {}"


def test_what_langchain_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> BaseChatModel:
        raise ImportError("install langchain-anthropic")

    def unknown(name: str) -> BaseChatModel:
        raise ValueError("unsupported provider")

    played_langchain(missing, monkeypatch)
    with pytest.raises(MissingExtra, match="langchain-anthropic"):
        chat_model("anthropic:claude")
    played_langchain(unknown, monkeypatch)
    with pytest.raises(InvalidInput, match="unsupported provider"):
        chat_model("nobody:nothing")


# LangChain models that are not OpenAI's


def test_any_langchain_model_answers_and_is_asked_for_tags() -> None:
    from answer_schemas import YesNo

    asked: Prompt[YesNo] = Prompt(name="judge", version=1, system="Judge.", user="?", answer=YesNo)
    model = Model(FakeListChatModel(responses=["<answer>yes</answer>"]))
    assert model.ask(asked).value.verdict == "yes"
    assert model.capabilities == Capabilities(json_schema=False)


def played(*messages: AIMessage) -> Model:
    return Model(GenericFakeChatModel(messages=iter(messages)))


def test_parts_of_a_reply_are_put_together() -> None:
    parts: list[str | dict[Any, Any]] = [{"type": "text", "text": "One, "}, {"type": "text", "text": "two"}]
    assert played(AIMessage(content=parts)).ask(TEXT).value == "One, two"


def test_tokens_are_taken_from_the_reply_or_estimated() -> None:
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12, "input_token_details": {"cache_read": 4}}
    counted = played(AIMessage(content="Hi", usage_metadata=usage)).ask(TEXT).usage
    assert (counted.input, counted.output, counted.cached, counted.estimated) == (9, 3, 4, False)
    assert played(AIMessage(content="Hi")).ask(TEXT).usage.estimated


class Plays(BaseChatModel):
    """Takes no arguments but those named, and tells what it was given."""

    takes: tuple[str, ...] = ()
    api_key: SecretStr = SecretStr("very-secret")
    timeout: float = 1.0

    @property
    def _llm_type(self) -> str:
        return "plays"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        if set(kwargs) - set(self.takes):
            raise TypeError(f"unexpected keyword argument in {kwargs}")
        own = {name: getattr(self, name) for name in ("num_predict", "temperature", "num_ctx") if hasattr(self, name)}
        said = json.dumps({**own, **kwargs, "stop": stop}, sort_keys=True)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])


class PlaysOllama(Plays):
    num_predict: int | None = None
    temperature: float | None = 0.8
    num_ctx: int = 2048


class PlaysGemini(Plays):
    max_output_tokens: int | None = Field(default=None, alias="max_tokens")
    takes: tuple[str, ...] = ("max_output_tokens", "temperature")


@pytest.mark.parametrize(
    ("chat", "given"),
    [
        (PlaysOllama(), {"num_predict": 9, "temperature": 0.0, "num_ctx": 2048, "stop": ["x"]}),
        (PlaysGemini(), {"max_output_tokens": 9, "temperature": 0.0, "stop": ["x"]}),
    ],
    ids=["ollama", "gemini"],
)
def test_the_limits_of_a_prompt_reach_every_provider_by_its_own_names(chat: BaseChatModel, given: Any) -> None:
    prompt: Prompt[str] = Prompt(name="s", version=1, system="", user="?", max_tokens=9, stop=("x",))
    assert json.loads(Model(chat).ask(prompt).value) == given
    assert json.loads(asyncio.run(Model(chat).aask(prompt)).value) == given
    assert [json.loads(text) for text in Model(chat).stream(prompt)] == [given]


def test_a_model_that_names_no_settings_is_told_apart_by_its_fields() -> None:
    def identity(**options: Any) -> str:
        return ChatWire(PlaysOllama(**options)).identity

    assert identity() == identity(timeout=9.0) == identity(api_key=SecretStr("other"))
    assert "secret" not in identity()
    assert len({identity(), identity(num_ctx=8), identity(temperature=0.1)}) == 3


@pytest.mark.parametrize(
    ("details", "finish"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"done_reason": "stop"}, "stop"),
        ({"finish_reason": "content_filter"}, "filter"),
        ({"finish_reason": "SAFETY"}, "filter"),
        ({"stop_reason": "refusal"}, "filter"),
        ({"finish_reason": None}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_why_a_reply_ended_in_the_words_of_every_provider(details: dict[str, Any], finish: str) -> None:
    assert _finish(details) == finish


def test_a_refusal_beside_the_text_is_one() -> None:
    with pytest.raises(ModelRefused, match="declined"):
        played(AIMessage(content="", additional_kwargs={"refusal": "No."})).ask(TEXT)


def test_log_probabilities_that_are_not_there() -> None:
    assert _logprobs({}) is None
    assert _logprobs({"logprobs": None}) is None
    assert _logprobs({"logprobs": {"content": None}}) is None
    assert _logprobs({"logprobs": {"content": []}}) == ()


def test_a_schemas_name_has_only_the_characters_allowed() -> None:
    assert response_format("sitzung übersicht/2", {})["json_schema"]["name"] == "sitzung__bersicht_2"
    assert response_format("", {})["json_schema"]["name"] == "answer"
    assert len(response_format("x" * 99, {})["json_schema"]["name"]) == 64


def test_the_identity_tells_settings_apart_and_holds_no_key() -> None:
    def identity(**options: Any) -> str:
        return ChatWire(ChatOpenAI(**{"model": "m", "api_key": SecretStr("very-secret"), **options})).identity

    assert identity() == identity()
    assert "very-secret" not in identity()
    assert len({identity(), identity(top_p=0.5), identity(model="n"), identity(seed=1)}) == 4
    assert identity(base_url="http://127.0.0.1:9/v1") == identity()
    passed_on = {"extra_headers": {"Authorization": "Bearer very-secret"}, "x": [{"api_key": "very-secret", "top": 1}]}
    assert "very-secret" not in identity(model_kwargs=passed_on)
    assert '"top": 1' in identity(model_kwargs=passed_on)
