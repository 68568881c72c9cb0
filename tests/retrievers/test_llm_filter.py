"""The filter keeps hits that a model finds to bear on the question, in their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from memagent import Memory
from memagent.errors import InvalidInput, ModelUnavailable
from memagent.prompts.evidence import Relevant
from memagent.records import Granularity, Query
from memagent.retrievers.bm25 import Bm25
from memagent.retrievers.hybrid import Hybrid
from memagent.retrievers.llm_filter import LLMFilter
from memagent.testing import HashingEncoder
from memagent.testing.models import ScriptedModel
from memagent.testing.retriever_contract import TURNS, RetrieverContract
from memagent.testing.views import ArrayView, history, word_vector

if TYPE_CHECKING:
    from memagent.prompts.prompt import Prompt
    from memagent.records import Retrieval


def everything(prompt: Prompt[object]) -> Relevant:
    return Relevant(relevant=re.findall(r'<memory id="(m\d+)"', prompt.user))


class TestWithAModelThatDropsNothing(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> LLMFilter:
        return LLMFilter(inner=Hybrid(), model=ScriptedModel(everything), batch=4)


def search(retriever: LLMFilter, k: int) -> Retrieval:
    text = "harbour office in Lisbon"
    query = Query(text=text, vector=word_vector(text), granularity=Granularity.TURN)
    return retriever.retrieve(query, ArrayView(history(TURNS)), k)


def test_what_is_not_named_is_dropped_and_the_rest_keeps_its_order_and_scores() -> None:
    unfiltered = search(LLMFilter(inner=Bm25(), model=ScriptedModel(everything)), 5).hits
    found = search(LLMFilter(inner=Bm25(), model=ScriptedModel([Relevant(relevant=["m4", "[M1]", "9", "x"])])), 5)
    assert found.hits == (unfiltered[0], unfiltered[3])
    assert found.trace["dropped"] == 3
    assert found.trace["inner"]["retriever"] == "bm25"


def test_nothing_may_be_left() -> None:
    assert search(LLMFilter(inner=Bm25(), model=ScriptedModel([Relevant(relevant=[])])), 5).hits == ()


def test_hits_come_in_batches_that_fit_a_prompt() -> None:
    model = ScriptedModel([Relevant(relevant=["m2"]), Relevant(relevant=[]), Relevant(relevant=["1"])])
    found = search(LLMFilter(inner=Bm25(), model=model, batch=2), 5)
    assert [prompt.user.count("<memory id") for prompt in model.prompts] == [2, 2, 1]
    assert len(found.hits) == 2


def test_where_the_reply_cannot_be_read_all_are_kept() -> None:
    model = ScriptedModel(['{"relevant": 5}', "{", Relevant(relevant=[])])
    found = search(LLMFilter(inner=Bm25(), model=model, batch=3), 6)
    assert len(found.hits) == 3
    assert found.trace["unread_replies"] == 1


def test_labels_of_no_memory_are_no_choice() -> None:
    found = search(LLMFilter(inner=Bm25(), model=ScriptedModel([Relevant(relevant=["the first one"])])), 5)
    assert len(found.hits) == 5
    assert found.trace["unread_replies"] == 1


def test_a_model_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(ModelUnavailable):
        search(LLMFilter(inner=Bm25(), model=ScriptedModel(lambda _: ModelUnavailable("gone"))), 5)


def test_what_the_inner_retriever_needs_is_passed_on() -> None:
    from memagent.retrievers.memgas import MemGAS

    inner = MemGAS()
    wrapped = LLMFilter(inner=inner, model=ScriptedModel([]))
    assert (wrapped.uses_vector, wrapped.uses_edges) == (inner.uses_vector, inner.uses_edges)
    assert set(wrapped.uses_units) == set(inner.uses_units)
    assert not LLMFilter(inner=Bm25(), model=ScriptedModel([])).uses_vector
    assert not LLMFilter(inner=Bm25(), model=ScriptedModel([])).uses_related_words


@pytest.mark.parametrize("changes", [{"inner": "bm25"}, {"inner": Bm25}, {"model": "gpt"}, {"batch": 0}])
def test_what_cannot_be_used_is_refused_when_it_is_made(changes: dict[str, object]) -> None:
    fields: dict[str, object] = {"inner": Bm25(), "model": ScriptedModel([]), **changes}
    with pytest.raises(InvalidInput, match=next(iter(changes))):
        LLMFilter(**fields)  # type: ignore[arg-type]


def test_a_memory_searches_with_it() -> None:
    with Memory(":memory:", encoder=HashingEncoder(), background=False) as memory:
        for text in ("Ana plays the cello.", "Ana paints."):
            memory.add(text, user_id="ann")
        retriever = LLMFilter(inner=Bm25(), model=ScriptedModel([Relevant(relevant=["m1"])]))
        reply = memory.search("cello", user_id="ann", retriever=retriever, explain=True)
    assert [result["memory"] for result in reply["results"]] == ["Ana plays the cello."]
    assert reply["trace"]["retriever"] == "llm-filter"
