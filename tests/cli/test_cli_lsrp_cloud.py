"""``memagent serve lsrp-cloud``: what is served, and what cannot be. The example in tests/docs runs it as a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from fake_server import Fake, serving

from memagent.agents.lsrp import Cloud, GuidelineRequest, TaskType, strategies

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

pytestmark = pytest.mark.model

WORDED = {"instructions": "Be quick."}
HASTE = {"name": "haste", "summary": "be quick", "writing": WORDED, "explanation": WORDED}
REQUEST = GuidelineRequest(task="Write a note.", strategy="haste", task_type=TaskType.WRITING)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What each cloud that was begun says to a request, and its options, in place of serving it."""
    begun: list[tuple[str, dict[str, Any]]] = []

    def serve(cloud: Cloud, **options: Any) -> None:
        options.pop("told")("http://127.0.0.1:9")
        begun.append((cloud.guideline(REQUEST).text, options))

    monkeypatch.setattr("memagent.server.lsrp_cloud.serve_lsrp_cloud", serve)
    monkeypatch.setattr(strategies, "_known", dict(strategies._known))
    return begun


def test_a_model_server_leads_with_a_strategy_of_ones_own(
    tmp_path: Path, served: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMAGENT_LSRP_TOKEN", "token-1")
    file = tmp_path / "own.json"
    file.write_text(json.dumps([HASTE]))
    with serving(Fake(reply=lambda body: "Greet the guest.")) as fake:
        cli = CommandLine(tmp_path)
        done = cli("serve", "lsrp-cloud", "--model", f"{fake.url}/v1", "--strategies", str(file), "--port", "9")
    assert done.exit_code == 0, done.output
    assert served == [("Greet the guest.", {"host": "127.0.0.1", "port": 9, "token": "token-1"})]
    assert "Be quick." in json.dumps(fake.requests[-1])
    assert done.stdout == "http://127.0.0.1:9/guideline\n"


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    assert "asks for no token" in cli.refused("serve", "lsrp-cloud", "--model", "embedded", "--host", "0.0.0.0")
    (tmp_path / "bad.json").write_text("[1]")
    told = cli.refused("serve", "lsrp-cloud", "--model", "embedded", "--strategies", str(tmp_path / "bad.json"))
    assert "strategy 1" in told
