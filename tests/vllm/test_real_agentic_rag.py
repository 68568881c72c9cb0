"""ReasonRAG and ``eval agentic-rag`` with a real vLLM and a small model: it answers poorly, but all else must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memagent import Memory
from memagent.agents.reason_rag import ReasonRag, StepSettings
from memagent.evals.multihop.choosing import NAMES, chosen_systems
from memagent.evals.multihop.corpus import open_corpus
from memagent.evals.multihop.result import build_result, compared
from memagent.evals.multihop.running import HopRun, run_hops
from memagent.evals.multihop.table import markdown_page
from memagent.evals.multihop.world import make_world
from memagent.llm import Model, VLLMServer
from memagent.llm.cache import ReplyCache
from memagent.testing import HashingEncoder

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SETTINGS = StepSettings(max_tokens=40)


def measured(server: VLLMServer, folder: Path) -> tuple[HopRun, Model]:
    """Every system on two questions, over what a model of its own has paid for."""
    world = make_world(questions=12, passages=120)
    data = replace(world, questions=world.questions[:2])
    with open_corpus(world.passages, HashingEncoder(dim=64)) as corpus, ReplyCache(folder / "replies.sqlite") as cache:
        model = server.model(timeout=600.0, cache=cache)
        settings = SETTINGS.within(model.window)
        systems = chosen_systems(NAMES, {"bm25": corpus.searcher("bm25")}, settings=settings, rounds=(2,))
        return run_hops(data, systems, model, concurrency=8), model


def test_every_system_answers_within_its_budget_and_a_second_run_asks_nothing(
    vllm_server: VLLMServer, tmp_path: Path
) -> None:
    found, first = measured(vllm_server, tmp_path)
    assert len(found.rows) == 2 * len(found.labels)
    assert {row.failure for row in found.rows} <= {"", "no answer"}
    assert all(row.metrics["calls"] <= 5 and row.input_tokens and row.output_tokens for row in found.rows)
    assert 0 < first.meter.totals().calls <= sum(row.metrics["calls"] for row in found.rows)
    page = markdown_page(
        build_result(found, model={"name": "tiny"}, against=compared(found.labels, None), resamples=100)
    )
    assert "| reason-rag bm25 |" in page
    again, second = measured(vllm_server, tmp_path)
    assert second.meter.totals().calls == 0
    assert [row.hypothesis for row in again.rows] == [row.hypothesis for row in found.rows]


def test_the_agent_over_a_users_memory_ends_and_says_why(vllm_model: Model) -> None:
    memory = Memory(":memory:", encoder=HashingEncoder(dim=64), background=False)
    memory.add("My sister Ana lives in Porto.", user_id="ann", timestamp="2025-03-01T10:00:00Z")
    answer = ReasonRag.for_user(vllm_model, memory, user_id="ann", settings=SETTINGS).ask("Where does Ana live?")
    assert answer.state.stopped is not None
    assert 1 <= len(answer.state.steps) <= 9
    assert answer.usage.output > 0
    assert not answer.usage.estimated
