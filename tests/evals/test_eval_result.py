from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eval_examples import finished_run
from rich.console import Console

from memagent.errors import UnknownName
from memagent.evals.datasets import DataFile
from memagent.evals.metrics import METRICS
from memagent.evals.result import build_result, encoder_facts, write_result
from memagent.evals.table import markdown_table, rich_table
from memagent.testing import HashingEncoder

ENCODER = {"name": "test-encoder", "fingerprint": "f", "dim": 8, "max_tokens": None, "long_text": "windows"}


def test_the_result_holds_what_the_schema_says() -> None:
    run = finished_run("dense", "bm25")
    run = replace(run, dataset=replace(run.dataset, files=(DataFile(name="x.json", sha256="00"),)))
    result = build_result(run, encoder=ENCODER, encode_ms=4.5, command=["memagent", "eval"], seed=7, resamples=200)
    assert list(result) == [
        "schema",
        "command",
        "version",
        "dataset",
        "encoder",
        "machine",
        "seed",
        "settings",
        "rows",
    ]
    assert (result["schema"], result["seed"], result["command"]) == (1, 7, ["memagent", "eval"])
    assert result["dataset"] == {
        "name": "tiny",
        "files": [{"name": "x.json", "sha256": "00"}],
        "variant": "both_roles",
        "questions": 10,
        "left_out": {},
        "users": 2,
    }
    assert result["encoder"] == ENCODER
    assert {"system", "processor", "cpus", "memory_gib", "python", "packages"} == set(result["machine"])
    assert result["settings"]["granularity"] == "session"
    dense, bm25 = result["rows"]
    assert (dense["retriever"], dense["n"], dense["params"]["by"]) == ("dense", 10, "turn-max")
    assert tuple(dense["metrics"]) == METRICS
    assert dense["metrics"]["recall_all@1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert bm25["metrics"]["recall_all@1"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert bm25["metrics"]["mrr"]["mean"] == 0.5


def test_types_populations_and_conversations_have_figures_of_their_own() -> None:
    row = build_result(finished_run("dense", "bm25"), encoder=ENCODER, encode_ms=0.0, resamples=100)["rows"][1]
    assert {kind: figures["n"] for kind, figures in row["by_type"].items()} == {"even": 6, "odd": 4}
    assert {name: figures["n"] for name, figures in row["populations"].items()} == {"user_evidence": 4}
    assert {name: figures["n"] for name, figures in row["by_conversation"].items()} == {"user0": 5, "user1": 5}
    assert tuple(row["by_type"]["odd"]["metrics"]) == METRICS
    assert row["by_conversation"]["user0"]["metrics"]["mrr"] == 0.5


def test_retrievers_are_compared_with_the_baseline_on_the_same_questions() -> None:
    run = finished_run("dense", "bm25")
    dense, bm25 = build_result(run, encoder=ENCODER, encode_ms=0.0, resamples=100)["rows"]
    assert dense["paired"] is None
    assert bm25["paired"]["against"] == "dense"
    assert bm25["paired"]["mrr"] == {"diff": -0.5, "low": -0.5, "high": -0.5}
    assert tuple(bm25["paired"])[1:] == METRICS
    dense, bm25 = build_result(run, encoder=ENCODER, encode_ms=0.0, baseline="bm25", resamples=100)["rows"]
    assert bm25["paired"] is None
    assert dense["paired"]["mrr"]["diff"] == 0.5


def test_a_baseline_that_did_not_run_is_refused() -> None:
    with pytest.raises(UnknownName, match="use one of dense"):
        build_result(finished_run("dense"), encoder=ENCODER, encode_ms=0.0, baseline="bm25")


def test_encoding_time_is_given_only_where_a_query_is_encoded() -> None:
    dense, bm25 = build_result(finished_run("dense", "bm25"), encoder=ENCODER, encode_ms=4.5, resamples=100)["rows"]
    assert dense["latency_ms"] == {"search_p50": 1.0, "search_p95": 1.0, "encode_p50": 4.5}
    assert bm25["latency_ms"] == {"search_p50": 2.0, "search_p95": 2.0, "encode_p50": 0.0}


def test_the_facts_about_an_encoder_come_with_the_policy_for_long_texts() -> None:
    encoder = HashingEncoder(dim=16)
    facts = encoder_facts(encoder, long_text="truncate")
    assert facts == {
        "name": encoder.name,
        "fingerprint": encoder.fingerprint,
        "dim": 16,
        "max_tokens": encoder.max_tokens,
        "long_text": "truncate",
    }


def test_the_file_is_the_result(tmp_path: Path) -> None:
    result = build_result(finished_run("dense"), encoder=ENCODER, encode_ms=0.0, resamples=100)
    write_result(tmp_path / "result.json", result)
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == result


def test_the_markdown_table_has_a_line_a_retriever() -> None:
    result = build_result(finished_run("dense", "bm25[by=window]"), encoder=ENCODER, encode_ms=0.0, resamples=100)
    lines = markdown_table(result).splitlines()
    assert lines[0] == "tiny (both_roles), sessions, 10 questions, encoder test-encoder"
    assert lines[2].startswith("| retriever | recall_all@5 | recall_any@5 |")
    assert lines[4].startswith("| dense | 100.0 [100.0, 100.0] |")
    assert lines[5].startswith("| bm25[by=window] |")
    assert lines[4].endswith("| baseline |")
    assert lines[5].endswith("| +0.0 [+0.0, +0.0] |")


def shown(result: dict[str, Any], width: int) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(rich_table(result, width=width))
    return captured.get()


def test_the_terminal_table_shows_names_that_look_like_markup() -> None:
    result = build_result(finished_run("dense", "bm25[by=window]"), encoder=ENCODER, encode_ms=0.0, resamples=100)
    text = shown(result, 160)
    assert "bm25[by=window]" in text
    assert "[100.0, 100.0]" in text
    assert "with 95 % bootstrap intervals" in text


def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_words() -> None:
    result = build_result(finished_run("dense", "bm25[by=window]"), encoder=ENCODER, encode_ms=0.0, resamples=100)
    medium, narrow = shown(result, 110), shown(result, 80)
    assert "[100.0, 100.0]" not in medium
    assert medium.count("@10") == 3
    assert narrow.count("@10") == 1
    assert "…" not in medium + narrow
    assert "bm25[by=window]" in medium
    assert "are in the result file" in narrow


def test_a_single_retriever_has_no_column_of_differences() -> None:
    result = build_result(finished_run("dense"), encoder=ENCODER, encode_ms=0.0, resamples=100)
    assert " vs " not in markdown_table(result)
