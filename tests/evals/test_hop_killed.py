"""A run of ``eval agentic-rag`` whose process is killed, and what the next one pays for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fake_server
import pytest
from hop_examples import corpus, world

from memagent.agents.reason_rag.steps import StepSettings
from memagent.evals.multihop.choosing import chosen_systems
from memagent.evals.multihop.running import HopRun, run_hops
from memagent.llm import Model

pytestmark = pytest.mark.model

AT_ONCE = 3
_RUN = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[3], str(Path(sys.argv[3]).parent)]
from test_hop_killed import measured
measured(sys.argv[1], Path(sys.argv[2]))
"""


def measured(url: str, folder: Path) -> HopRun:
    """Two systems over the small world, asked of a server."""
    with corpus() as opened:
        systems = chosen_systems(
            ["rag", "reason-rag"], {"bm25": opened.searcher("bm25")}, settings=StepSettings(), rounds=(2,)
        )
        model = Model(url, cache=folder / "replies.sqlite")
        return run_hops(world(), systems, model, concurrency=AT_ONCE, partial=folder / "rows.partial")


def reply(body: dict[str, Any]) -> str:
    """Asks for something new in every reasoning step, so that each attempt takes its whole budget."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    if "You read documents" in system:
        return "The relevant evidence is <evidence>nothing new"
    if "final answer" in system or "from documents" in system:
        return "So the answer is <answer>x"
    return f"So the next query is <query>number {user.count('<query>')}"


def test_a_killed_run_goes_on_and_pays_again_for_what_was_under_way_at_most(tmp_path: Path) -> None:
    with fake_server.serving(fake_server.Fake(reply=reply, delay=0.02, max_model_len=100_000)) as fake:
        begun = subprocess.Popen([sys.executable, "-c", _RUN, fake.url, tmp_path, Path(__file__).parent])
        try:
            waited = time.monotonic()
            while len(fake.requests) < 50:
                assert begun.poll() is None
                assert time.monotonic() - waited < 300
                time.sleep(0.005)
        finally:
            begun.kill()  # SIGKILL
            begun.wait()
        found = measured(fake.url, tmp_path)
        asked = [request["messages"] for request in fake.requests]
        paid = Counter(str(messages) for messages in asked if messages[0]["role"] == "system")  # the others are probes
        asked_twice = sum(paid.values()) - len(paid)
        assert asked_twice <= AT_ONCE
        assert {row.failure for row in found.rows} == {""}
        assert sum(row.metrics["calls"] for row in found.rows if row.system.startswith("reason")) == 12 * 5
        assert measured(fake.url, tmp_path).rows == found.rows
        assert sum(request["messages"][0]["role"] == "system" for request in fake.requests) == sum(paid.values())
