"""An A/B test whose visitors are played by a real, very small model: it decides poorly, but all else must hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memagent.agents.ab import Experiment, Layout, report_of, split, synthetic, users_of
from memagent.agents.ab.agent import AgentPolicy, AgentSettings, BankedMemory, Histories
from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.fatigue import BUDGETS, Fatigue
from memagent.llm import VLLMServer
from memagent.testing import HashingEncoder

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

USERS = 20
SHORT = AgentSettings(max_tokens=80, recalled=1, journal=2, history=4)  # it writes ten tokens a second


def trial(server: VLLMServer, cache: Path) -> Experiment:
    """Twenty users in two arms, two actions at most on a page of two films; a click tires those of low activity out."""
    data = synthetic(users=60, items=120)
    parts = split(data.ratings)
    training = Training(dataset=data, ratings=parts.train)
    policy = AgentPolicy(
        server.model(timeout=600.0, cache=cache, concurrency=16),
        Histories(data, parts.train),
        settings=SHORT,
        memory=BankedMemory(encoder=HashingEncoder(dim=64)),
    )
    return Experiment(
        catalogue=data.catalogue_by(parts.train),
        arms=[trained(recipe_of(kind), training, seed=0) for kind in ("random", "popularity")],
        users=users_of(data, parts.train)[:USERS],
        policy=policy,
        layout=Layout(page_size=2, max_pages=1, max_steps=2),
        fatigue=Fatigue(budgets={**BUDGETS, 1: 1.0}),
        block=1,
        concurrency=16,
    )


def test_twenty_users_visit_two_arms_and_a_second_run_asks_nothing(vllm_server: VLLMServer, tmp_path: Path) -> None:
    first = trial(vllm_server, tmp_path / "replies.sqlite")
    outcome = first.run(tmp_path / "run")
    assert len(outcome.visits) == 2 * USERS
    endings = {visit.ending for visit in outcome.visits}
    assert endings <= {"chose", "end_of_list", "fatigue", "step_limit", "policy_failed"}
    answered = [visit for visit in outcome.visits if visit.ending != "policy_failed"]
    assert {"fatigue", "step_limit"} <= endings  # some saw the page of an item, and some were too tired
    assert len(answered) >= USERS  # most of what a small model says can be used, for it is held to a schema
    assert all(visit.steps >= 1 and 1 <= (visit.satisfaction or 0) <= 10 for visit in answered)
    assert isinstance(first.policy, AgentPolicy)
    used = first.policy.model.meter.totals()
    assert used.calls >= 2 * len(answered)
    assert not used.usage.estimated
    report_of(outcome).write(tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["users"] == USERS
    again = trial(vllm_server, tmp_path / "replies.sqlite")
    again.run(tmp_path / "again")
    assert isinstance(again.policy, AgentPolicy)
    assert again.policy.model.meter.totals().calls == 0
    for name in ("events.jsonl", "visits.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
