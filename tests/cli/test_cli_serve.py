"""``memagent serve retrieve``: what is searched, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

import memagent.server.retrieve
from memagent.agents.reason_rag import Searcher
from memagent.testing import HashingEncoder

PASSAGES = [{"id": "a", "title": "Bees", "text": "Bees make honey."}, {"id": "b", "contents": '"Ants"\nAnts march.'}]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each server that was begun found for a query, in place of serving it."""
    found: list[Any] = []

    def serve(searcher: Searcher, **options: Any) -> None:
        found.append(([one.text for one in searcher.search("who makes honey", 1)], options))

    monkeypatch.setattr(memagent.server.retrieve, "serve_retrieve", serve)
    return found


def test_a_file_of_passages_is_served(tmp_path: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMAGENT_CACHE", str(tmp_path / "cache"))
    # The real encoder would be made ready anew in this cache.
    monkeypatch.setattr("memagent.cli.serve.load", lambda *_: HashingEncoder(dim=64))
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in PASSAGES))
    done = CommandLine(tmp_path / "store")(
        "serve", "retrieve", "--corpus", str(path), "--retriever", "bm25", "--port", "9"
    )
    assert done.exit_code == 0, done.output
    assert served == [(["Bees make honey."], {"host": "127.0.0.1", "port": 9, "top_k": 3})]
    assert "http://127.0.0.1:9/retrieve" in done.stderr


def test_the_memory_of_a_user_is_served(tmp_path: Path, served: list[Any]) -> None:
    cli = CommandLine(tmp_path / "store")
    cli.add("Our bees make much honey.")
    done = cli("serve", "retrieve", "--store", str(tmp_path / "store"), "--user", "ann", "--retriever", "bm25")
    assert done.exit_code == 0, done.output
    assert served[0][0] == ["Our bees make much honey."]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name a --corpus"),
        (["--corpus", "x.jsonl", "--store", "y", "--user", "z"], "name a --corpus"),
        (["--store", "y"], "go together"),
        (["--corpus", "x.jsonl", "--user", "z"], "go together"),
        (["--corpus", "missing.jsonl"], "cannot be read"),
        (["--corpus", "x.txt", "--retriever", "magic"], "magic"),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path: Path, arguments: list[str], problem: str) -> None:
    assert problem in CommandLine(tmp_path / "store").refused("serve", "retrieve", *arguments)
