from __future__ import annotations

import asyncio
import dataclasses
import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answer_schemas import Keywords, Verdict, YesNo

from memagent.errors import (
    BudgetExceeded,
    InvalidInput,
    MalformedReply,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    StoreUnavailable,
)
from memagent.llm import Backoff, Budget, Meter, Model, Prices, Prompt, Reply, Usage, as_model
from memagent.llm.reply import Raw
from memagent.llm.request import Request
from memagent.llm.retry import Failure
from memagent.llm.tally import Tally, tally
from memagent.llm.wire import Capabilities
from memagent.testing import FakeClock, ScriptedModel

TEXT: Prompt[str] = Prompt(name="greet", version=1, system="Be kind.", user="Hello", max_tokens=10)
ASKED: Prompt[YesNo] = Prompt(name="judge", version=2, system="Judge.", user="Is it so?", answer=YesNo, max_tokens=20)

Ask = Callable[[Model, Prompt[Any]], Reply[Any]]


def in_a_loop(model: Model, prompt: Prompt[Any]) -> Reply[Any]:
    return asyncio.run(model.aask(prompt))


BOTH_WAYS = pytest.mark.parametrize("ask", [Model.ask, in_a_loop], ids=["sync", "async"])


@BOTH_WAYS
def test_a_text_comes_back_as_it_is(ask: Ask) -> None:
    reply = ask(ScriptedModel(["  Hi there.\n"]), TEXT)
    assert (reply.value, reply.text) == ("Hi there.", "  Hi there.\n")
    assert (reply.attempts, reply.cached, reply.truncated, reply.repairs) == (1, False, False, ())
    assert reply.usage == Usage(input=3, output=2)


@BOTH_WAYS
def test_thoughts_are_no_part_of_a_text(ask: Ask) -> None:
    assert ask(ScriptedModel(["<think>Who?</think>\n\nHi."]), TEXT).value == "Hi."


@BOTH_WAYS
def test_a_text_that_was_cut_off_says_so(ask: Ask) -> None:
    assert ask(ScriptedModel([Raw(text="Hi the", finish="length")]), TEXT).truncated


@BOTH_WAYS
def test_an_answer_is_of_its_type(ask: Ask) -> None:
    assert ask(ScriptedModel([YesNo(verdict="yes")]), ASKED).value == YesNo(verdict="yes")


def test_a_server_that_guides_is_sent_the_schema_and_the_prompt_alone() -> None:
    model = ScriptedModel(['{"verdict": "no"}'])
    assert model.ask(ASKED).value.verdict == "no"
    (request,) = model.requests
    assert request.schema == YesNo.model_json_schema()
    assert request.turns == (("system", "Judge."), ("user", "Is it so?"))


def test_a_server_that_does_not_is_asked_for_tags() -> None:
    model = ScriptedModel(['<answer>{"verdict": "no"}</answer>'], guided=False)
    assert model.ask(ASKED).repairs == ()
    (request,) = model.requests
    assert request.schema is None
    system = dict(request.turns)["system"]
    assert system == ASKED.system_for(guided=False)
    assert system.startswith("Judge.")
    assert "<answer>" in system
    assert '"enum":["yes","no"]' in system


@BOTH_WAYS
def test_a_server_that_turns_out_to_refuse_schemas_is_asked_for_tags_from_then_on(ask: Ask) -> None:
    refusal = ModelRefused("response_format is not supported")
    model = ScriptedModel([refusal, "<answer>yes</answer>", "<answer>no</answer>"], guided=None)
    assert ask(model, ASKED).value.verdict == "yes"
    assert ask(model, ASKED).value.verdict == "no"
    assert [request.schema is None for request in model.requests] == [False, True, True]


@BOTH_WAYS
def test_a_server_that_serves_us_nothing_is_not_asked_again_without_a_schema(ask: Ask) -> None:
    model = ScriptedModel([ModelDenied("wrong key")] * 2, guided=None)
    with pytest.raises(ModelDenied):
        ask(model, ASKED)
    assert model.left == 1


def test_a_prompt_that_is_refused_either_way_says_nothing_about_schemas() -> None:
    too_long = ModelRefused("too long")
    model = ScriptedModel([too_long, too_long, '{"verdict": "yes"}'], guided=None)
    with pytest.raises(ModelRefused):
        model.ask(ASKED)
    assert model.ask(ASKED).value.verdict == "yes"
    assert model.requests[-1].schema is not None


@BOTH_WAYS
def test_a_malformed_reply_is_shown_to_the_model_once(ask: Ask) -> None:
    model = ScriptedModel(['{"verdict": "perhaps"}', '{"verdict": "no"}'])
    reply = ask(model, ASKED)
    assert (reply.value.verdict, reply.attempts) == ("no", 2)
    first, second = model.requests
    assert second.turns[:2] == first.turns
    assert second.turns[2] == ("assistant", '{"verdict": "perhaps"}')
    assert "verdict: Input should be 'yes' or 'no'" in second.turns[3][1]
    assert second.max_tokens == first.max_tokens
    assert reply.usage == Usage(input=sum(len(one.text.split()) for one in model.requests), output=2 + 2)
    assert model.meter.totals().malformed == {"unknown value": 1}


@BOTH_WAYS
def test_a_second_malformed_reply_is_an_error(ask: Ask) -> None:
    model = ScriptedModel(["perhaps", ""])
    with pytest.raises(MalformedReply, match="judge/2: no usable answer") as caught:
        ask(model, ASKED)
    assert (caught.value.reason, caught.value.text, caught.value.retryable) == ("empty", "", False)
    totals = model.meter.totals()
    assert totals.malformed == {"no JSON": 1, "empty": 1}
    assert totals.failed == {"MalformedReply": 1}


def test_after_a_truncated_reply_there_is_more_room() -> None:
    cut = Raw(text='{"verdict": ', finish="length")
    model = ScriptedModel([cut, '{"verdict": "no"}'])
    assert model.ask(ASKED).value.verdict == "no"
    assert [request.max_tokens for request in model.requests] == [20, 40]
    assert "cut off" in model.requests[1].turns[3][1]


def test_a_reply_that_looks_whole_but_was_cut_off_is_not_taken() -> None:
    prompt: Prompt[Keywords] = Prompt(name="k", version=1, system="", user="?", answer=Keywords)
    cut = Raw(text='{"keywords": ["tea", "Lisbon"', finish="length")
    model = ScriptedModel([cut, '{"keywords": ["tea", "Lisbon", "May"]}'])
    assert model.ask(prompt).value.keywords == ["tea", "Lisbon", "May"]


def test_a_second_try_that_is_too_long_for_the_model_leaves_the_first_problem() -> None:
    model = ScriptedModel(["perhaps " * 9000, ModelRefused("too long")])
    with pytest.raises(MalformedReply, match="no JSON"):
        model.ask(ASKED)
    assert len(model.requests[1].turns[2][1]) < 2100


def test_a_reply_that_the_model_declined_is_refused() -> None:
    with pytest.raises(ModelRefused, match="declined"):
        ScriptedModel([Raw(text="", finish="filter")]).ask(TEXT)


@BOTH_WAYS
def test_what_had_to_be_mended_is_counted(ask: Ask) -> None:
    model = ScriptedModel(['```json\n{"Verdict": "Yes",}\n```'])
    assert ask(model, ASKED).repairs == ("fence", "key name", "trailing comma", "wrong type")
    assert set(model.meter.totals().repaired) == {"fence", "key name", "trailing comma", "wrong type"}


# Retries


@BOTH_WAYS
def test_failures_that_may_pass_are_tried_again_after_growing_waits(ask: Ask) -> None:
    clock = FakeClock()
    replies: list[Any] = [ModelUnavailable("down"), ModelTimeout("slow"), ModelUnavailable("down"), "Hi."]
    model = ScriptedModel(replies, clock=clock, backoff=Backoff(random=lambda: 1.0))
    assert ask(model, TEXT).value == "Hi."
    assert clock.slept == [0.5, 1.0, 2.0]
    assert model.meter.totals().retried == {"ModelUnavailable": 2, "ModelTimeout": 1}
    assert model.meter.totals().calls == 1


@BOTH_WAYS
def test_after_so_many_tries_the_failure_is_the_callers(ask: Ask) -> None:
    model = ScriptedModel([ModelUnavailable("down")] * 9, retries=2)
    with pytest.raises(ModelUnavailable, match="down") as caught:
        ask(model, TEXT)
    assert caught.value.retryable
    assert model.left == 6
    assert model.meter.totals().failed == {"ModelUnavailable": 1}
    assert model.meter.totals().calls == 0


@BOTH_WAYS
@pytest.mark.parametrize("error", [ModelRefused("no key"), ModelError("odd")])
def test_other_failures_are_not_tried_again(ask: Ask, error: ModelError) -> None:
    model = ScriptedModel([error] * 2)
    with pytest.raises(type(error)):
        ask(model, TEXT)
    assert model.left == 1


# Meter and budget


def test_the_meter_is_right() -> None:
    prices = Prices(input=2.0, output=10.0, cached=1.0)
    usage = Usage(input=1000, output=100, cached=400)
    model = ScriptedModel([Raw(text="a", usage=usage), Raw(text="b", usage=usage), '{"verdict": "no"}'], prices=prices)
    model.ask_many([TEXT, TEXT])
    model.ask(ASKED)
    totals = model.meter.totals()
    assert totals.calls == 3
    assert totals.usage == Usage(input=2004, output=202, cached=800)
    assert totals.by_prompt == {"greet/1": 2, "judge/2": 1}
    assert totals.cost == pytest.approx((2 * (600 * 2 + 400 * 1 + 100 * 10) + 4 * 2 + 2 * 10) / 1e6)
    assert totals.as_dict()["input_tokens"] == 2004


def test_the_time_of_calls_is_measured_without_the_waits() -> None:
    clock = FakeClock()

    def slow(prompt: Prompt[Any]) -> str:
        clock.time += 2.5
        return "Hi."

    model = ScriptedModel(slow, clock=clock)
    model.ask(TEXT)
    model.ask(TEXT)
    assert model.meter.totals().seconds == 5.0


@BOTH_WAYS
def test_a_budget_of_calls_stops_before_the_call_that_exceeds_it(ask: Ask) -> None:
    model = ScriptedModel(["a", "b", "c"], budget=Budget(calls=2))
    ask(model, TEXT)
    ask(model, TEXT)
    with pytest.raises(BudgetExceeded, match="budget of 2 calls"):
        ask(model, TEXT)
    assert (len(model.requests), model.left) == (2, 1)


def test_a_budget_of_tokens_counts_what_the_next_call_may_take() -> None:
    usage = Usage(input=50, output=10)
    model = ScriptedModel([Raw(text="a", usage=usage)] * 9, budget=Budget(tokens=200))
    with pytest.raises(BudgetExceeded, match="tokens"):
        model.ask_many([TEXT] * 9)
    assert len(model.requests) == 3
    assert model.meter.totals().usage.input + model.meter.totals().usage.output <= 200


def test_a_budget_of_money() -> None:
    usage = Usage(input=1000, output=10)
    prices = Prices(input=1000.0, output=1000.0)
    long: Prompt[str] = Prompt(name="long", version=1, system="", user="word " * 800, max_tokens=10)
    model = ScriptedModel([Raw(text="a", usage=usage)] * 9, budget=Budget(cost=2.5), prices=prices)
    with pytest.raises(BudgetExceeded, match="cost"):
        model.ask_many([long] * 9)
    assert model.meter.totals().cost == pytest.approx(2.02)
    with pytest.raises(InvalidInput, match="needs prices"):
        ScriptedModel(["a"], budget=Budget(cost=1.0)).ask(TEXT)


def test_a_budget_counts_a_schema_that_the_server_may_put_into_the_prompt() -> None:
    schema = len(str(YesNo.model_json_schema())) // 3
    free = ScriptedModel(["<answer>yes</answer>"], guided=False, budget=Budget(tokens=2000))
    free.ask(ASKED)
    plain = ASKED.max_tokens + 32 + len("Judge.\nIs it so?") // 3 + 1
    with pytest.raises(BudgetExceeded):
        ScriptedModel(['{"verdict": "no"}'], budget=Budget(tokens=plain + schema // 2)).ask(ASKED)
    enough = ScriptedModel(['{"verdict": "no"}'], budget=Budget(tokens=plain + 2 * schema))
    assert enough.ask(ASKED).value.verdict == "no"


@pytest.mark.parametrize("price", [{"input": -1.0}, {"output": float("nan")}, {"cached": float("inf")}])
def test_prices_that_cannot_be_are_refused(price: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="price of"):
        Prices(**({"input": 1.0, "output": 1.0} | price))


def test_a_budget_is_not_charged_for_calls_that_failed() -> None:
    model = ScriptedModel([ModelRefused("no"), ModelRefused("no"), "a"], budget=Budget(calls=1))
    for _ in range(2):
        with pytest.raises(ModelRefused):
            model.ask(TEXT)
    assert model.ask(TEXT).value == "a"


def test_a_budget_holds_for_calls_at_once() -> None:
    def slow(prompt: Prompt[Any]) -> str:
        time.sleep(0.01)
        return "Hi."

    model = ScriptedModel(slow, budget=Budget(calls=5), concurrency=8)
    found = model.outcomes([TEXT] * 20)
    assert sum(isinstance(one, Reply) for one in found) == 5
    assert sum(isinstance(one, BudgetExceeded) for one in found) == 15
    assert len(model.requests) == 5


def test_one_meter_serves_several_models() -> None:
    meter = Meter(Budget(calls=3))
    reader, judge = ScriptedModel(["a", "b"], meter=meter), ScriptedModel(["c", "d"], meter=meter)
    reader.ask(TEXT)
    judge.ask(TEXT)
    reader.ask(TEXT)
    with pytest.raises(BudgetExceeded):
        judge.ask(TEXT)
    assert meter.totals().calls == 3


def test_a_part_of_a_run_is_counted_apart_in_the_budget_of_the_whole_and_in_its_own(tmp_path: Path) -> None:
    whole = Meter(Budget(calls=4))
    own, other = Meter(Budget(calls=2), within=whole), Meter(within=whole)
    reader = ScriptedModel(["a", "b", "perhaps", ""], meter=own, cache=tmp_path)
    judge = ScriptedModel(["c", "d", "e"], meter=other)
    with tally() as told:
        reader.ask(TEXT)
        reader.ask(TEXT)
    assert (told.calls, told.cached) == (1, 1)  # not once for each meter
    reader.ask(Prompt(name="x", version=1, system="", user="else"))
    with pytest.raises(BudgetExceeded, match="budget of 2 calls"):
        reader.ask(Prompt(name="x", version=1, system="", user="more"))
    judge.ask(TEXT)
    judge.ask(TEXT)  # what the reader was refused is not held in the whole
    with pytest.raises(BudgetExceeded, match="budget of 4 calls"):
        judge.ask(TEXT)
    totals = whole.totals()
    assert (totals.calls, totals.cached, own.totals().calls, other.totals().calls) == (4, 1, 2, 2)
    assert totals.usage == own.totals().usage + other.totals().usage
    refusing = ScriptedModel([ModelRefused("no")], meter=Meter(within=Meter(Budget(calls=1))))
    with pytest.raises(ModelRefused):
        refusing.ask(TEXT)
    assert refusing.meter.totals().failed
    reader.close()


@pytest.mark.parametrize("limit", [{"calls": -1}, {"tokens": -5}, {"cost": float("nan")}])
def test_a_budget_below_nothing_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Budget(**limit)


# Tallies


@BOTH_WAYS
def test_a_tally_counts_what_is_used_inside_it_also_where_it_came_to_nothing(ask: Ask, tmp_path: Path) -> None:
    model = ScriptedModel(["Hi.", "perhaps", "", "no more"], cache=tmp_path)
    ask(model, TEXT)
    with tally() as outer:
        ask(model, TEXT)
        with tally() as inner, pytest.raises(MalformedReply):
            ask(model, ASKED)
    assert (outer.calls, outer.cached) == (2, 1)
    assert (inner.calls, inner.cached) == (2, 0)
    assert inner.usage.output == 1
    assert outer.usage == inner.usage + Usage(input=3, output=1)
    assert tally_of(model).calls == 1  # each has its own
    model.close()


def tally_of(model: Model) -> Tally:
    with tally() as made:
        model.ask(Prompt(name="x", version=1, system="", user="else"))
    return made


def test_a_tally_counts_the_calls_of_threads_and_tasks_begun_in_it() -> None:
    model = ScriptedModel(lambda prompt: "Hi.")
    with tally() as counted:
        model.ask_many(numbered(5))
        asyncio.run(model.aask_many(numbered(5)))
    assert (counted.calls, counted.usage.output) == (10, 10)


# Room for thoughts


def test_a_model_that_thinks_has_room_for_it_beside_each_answer(tmp_path: Path) -> None:
    model = ScriptedModel(["<think>Hm.</think>Hi.", "Hi."], thinking_tokens=500, cache=tmp_path)
    assert model.ask(TEXT).value == "Hi."
    assert model.requests[0].max_tokens == TEXT.max_tokens + 500
    other = ScriptedModel(["Hi."], cache=tmp_path)
    assert not other.ask(TEXT).cached
    assert model.identity != other.identity
    assert list(model.stream(TEXT)) == ["Hi."]  # the cached one
    model.close()
    other.close()


@pytest.mark.parametrize(("window", "left"), [(4096, 3596), (400, 0), (None, None)])
def test_the_window_is_what_thoughts_leave(window: int | None, left: int | None) -> None:
    able = Capabilities(max_model_len=window)
    assert Model(AsyncWatched(able=able), thinking_tokens=500).window == left


# Many at once


def numbered(count: int) -> list[Prompt[str]]:
    return [Prompt(name="n", version=1, system="", user=str(number)) for number in range(count)]


class Watched:
    """Answers with the prompt, and notes how many did so at once.

    The first calls wait until ``wanted`` are under way, however late some of them begin.
    """

    def __init__(self, fails: int | None = None, wanted: int = 1) -> None:
        self.lock = threading.Lock()
        self.running = self.most = 0
        self.fails = fails
        self.wanted = wanted
        self.together = threading.Event()

    def __call__(self, prompt: Prompt[Any]) -> str | ModelError:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.most >= self.wanted:
                self.together.set()
        self.together.wait(60)
        time.sleep(0.02)
        with self.lock:
            self.running -= 1
        return ModelRefused(f"not {prompt.user}") if prompt.user == str(self.fails) else f"<{prompt.user}>"


def test_many_are_asked_at_once_but_never_more_than_allowed() -> None:
    watched = Watched(wanted=4)
    model = ScriptedModel(watched, concurrency=4)
    assert [reply.value for reply in model.ask_many(numbered(24))] == [f"<{number}>" for number in range(24)]
    assert watched.most == 4


def test_the_bound_holds_for_all_threads_of_the_caller() -> None:
    watched = Watched(wanted=3)
    model = ScriptedModel(watched, concurrency=3)
    threads = [threading.Thread(target=model.ask_many, args=(numbered(6),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watched.most == 3


class AsyncWatched:
    """A wire that notes how many of its calls are under way."""

    identity = "watched"

    def __init__(self, fails: str | None = None, able: Capabilities | None = None, pause: float = 0.01) -> None:
        self.capabilities = able or Capabilities(json_schema=True)
        self.running = self.most = self.finished = 0
        self.fails = fails
        self.pause = pause

    def send(self, request: Request, timeout: float | None) -> Raw:
        raise NotImplementedError

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.pause)
        self.running -= 1
        if request.prompt.user == self.fails:
            raise StoreUnavailable("something of our own")
        self.finished += 1
        return Raw(text=f"<{request.prompt.user}>")

    def stream(self, request: Request, timeout: float | None) -> Any:
        raise NotImplementedError

    def astream(self, request: Request, timeout: float | None) -> Any:
        raise NotImplementedError


def test_many_tasks_are_bounded_in_every_loop() -> None:
    wire = AsyncWatched()
    model = Model(wire, concurrency=4)

    async def twice() -> tuple[list[Reply[str]], list[Reply[str]]]:
        return await asyncio.gather(model.aask_many(numbered(9)), model.aask_many(numbered(9)))

    for _ in range(2):
        first, second = asyncio.run(twice())
        assert [reply.value for reply in first] == [reply.value for reply in second] == [f"<{n}>" for n in range(9)]
    assert wire.most == 4


def test_loops_that_have_ended_are_not_kept() -> None:
    model = Model(AsyncWatched(), concurrency=1)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await model.aask_many(numbered(3))
        await asyncio.gather(*(model.aask(prompt) for prompt in numbered(3)))  # all but one wait

    for _ in range(4):
        asyncio.run(ask())
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1


def test_pictures_do_not_make_later_texts_seem_longer() -> None:
    class Seeing(AsyncWatched):
        def send(self, request: Request, timeout: float | None) -> Raw:
            return Raw(text="A boat.", usage=Usage(input=20_000, output=3))

    whole = Meter(Budget(tokens=60_000))
    model = Model(Seeing(), meter=Meter(within=whole))
    said = "word " * 500
    model.ask(dataclasses.replace(TEXT, user=said, images=("data:image/png;base64,AA==",) * 10))
    for _ in range(20):
        whole.reserve(said, 10, None)  # about 850 tokens each


def test_a_model_that_answers_one_at_a_time_is_asked_so_and_waiting_for_it_is_no_timeout() -> None:
    wire = AsyncWatched(able=Capabilities(at_once=1), pause=0.1)
    replies = asyncio.run(Model(wire, concurrency=8, timeout=1.5).aask_many(numbered(20)))
    assert [reply.value for reply in replies] == [f"<{n}>" for n in range(20)]
    assert wire.most == 1


def test_an_error_of_another_kind_ends_a_round_at_once() -> None:
    wire = AsyncWatched(fails="2")
    with pytest.raises(StoreUnavailable):
        asyncio.run(Model(wire, concurrency=2).aoutcomes(numbered(50)))
    assert wire.finished < 10


def test_a_cancelled_round_cancels_its_calls() -> None:
    wire = AsyncWatched()

    async def cancelled() -> None:
        task = asyncio.ensure_future(Model(wire, concurrency=2).aask_many(numbered(50)))
        await asyncio.sleep(0.015)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert wire.finished < 10


def many(model: Model, prompts: list[Prompt[str]]) -> list[Reply[str]]:
    return asyncio.run(model.aask_many(prompts))


@pytest.mark.parametrize("ask_many", [Model.ask_many, many], ids=["sync", "async"])
def test_after_an_error_no_more_are_begun_and_the_first_is_raised(
    ask_many: Callable[[Model, list[Prompt[str]]], list[Reply[str]]],
) -> None:
    replies: list[Any] = ["<0>", ModelRefused("not 1"), ModelRefused("not 2"), "<3>", "<4>"]
    model = ScriptedModel(replies)
    with pytest.raises(ModelRefused, match="not 1"):
        ask_many(model, numbered(5))
    assert model.left == 3


def outcomes(model: Model, prompts: list[Prompt[str]]) -> list[Reply[str] | ModelError]:
    return asyncio.run(model.aoutcomes(prompts))


@pytest.mark.parametrize("ask_each", [Model.outcomes, outcomes], ids=["sync", "async"])
def test_outcomes_hold_the_errors_in_their_places(
    ask_each: Callable[[Model, list[Prompt[str]]], list[Reply[str] | ModelError]],
) -> None:
    model = ScriptedModel(["<0>", ModelRefused("not 1"), "<2>"])
    first, second, third = ask_each(model, numbered(3))
    assert isinstance(first, Reply)
    assert isinstance(second, ModelRefused)
    assert isinstance(third, Reply)
    assert (first.value, third.value) == ("<0>", "<2>")


def test_a_bug_in_a_round_of_threads_is_the_callers() -> None:
    def broken(prompt: Prompt[Any]) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ScriptedModel(broken).outcomes(numbered(5))


def test_nothing_asked_is_nothing_answered() -> None:
    model = ScriptedModel([])
    assert model.ask_many([]) == []
    assert asyncio.run(model.aask_many([])) == []


# Cache


@BOTH_WAYS
def test_what_was_asked_before_is_not_asked_again(ask: Ask, tmp_path: Path) -> None:
    first = ScriptedModel(["Hi.", '{"verdict": "no"}'], cache=tmp_path / "replies.sqlite")
    assert [ask(first, TEXT).cached, ask(first, ASKED).cached] == [False, False]
    first.close()
    second = ScriptedModel([], cache=tmp_path / "replies.sqlite", budget=Budget(calls=0, tokens=0))
    found = [ask(second, TEXT), ask(second, ASKED)]
    assert [one.value for one in found] == ["Hi.", YesNo(verdict="no")]
    assert all(one.cached for one in found)
    totals = second.meter.totals()
    assert (totals.calls, totals.cached, totals.usage) == (0, 2, Usage())
    assert totals.saved == first.meter.totals().usage
    second.close()


def test_a_malformed_reply_and_its_correction_come_from_the_cache_too(tmp_path: Path) -> None:
    first = ScriptedModel(["perhaps", '{"verdict": "no"}'], cache=tmp_path)
    first.ask(ASKED)
    second = ScriptedModel([], cache=tmp_path)
    reply = second.ask(ASKED)
    assert (reply.value.verdict, reply.attempts, reply.cached) == ("no", 2, True)
    first.close()
    second.close()


def test_a_run_that_ended_half_way_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = ScriptedModel(lambda prompt: f"<{prompt.user}>", cache=tmp_path, budget=Budget(calls=4))
    with pytest.raises(BudgetExceeded):
        first.ask_many(numbered(10))
    second = ScriptedModel(lambda prompt: f"<{prompt.user}>", cache=tmp_path)
    assert [reply.value for reply in second.ask_many(numbered(10))] == [f"<{number}>" for number in range(10)]
    assert (second.meter.totals().calls, second.meter.totals().cached) == (6, 4)
    first.close()
    second.close()


@BOTH_WAYS
def test_that_a_server_refuses_schemas_is_known_from_the_cache(ask: Ask, tmp_path: Path) -> None:
    refusal = ModelRefused("response_format is not supported")
    first = ScriptedModel([refusal, "<answer>yes</answer>"], guided=None, cache=tmp_path)
    ask(first, ASKED)
    second = ScriptedModel([], guided=None, cache=tmp_path)
    assert ask(second, ASKED).cached
    other = ScriptedModel(['{"verdict": "no"}'], guided=None, cache=tmp_path / "other.sqlite")
    ask(other, ASKED)
    again = ScriptedModel([], guided=None, cache=tmp_path / "other.sqlite")
    assert ask(again, ASKED).value.verdict == "no"
    for model in (first, second, other, again):
        model.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"user": "Hello!"},
        {"system": "Be brief."},
        {"max_tokens": 11},
        {"temperature": 0.5},
        {"stop": ("x",)},
        {"logprobs": 1},
        {"sample": 1},
        {"images": ("data:,",)},
        {"answer": Verdict},
    ],
)
def test_a_call_that_differs_in_anything_that_is_sent_is_another_one(changed: dict[str, Any], tmp_path: Path) -> None:
    fields = {field.name: getattr(TEXT, field.name) for field in dataclasses.fields(TEXT)}
    model = ScriptedModel(["Hi.", Verdict(reasoning="", label="WRONG")], cache=tmp_path)
    model.ask(TEXT)
    assert not model.ask(Prompt(**(fields | changed))).cached
    model.close()


def test_the_name_of_a_prompt_is_not_sent_and_makes_no_difference(tmp_path: Path) -> None:
    model = ScriptedModel(["Hi."], cache=tmp_path)
    model.ask(TEXT)
    assert model.ask(Prompt(name="other", version=9, system="Be kind.", user="Hello", max_tokens=10)).cached
    model.close()


# Streams


def gathered(model: Model, prompt: Prompt[str]) -> list[str]:
    async def gather() -> list[str]:
        return [piece async for piece in model.astream(prompt)]

    return asyncio.run(gather())


STREAMS = pytest.mark.parametrize(
    "stream", [lambda model, prompt: list(model.stream(prompt)), gathered], ids=["sync", "async"]
)
Stream = Callable[[Model, Prompt[str]], list[str]]


@STREAMS
def test_a_stream_comes_in_pieces_and_is_metered(stream: Stream) -> None:
    model = ScriptedModel(["one two three"])
    assert stream(model, TEXT) == ["one", " two", " three"]
    assert model.meter.totals().usage == Usage(input=3, output=3)


@STREAMS
def test_a_stream_is_kept_whole_and_shared_with_ask(stream: Stream, tmp_path: Path) -> None:
    model = ScriptedModel(["one two three"], cache=tmp_path)
    assert stream(model, TEXT) == ["one", " two", " three"]
    assert stream(model, TEXT) == ["one two three"]
    assert model.ask(TEXT).cached
    assert model.meter.totals().cached == 2
    model.close()


@STREAMS
def test_a_stream_that_does_not_begin_is_tried_again(stream: Stream) -> None:
    model = ScriptedModel([ModelUnavailable("down"), "one two"])
    assert stream(model, TEXT) == ["one", " two"]
    failing = ScriptedModel([ModelRefused("no")])
    with pytest.raises(ModelRefused):
        stream(failing, TEXT)


@STREAMS
def test_thoughts_are_no_part_of_a_stream(stream: Stream, tmp_path: Path) -> None:
    model = ScriptedModel(["<think> one two </think> three four"], cache=tmp_path)
    assert "".join(stream(model, TEXT)).strip() == "three four"
    assert "".join(stream(model, TEXT)).strip() == "three four"  # from the cache
    model.close()


def test_a_stream_tells_of_its_reply_at_the_end(tmp_path: Path) -> None:
    told: list[Reply[str]] = []
    model = ScriptedModel(["one two three"], cache=tmp_path)
    pieces = model.stream(TEXT, told=told.append)
    assert next(pieces) == "one"
    assert told == []
    assert list(pieces) == [" two", " three"]

    async def gather() -> None:
        async for _ in model.astream(TEXT, told=told.append):
            pass

    asyncio.run(gather())
    assert [reply.value for reply in told] == ["one two three"] * 2
    assert [reply.cached for reply in told] == [False, True]
    assert told[0].usage == Usage(input=3, output=3)
    model.close()


@STREAMS
def test_a_stream_leaves_the_server_alone_as_long_as_it_asks_another_call(stream: Stream) -> None:
    clock = FakeClock()
    model = ScriptedModel(["one"], clock=clock)
    busy = Failure(error=ModelUnavailable("busy"), kind="rate limit", retry_after=7.0)
    model._connected()[1].wait_after(busy, 0)
    assert stream(model, TEXT) == ["one"]
    assert clock.slept == [7.0]


@STREAMS
def test_a_stream_keeps_to_the_budget(stream: Stream) -> None:
    model = ScriptedModel(["one", "two"], budget=Budget(calls=1))
    stream(model, TEXT)
    with pytest.raises(BudgetExceeded):
        stream(model, TEXT)


@STREAMS
def test_a_stream_that_the_model_declined_is_refused(stream: Stream) -> None:
    with pytest.raises(ModelRefused):
        stream(ScriptedModel([Raw(text="So", finish="filter")]), TEXT)


@STREAMS
def test_only_texts_are_streamed(stream: Stream) -> None:
    with pytest.raises(InvalidInput, match="structured"):
        stream(ScriptedModel([]), ASKED)  # type: ignore[arg-type]


def test_a_stream_that_is_left_counts_what_was_received(tmp_path: Path) -> None:
    model = ScriptedModel(["one two three", "four"], cache=tmp_path, budget=Budget(calls=2))
    pieces = model.stream(TEXT)
    assert next(pieces) == "one"
    pieces.close()  # type: ignore[attr-defined]
    totals = model.meter.totals()
    assert (totals.calls, totals.usage.estimated) == (1, True)
    assert list(model.stream(TEXT)) == ["four"]  # nothing was kept of the first
    model.close()


# What is taken for a model


def test_a_model_is_taken_as_it_is() -> None:
    model = ScriptedModel([])
    assert as_model(model) is model
    assert isinstance(as_model(model.wire), Model)


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"retries": -1}, {"timeout": 0}, {"budget": Budget(), "meter": Meter()}]
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        ScriptedModel([], **options)


@pytest.mark.parametrize("name", ["gpt", "", ":x", "x:"])
def test_a_name_that_names_nothing_is_refused_at_the_first_call(name: str) -> None:
    model = as_model(name)
    with pytest.raises(InvalidInput, match="provider:model"):
        model.ask(TEXT)


def test_something_else_is_no_model() -> None:
    with pytest.raises(InvalidInput, match="dict is no chat model"):
        Model({}).ask(TEXT)  # type: ignore[arg-type]


def test_a_script_that_is_used_up_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no reply left for greet/1"):
        ScriptedModel([]).ask(TEXT)
