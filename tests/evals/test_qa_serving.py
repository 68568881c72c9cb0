"""What ``memagent eval qa`` tells of the servers behind its models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval_commands import Counting, locomo_file, use
from fake_server import Fake, serving
from typer.testing import CliRunner

from memagent.cli import app
from memagent.evals.qa.serving import Served

pytestmark = pytest.mark.model

RUNNER = CliRunner()


def said(fake: Fake, text: str) -> None:
    fake.prefix_queries += len(text)
    fake.prefix_hits += len(text) // 2


def test_the_share_that_the_prefix_cache_served_is_counted_from_the_beginning_of_the_run() -> None:
    with serving(Fake()) as one, serving(Fake()) as other:
        said(one, "before the run")
        served = Served({"reader": one.url, "judge": f"{other.url}/v1"})
        said(one, "a hundred." * 10)
        assert served.prefix_cache() == {"reader": {"prompt_tokens": 100, "hit_tokens": 50, "hit_rate": 0.5}}
        said(other, "ten, again")
        assert list(served.prefix_cache()) == ["reader", "judge"]
        other.prefix_queries = other.prefix_hits = 0
        said(other, "x")
        said(one, "more")
        assert served.prefix_cache()["reader"]["prompt_tokens"] == 104


def test_a_server_that_was_started_anew_or_is_gone_tells_nothing() -> None:
    with serving(Fake()) as fake:
        said(fake, "before the run")
        served = Served({"reader": fake.url, "judge": "openai:judge"})
        fake.prefix_queries, fake.prefix_hits = 20, 0
        assert served.prefix_cache() == {}
    assert served.prefix_cache() == {}
    assert Served({"reader": fake.url, "judge": None}).prefix_cache() == {}


def test_a_run_prints_it_and_a_repeated_one_that_asks_nothing_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Counting())
    out = tmp_path / "result.json"
    with serving(Fake()) as fake:
        command = [
            *("eval", "qa", "--dataset", "locomo", "--data", str(locomo_file(tmp_path / "locomo.json"))),
            *("--reader", fake.url, "--judge", fake.url, "--retriever", "bm25", "--cache-dir", str(tmp_path / "cache")),
            *("--out", str(out), "--markdown"),
        ]
        done = RUNNER.invoke(app, command)
        assert done.exit_code == 0, done.output
        sent = sum(len(json.dumps(body["messages"])) for body in fake.requests[-8:])
        told = json.loads(out.read_text())["this_run"]["prefix_cache"]["reader and judge"]
        assert told["prompt_tokens"] == sent
        assert (
            f"Prefix cache of the reader and judge's server: {told['hit_rate'] * 100:.1f} % of {sent:,}" in done.stdout
        )
        again = RUNNER.invoke(app, command)
        assert again.exit_code == 0, again.output
        assert "Prefix cache" not in again.stdout
        assert json.loads(out.read_text())["this_run"]["prefix_cache"] == {}
