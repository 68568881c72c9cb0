from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from answer_schemas import Summary, YesNo

from memagent.errors import MalformedReply, ModelUnavailable
from memagent.llm import Model, Prompt, Reply, Steps, Usage, adrive, asked, asked_at_once, drive
from memagent.testing import ScriptedModel

if TYPE_CHECKING:
    from typing import assert_type

Drive = Callable[[Steps[Any], Model], Any]


def text(said: str) -> Prompt[str]:
    return Prompt(name="text", version=1, system="", user=said)


def verdict(said: str) -> Prompt[YesNo]:
    return Prompt(name="verdict", version=1, system="", user=said, answer=YesNo)


def in_a_loop(steps: Steps[Any], model: Model) -> Any:
    return asyncio.run(adrive(steps, model))


BOTH_WAYS = pytest.mark.parametrize("run", [drive, in_a_loop], ids=["sync", "async"])


def judged(question: str) -> Steps[tuple[str, str]]:
    answer = yield from asked(text(question))
    judgement = yield from asked(verdict(answer.value))
    return answer.value, judgement.value.verdict


def summarised(parts: list[str]) -> Steps[list[str]]:
    replies: list[Reply[str]] = yield [text(part) for part in parts]
    more = yield from asked_at_once([text(reply.value) for reply in replies])
    none: list[Prompt[str]] = []
    assert (yield from asked_at_once(none)) == []
    return [reply.value for reply in more]


def patient(question: str) -> Steps[str]:
    try:
        reply = yield from asked(verdict(question))
    except MalformedReply as error:
        return f"unclear: {error.reason}"
    return reply.value.verdict


@BOTH_WAYS
def test_a_flow_is_sent_the_replies_to_its_prompts(run: Drive) -> None:
    model = ScriptedModel(["In Lisbon.", YesNo(verdict="yes")])
    assert run(judged("Where?"), model) == ("In Lisbon.", "yes")
    assert [prompt.user for prompt in model.prompts] == ["Where?", "In Lisbon."]


@BOTH_WAYS
def test_several_prompts_are_asked_at_once(run: Drive) -> None:
    model = ScriptedModel(lambda prompt: prompt.user + "!")
    assert run(summarised(["a", "b"]), model) == ["a!!", "b!!"]


@BOTH_WAYS
def test_an_error_of_the_model_is_raised_where_the_flow_yields(run: Drive) -> None:
    assert run(patient("?"), ScriptedModel(["perhaps", "perhaps"])) == "unclear: no JSON"


@BOTH_WAYS
def test_an_error_that_the_flow_does_not_catch_is_the_callers(run: Drive) -> None:
    with pytest.raises(ModelUnavailable):
        run(patient("?"), ScriptedModel([ModelUnavailable("down")], retries=0))


@BOTH_WAYS
def test_a_flow_is_closed_after_a_bug(run: Drive) -> None:
    trail: list[str] = []

    def flow() -> Steps[None]:
        try:
            yield text("?")
        finally:
            trail.append("left")

    def broken(prompt: Prompt[Any]) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(flow(), ScriptedModel(broken))
    assert trail == ["left"]


@BOTH_WAYS
def test_a_flow_that_asks_nothing(run: Drive) -> None:
    def nothing(known: int | None) -> Steps[int]:
        if known is None:
            yield text("never")
        return known or 0

    assert run(nothing(5), ScriptedModel([])) == 5


def test_answers_have_their_types() -> None:
    """Checked by the type checker; nothing of it runs."""
    if TYPE_CHECKING:
        model = ScriptedModel([])
        assert_type(model.ask(verdict("?")), Reply[YesNo])
        assert_type(model.ask(text("?")).value, str)
        assert_type(model.ask_many([verdict("?")]), list[Reply[YesNo]])
        assert_type(drive(judged("?"), model), tuple[str, str])
        plain: Prompt[Summary] = Prompt(name="s", version=1, system="", user="", answer=Summary)
        assert_type(model.ask(plain).value.summary, str)


def test_a_prompt_may_be_made_with_its_type() -> None:
    prompt = Prompt[YesNo](name="p", version=1, system="", user="?", answer=YesNo)
    assert Reply[str](value="x", text="x", usage=Usage(), cached=False, attempts=1).value == "x"
    assert ScriptedModel([YesNo(verdict="no")]).ask(prompt).value.verdict == "no"
    with pytest.raises(AttributeError):
        prompt.user = "!"  # type: ignore[misc]
