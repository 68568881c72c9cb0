"""Systems over one corpus: what they score, what is kept, and how a run stops and goes on."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hop_examples import corpus, mean, run, world

from memagent.agents.reason_rag.searching import Document, NoSearcher
from memagent.agents.reason_rag.steps import StepSettings
from memagent.errors import (
    InvalidInput,
    ModelDenied,
    ModelRefused,
    ModelUnavailable,
    SearchFailed,
    SearchUnavailable,
    Stopped,
    UnknownName,
)
from memagent.evals.multihop.attempt import Attempt
from memagent.evals.multihop.choosing import chosen_systems, round_numbers
from memagent.evals.multihop.oracle import part_queries, run_oracle
from memagent.evals.multihop.questions import Hop
from memagent.evals.multihop.result import build_result, compared
from memagent.evals.multihop.rows import HopRow, scored
from memagent.evals.multihop.running import HopRun, run_hops
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.systems import Direct, ReasonRag
from memagent.evals.multihop.table import markdown_page
from memagent.llm import Model, drive
from memagent.llm.cache import ReplyCache
from memagent.llm.flow import Steps
from memagent.llm.meter import Budget, Meter
from memagent.llm.reply import Usage
from memagent.prompts.prompt import Prompt
from memagent.testing import ScriptedModel
from memagent.testing.models import ScriptedReply

SYSTEMS = ("none", "rag", "reason-rag", "search-o1", "ircot")


def test_with_a_model_that_takes_questions_apart_the_agent_is_far_ahead_of_one_search() -> None:
    found = run(SYSTEMS)
    assert mean(found, "reason-rag bm25", "em") - mean(found, "rag@12 bm25", "em") >= 0.2
    assert mean(found, "reason-rag bm25", "recall_all") == 1
    assert mean(found, "search-o1 bm25", "em") == 1
    assert mean(found, "ircot bm25", "em") > mean(found, "rag@12 bm25", "em")
    assert mean(found, "no retrieval", "em") == 0
    assert 0 < mean(found, "rag@3 bm25", "em") <= 2 / 12
    row = next(row for row in found.rows if row.system == "reason-rag bm25")
    assert HopRow.of_json(row.as_json()) == row
    assert set(row.gold) <= set(row.found)
    assert [entry["action"] for entry in row.trace][:2] == ["begin", "ground"]
    assert row.stopped == "It gave an answer."


def test_more_rounds_answer_longer_questions() -> None:
    found = run(["reason-rag"], rounds=range(5))
    by_round = [mean(found, f"reason-rag bm25 rounds={rounds}", "em") for rounds in range(5)]
    assert by_round == sorted(by_round)
    assert by_round[:2] == [0, 0]
    assert by_round[2:] == pytest.approx([1 / 3, 2 / 3, 1])
    for rounds in range(5):
        assert mean(found, f"reason-rag bm25 rounds={rounds}", "searches") <= rounds


def test_the_result_has_intervals_types_and_paired_differences() -> None:
    found = run()
    result = build_result(
        found, model={"name": "scripted"}, against=compared(found.labels, None), totals=Meter().totals(), resamples=200
    )
    assert [row["system"] for row in result["rows"]] == ["no retrieval", "rag@3 bm25", "rag@12 bm25", "reason-rag bm25"]
    agent = result["rows"][-1]
    assert agent["metrics"]["em"]["mean"] == 1
    assert set(agent["by_type"]) == {"2-hop", "3-hop", "4-hop"}
    assert agent["paired"]["against"] == "rag@3 bm25"
    assert agent["paired"]["em"]["low"] >= 0.2
    assert result["rows"][1]["paired"] is None
    assert "recall_all" not in result["rows"][0]["metrics"]
    assert json.loads(json.dumps(result)) == result
    page = markdown_page(result)
    assert "| reason-rag bm25 | 100.0 [100.0, 100.0] |" in page
    with pytest.raises(UnknownName, match="is not evaluated"):
        compared(found.labels, "other")


def test_each_retriever_is_compared_with_its_own_one_search() -> None:
    labels = ("no retrieval", "rag@3 a", "rag@6 a", "rag@3 b[k=2]", "reason-rag a rounds=1", "ircot b[k=2]", "x c")
    assert compared(labels, None) == {
        "no retrieval": "rag@3 a",
        "rag@6 a": "rag@3 a",
        "rag@3 b[k=2]": "rag@3 a",
        "reason-rag a rounds=1": "rag@3 a",
        "ircot b[k=2]": "rag@3 b[k=2]",
        "x c": "rag@3 a",
    }
    assert set(compared(labels, "x c").values()) == {"x c"}
    assert compared(("none", "reason-rag a"), None) == {"reason-rag a": "none"}


def test_a_stopped_run_goes_on_where_it_was_and_pays_for_no_call_twice(tmp_path: Path) -> None:
    partial = tmp_path / "rows"
    calls: list[int] = []

    class Counted(WorldModel):
        def answer_to(self, prompt: Prompt[str]) -> str:
            calls.append(1)
            return super().answer_to(prompt)

    def model(budget: int | None = None) -> Model:
        cache = ReplyCache(tmp_path / "replies.sqlite")
        return Model(Counted(), cache=cache, meter=Meter(Budget(calls=budget)))

    with pytest.raises(Stopped, match="raise the budget") as stopped:
        run(["reason-rag"], model=model(30), partial=partial, concurrency=2)
    assert "of 12 attempts" in stopped.value.message
    found = run(["reason-rag"], model=model(), partial=partial, concurrency=2)
    assert mean(found, "reason-rag bm25", "em") == 1
    paid = len(calls)
    again = run(["reason-rag"], model=model(), partial=partial)
    assert len(calls) == paid == sum(row.metrics["calls"] for row in again.rows)
    assert again.rows == found.rows


@pytest.mark.parametrize("error", [ModelUnavailable("gone"), SearchUnavailable("gone")])
def test_a_server_that_is_gone_stops_the_run(error: Exception, tmp_path: Path) -> None:
    class Gone:
        def search(self, query: str, k: int) -> list[Document]:
            if isinstance(error, SearchUnavailable):
                raise error
            return []

    def reply(prompt: Prompt[str]) -> ScriptedReply:
        return error if isinstance(error, ModelUnavailable) else "So the answer is <answer>x"

    systems = chosen_systems(["rag"], {"gone": Gone()}, settings=StepSettings(), rounds=(1,))
    with pytest.raises(Stopped, match="see to the server"):
        run_hops(world(), systems, ScriptedModel(reply, retries=0))


def test_a_refused_question_is_a_wrong_row_unless_nothing_at_all_is_answered() -> None:
    first = world().questions[0].text

    def some(prompt: Prompt[str]) -> ScriptedReply:
        return ModelRefused("too long") if first in prompt.user else "So the answer is <answer>x"

    found = run_hops(world(), [Direct()], ScriptedModel(some))
    assert [row.failure for row in found.rows][:2] == ["too long", ""]
    assert found.rows[0].metrics["em"] == 0
    with pytest.raises(ModelRefused, match="no"):
        run_hops(world(), [Direct()], ScriptedModel(lambda _: ModelRefused("no")))
    with pytest.raises(ModelDenied, match="wrong key"):
        run_hops(world(), [Direct()], ScriptedModel(lambda _: ModelDenied("wrong key")))


def test_what_a_refused_question_had_taken_by_then_is_counted_and_its_time_is_not() -> None:
    first = world().questions[0].text

    def some(prompt: Prompt[str]) -> ScriptedReply:
        if first not in prompt.user:
            return "So the answer is <answer>x"
        return ModelRefused("too long") if "evidence" in prompt.name else "<query>it"

    model = ScriptedModel(some)
    found = run(["reason-rag"], model=model)
    refused, other = found.rows[:2]
    assert refused.failure == "too long"
    assert (refused.metrics["calls"], refused.milliseconds) == (1, None)
    assert refused.metrics["tokens"] == refused.input_tokens + refused.output_tokens > 0
    assert other.milliseconds is not None
    usage = model.meter.totals().usage
    assert sum(row.metrics["tokens"] for row in found.rows) == usage.input + usage.output


def test_text_that_no_file_can_hold_does_not_end_a_run(tmp_path: Path) -> None:
    class Odd:
        def search(self, query: str, k: int) -> list[Document]:
            return [Document(id="p \ud83d", text="odd \udc00 words")]

    first = world().questions[0].text

    def some(prompt: Prompt[str]) -> ScriptedReply:
        return ModelRefused("odd \ud800 words") if first in prompt.user else "So the answer is <answer>x"

    systems = chosen_systems(["rag"], {"odd": Odd()}, settings=StepSettings(), rounds=(1,))
    found = run_hops(world(), systems, ScriptedModel(some), partial=tmp_path / "rows")
    rows = [HopRow.of_json(line) for line in (tmp_path / "rows").read_text("utf-8").splitlines()[1:]]
    assert len(rows) == len(found.rows)
    assert {row.found for row in rows} == {(), ("p \ufffd",)}
    assert "odd \ufffd words" in {row.failure for row in rows}


def test_after_an_interrupt_attempts_under_way_ask_nothing_more() -> None:
    asked: list[int] = []
    may_end = threading.Event()

    def reply(prompt: Prompt[str]) -> ScriptedReply:
        asked.append(1)
        assert may_end.wait(60)
        return f"<query>number {len(asked)}"

    def progress(done: int, total: int, doing: str) -> None:
        raise KeyboardInterrupt

    four = replace(world(), questions=world().questions[:4])
    agent = ReasonRag(label="agent", searcher=NoSearcher())

    class FirstAtOnce(Direct):
        """Answers the first question when the agent is at work at the other three."""

        def attempt(self, question: str) -> Steps[Attempt]:
            if question != four.questions[0].text:
                return (yield from agent.attempt(question))
            while len(asked) < 3:
                time.sleep(0.001)
            return Attempt(answer="x")

    with pytest.raises(Stopped, match="stopped after 1 of 4"):
        run_hops(four, [FirstAtOnce()], ScriptedModel(reply), progress=progress)
    may_end.set()
    for thread in threading.enumerate():
        if thread.name.startswith("memagent-hops"):
            thread.join(60)
    assert len(asked) == 3


def test_yes_and_no_and_several_answers_are_scored_as_specified() -> None:
    question = replace(world().questions[0], answers=("yes",))

    def metrics(answer: str | None, answers: tuple[str, ...]) -> dict[str, float]:
        attempt = Attempt(answer=answer, usage=Usage(input=2, output=3), calls=1)
        return scored(replace(question, answers=answers), "s", attempt, milliseconds=1).metrics

    assert metrics("Yes.", ("yes",))["em"] == 1
    assert metrics("yes it is", ("yes",))["f1"] == 0
    assert metrics("no", ("yes",))["f1"] == 0
    assert metrics("no way", ("no", "the way"))["f1"] == pytest.approx(2 / 3)
    assert metrics("The Norland", ("Norland",))["em"] == 1
    assert metrics(None, ("",))["tokens"] == 5


def test_no_answer_is_wrong_even_where_the_right_one_is_an_article() -> None:
    question = replace(world().questions[0], answers=("The The",))
    for answer, right in ((None, 0.0), ("the", 1.0)):
        metrics = scored(question, "s", Attempt(answer=answer), milliseconds=1).metrics
        assert (metrics["em"], metrics["f1"]) == (right, right)


def test_a_sweep_pays_for_a_common_beginning_once_also_with_many_attempts_at_once(tmp_path: Path) -> None:
    paid: Counter[tuple[str, str]] = Counter()

    class Slow(WorldModel):
        def answer_to(self, prompt: Prompt[str]) -> str:
            time.sleep(0.005)
            paid[prompt.label, prompt.user] += 1
            return super().answer_to(prompt)

    model = Model(Slow(), cache=tmp_path / "replies.sqlite")
    run(["reason-rag"], model=model, rounds=(1, 2, 3, 4), concurrency=4)
    assert set(paid.values()) == {1}


def test_a_question_that_a_search_refuses_is_a_wrong_row_unless_it_refuses_all() -> None:
    first = world().questions[0].text

    class Picky:
        def __init__(self, refused: str) -> None:
            self.refused = refused

        def search(self, query: str, k: int) -> list[Document]:
            if self.refused in query:
                raise SearchFailed("it takes no such query")
            return []

    def found(refused: str) -> HopRun:
        systems = chosen_systems(["rag"], {"picky": Picky(refused)}, settings=StepSettings(), rounds=(1,))
        return run_hops(world(), systems, ScriptedModel(lambda _: "So the answer is <answer>x"))

    assert [row.failure for row in found(first).rows][:2] == ["it takes no such query", ""]
    with pytest.raises(SearchFailed, match="no such query"):
        found("")


def test_one_search_and_ircot_show_as_many_passages_as_fit_and_say_so() -> None:
    long = [Document(id=str(place), text=f"passage {place} " + "word " * 500) for place in range(20)]

    class Long:
        def search(self, query: str, k: int) -> list[Document]:
            return long[:k]

    settings = StepSettings(top_k=12, max_prompt_tokens=4000, max_tokens=40)
    model = ScriptedModel(lambda _: "So the answer is <answer>x")
    systems = chosen_systems(["rag", "ircot", "none"], {"long": Long()}, settings=settings, rounds=(1,))
    found = run_hops(replace(world(), questions=world().questions[:1]), systems, model)
    for row in found.rows[:2]:
        assert row.stopped == "It gave an answer. Not all passages fitted into its prompt."
        assert len(row.found) == 12
    for prompt in model.prompts:
        assert settings.count(f"{prompt.system}\n{prompt.user}") <= 4000
        assert prompt.max_tokens == 40
    from_passages = [prompt for prompt in model.prompts if prompt.name != "multihop-direct"]
    assert len(from_passages) > 1
    assert all("passage 2 " in prompt.user for prompt in from_passages)


def test_ircot_stops_at_the_first_sentence_that_says_what_the_answer_is() -> None:
    model = ScriptedModel(["It began at Leeds.", "The answer is: David O'Leary.", "The answer is David O'Leary."])
    [system] = chosen_systems(["ircot"], {"none": NoSearcher()}, settings=StepSettings(), rounds=(4,))
    attempt = drive(system.attempt("Who?"), model)
    assert (attempt.answer, len(attempt.searches), attempt.calls) == ("David O'Leary", 2, 3)


def test_an_agent_that_does_not_search_has_found_nothing() -> None:
    names, model = ["reason-rag", "none"], ScriptedModel(lambda _: "So the answer is <answer>x")
    systems = chosen_systems(names, {"any": NoSearcher()}, settings=StepSettings(), rounds=(4,))
    found = run_hops(world(), systems, model)
    agent, direct = _rows(found, "reason-rag any"), _rows(found, "no retrieval")
    assert {(row.metrics["searches"], row.metrics["recall"], row.metrics["recall_all"]) for row in agent} == {(0, 0, 0)}
    assert not [row for row in direct if "recall" in row.metrics]


def test_nothing_of_the_right_answers_reaches_any_prompt() -> None:
    gold = "Zyxwv Gold"
    questions = tuple(replace(question, answers=(gold,), gold=("Zyxwv id",)) for question in world().questions[:3])
    model = ScriptedModel(lambda prompt: WorldModel().answer_to(prompt))
    found = run(SYSTEMS, data=replace(world(), questions=questions), model=model)
    assert {row.answers for row in found.rows} == {(gold,)}
    assert not [prompt for prompt in model.prompts if "Zyxwv" in f"{prompt.system}{prompt.user}"]


def test_systems_are_chosen_by_name_and_unknown_ones_refused() -> None:
    with corpus() as opened:
        searchers = {"bm25": opened.searcher("bm25"), "dense": opened.searcher("dense")}
        chosen = chosen_systems(["rag", "reason-rag"], searchers, settings=StepSettings(), rounds=(1, 2))
        assert [system.label for system in chosen] == [
            "rag@3 bm25", "rag@6 bm25", "rag@3 dense", "rag@6 dense",
            "reason-rag bm25 rounds=1", "reason-rag bm25 rounds=2",
            "reason-rag dense rounds=1", "reason-rag dense rounds=2",
        ]  # fmt: skip
        with pytest.raises(UnknownName, match="unknown systems"):
            chosen_systems(["magic"], searchers, settings=StepSettings(), rounds=(1,))
    assert round_numbers("0,2,8") == (0, 2, 8)
    for bad in ("", "a", "-1"):
        with pytest.raises(InvalidInput):
            round_numbers(bad)
    with pytest.raises(InvalidInput, match="each once"):
        run_hops(world(), [Direct(), Direct()], ScriptedModel([]))
    with pytest.raises(InvalidInput, match="concurrency"):
        run_hops(world(), [Direct()], ScriptedModel([]), concurrency=0)


def test_the_oracle_searches_for_each_part_and_compares_with_as_many_passages() -> None:
    with corpus() as opened:
        found, against = run_oracle(world(), {"bm25": opened.searcher("bm25")}, top_ks=(1, 3))
    assert found.labels[0] == "parts@1 bm25"
    assert against["parts@1 bm25"] == found.labels[1]
    assert mean(found, "parts@1 bm25", "recall_all") > 0.9
    assert mean(found, found.labels[1], "recall_all") <= 2 / 12
    for label, other in against.items():
        for row, once in zip(_rows(found, label), _rows(found, other), strict=True):
            assert row.metrics["passages"] == once.metrics["passages"]
    result = build_result(found, model=None, against=against, resamples=200)
    assert result["rows"][0]["paired"]["recall_all"]["low"] > 0.5
    assert "recall_all, paired" in markdown_page(result)


def _rows(found: object, label: str) -> list[HopRow]:
    return [row for row in getattr(found, "rows", ()) if row.system == label]


def test_parts_are_asked_with_the_right_answers_of_earlier_ones_put_in() -> None:
    hops = (
        Hop(question="Brand >> author", answer="Ibsen"),
        Hop(question="#1 >> country", answer="Norway"),
        Hop(question="capital of #2, #1 and #3", answer="Oslo"),
    )
    question = replace(world().questions[0], hops=hops)
    assert part_queries(question) == ["Brand >> author", "Ibsen >> country", "capital of Norway, Ibsen and #3"]
    bare = replace(world(), questions=(replace(question, hops=()),))
    with pytest.raises(InvalidInput, match="says its parts"):
        run_oracle(bare, {"nothing": NoSearcher()})
