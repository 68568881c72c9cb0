"""The benchmark itself: what it measures is well-formed. Nothing here looks at how long anything takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from memagent.bench.cli import bench
from memagent.bench.encoder import LiveEncoder, PrecomputedEncoder
from memagent.bench.figures import GROUPS, BenchSettings
from memagent.bench.ingesting import ingestion_rates
from memagent.bench.measure import Timing, compared, resident_bytes
from memagent.bench.run import run_bench
from memagent.bench.searching import exact_search
from memagent.bench.table import HEAD, markdown_table, rich_table
from memagent.bench.texts import Grammar
from memagent.encoders.port import Encoder
from memagent.errors import InvalidInput
from memagent.memory import Memory
from memagent.testing import HashingEncoder

TINY = BenchSettings(
    units=(5, 12),
    users=(1, 3),
    units_per_user=4,
    calls=3,
    opens=1,
    open_users=2,
    only=("search", "add", "open", "users"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[tuple[int, int, str]]]:
    told: list[tuple[int, int, str]] = []
    out = tmp_path_factory.mktemp("bench")
    result = run_bench(
        TINY, out=out, encoder=HashingEncoder(), progress=lambda done, total, doing: told.append((done, total, doing))
    )
    return result, out, told


@pytest.fixture
def result(run: tuple[dict[str, Any], Path, list[tuple[int, int, str]]]) -> dict[str, Any]:
    return run[0]


def figures(result: Mapping[str, Any], group: str) -> list[dict[str, Any]]:
    return [figure for figure in result["figures"] if figure["group"] == group]


def test_the_result_survives_json_unchanged(result: dict[str, Any]) -> None:
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again["figures"] == result["figures"]
    assert again["settings"]["units"] == [5, 12]


def test_every_retriever_is_measured_for_every_size_with_and_without_encoding(result: dict[str, Any]) -> None:
    found = {(figure["what"], figure["units"]) for figure in figures(result, "search")}
    kinds = ("dense", "bm25", "hybrid", "dense, encoding included", "hybrid, encoding included")
    assert found == {(kind, units) for kind in kinds for units in (5, 12)}


def test_changes_openings_and_users_are_measured(result: dict[str, Any]) -> None:
    whats = {(figure["group"], figure["what"]) for figure in result["figures"]}
    assert {("add", "one turn"), ("add", "delete of one turn"), ("add", "update of one turn")} <= whats
    assert {("open", "opening and first hybrid search"), ("open", "memory after a dense search")} <= whats
    assert [figure["users"] for figure in figures(result, "users")] == [1, 1, 3, 3]


def test_every_figure_with_an_alternative_has_its_ratio(result: dict[str, Any]) -> None:
    for figure in result["figures"]:
        assert figure["value"] >= 0
        if figure["against"]:
            assert figure["ratio"] == pytest.approx(figure["value"] / figure["other"])
        else:
            assert figure["ratio"] is None


def test_the_stores_are_removed_and_the_parts_announced(
    run: tuple[dict[str, Any], Path, list[tuple[int, int, str]]],
) -> None:
    result, out, told = run
    assert result["complete"]
    assert list(out.iterdir()) == []
    assert {(done, total) for done, total, _ in told} == {(part, 4) for part in range(4)}


def test_both_tables_show_every_figure(result: dict[str, Any]) -> None:
    markdown = markdown_table(result)
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(rows) == len(result["figures"]) + 2 * 4
    assert all(line.count("|") == len(HEAD) + 1 for line in rows)
    assert rich_table(result).row_count == len(result["figures"]) + 4


@pytest.mark.slow
def test_ingestion_and_start_up_are_measured_with_the_default_encoder(tmp_path: Path) -> None:
    result = run_bench(BenchSettings(texts=16, opens=1, only=("ingest", "startup")), out=tmp_path)
    assert [figure["what"] for figure in result["figures"]] == [
        "bulk ingestion, float32",
        "bulk ingestion, int8",
        "bulk ingestion, precomputed vectors",
        "import memagent",
        "from memagent import Memory",
        "memagent search, whole process",
    ]
    assert all(figure["ratio"] > 0 for figure in result["figures"])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_what_was_measured(tmp_path: Path) -> None:
    def interrupt(done: int, total: int, doing: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    settings = BenchSettings(units=(3,), calls=1, only=("search", "add"))
    result = run_bench(settings, out=tmp_path, encoder=HashingEncoder(), progress=interrupt)
    assert not result["complete"]
    assert {figure["group"] for figure in result["figures"]} == {"search"}
    assert "stopped" in markdown_table(result)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_json_and_markdown(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(bench)
    arguments = ["--out", str(tmp_path / "out"), "--only", "users", "--users", "2", "--units-per-user", "3", "--quick"]
    reply = CliRunner().invoke(app, [*arguments, "--markdown"])
    assert reply.exit_code == 0, reply.output
    written = json.loads((tmp_path / "out" / "bench.json").read_text("utf-8"))
    assert [figure["group"] for figure in written["figures"]] == ["users", "users"]
    assert (tmp_path / "out" / "bench.md").read_text("utf-8") in reply.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "serch"], "search"),
        (["--units", "1e3"], "--units"),
        (["--users", "0"], "at least 1"),
    ],
)
def test_the_command_refuses_what_it_cannot_use(tmp_path: Path, arguments: list[str], message: str) -> None:
    import typer

    app = typer.Typer()
    app.command()(bench)
    reply = CliRunner().invoke(app, ["--out", str(tmp_path), *arguments])
    assert isinstance(reply.exception, InvalidInput)
    assert message in str(reply.exception)


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(InvalidInput, match=GROUPS[0]):
        BenchSettings(only=("serch",))  # type: ignore[arg-type]  # what is tested


def test_ingestion_stores_every_block_in_every_memory_and_compares_it_with_bare_encoding(tmp_path: Path) -> None:
    blocks = [list(Grammar().sessions(7, per_session=4, name=f"{name}-")) for name in "abc"]
    encoded: list[str] = []
    encoders: dict[str, Encoder] = {"one": PrecomputedEncoder(), "other": HashingEncoder()}
    rates = ingestion_rates(tmp_path, encoders, encoded.extend, blocks, lambda doing: None)
    assert set(rates) == {"one", "other"}
    assert all(rate.turns > 0 and rate.ratio > 0 and rate.bare > 0 for rate in rates.values())
    for place, encoder in enumerate(encoders.values()):
        with Memory(tmp_path / str(place), encoder=encoder, background=False) as memory:
            stored = [turn["memory"] for turn in memory.get_all(user_id="user", top_k=None)["results"]]
        assert stored == encoded[-21:]


def test_the_grammar_writes_the_same_texts_for_a_seed_and_others_for_another() -> None:
    first, second, other = Grammar(3), Grammar(3), Grammar(4)
    written = [first.turn() for _ in range(20)]
    assert written == [second.turn() for _ in range(20)]
    assert written != [other.turn() for _ in range(20)]
    assert len({text for turn in written for text in turn}) > 35


def test_sessions_hold_the_turns_asked_for_in_order_of_time() -> None:
    sessions = list(Grammar().sessions(25, per_session=10))
    assert [len(session.messages) for session in sessions] == [20, 20, 10]
    assert len({session.id for session in sessions}) == 3
    times = [message.event_at for session in sessions for message in session.messages]
    assert times == sorted(times)


def test_precomputed_vectors_depend_on_the_text_alone_and_have_unit_length() -> None:
    encoder, same, other = PrecomputedEncoder(), PrecomputedEncoder(), PrecomputedEncoder(seed=1)
    texts = ["a", "b", "", "ü"]
    vectors = encoder.encode_documents(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors, same.encode_queries(texts))
    assert np.abs(vectors @ vectors.T - np.eye(4)).max() < 0.3
    assert other.fingerprint != encoder.fingerprint
    assert not np.array_equal(other.encode_documents(texts), vectors)
    encoder.prepare(["a"])
    np.testing.assert_array_equal(encoder.encode_queries(["a"]), vectors[:1])


def test_a_live_encoder_passes_for_the_precomputed_one() -> None:
    live, precomputed = LiveEncoder(HashingEncoder()), PrecomputedEncoder()
    assert (live.fingerprint, live.dim) == (precomputed.fingerprint, precomputed.dim)
    np.testing.assert_array_equal(live.encode_queries(["a b"]), HashingEncoder().encode_queries(["a b"]))


def test_tasks_are_timed_as_often_as_asked_in_turns() -> None:
    calls: list[str] = []
    times = compared({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 5, block=3)
    assert (times["a"].n, times["b"].n) == (5, 5)
    # one call in each block is not counted
    assert "".join(calls) == "aaaa" + "bbbb" + "aaa" + "bbb"


def test_a_timing_is_in_milliseconds() -> None:
    timing = Timing.of([0.001, 0.002, 0.003])
    assert timing.p50 == pytest.approx(2)
    assert timing.p95 == pytest.approx(2.9)


def test_exact_search_finds_what_sorting_finds() -> None:
    vectors = PrecomputedEncoder(16).encode_documents([str(number) for number in range(30)])
    scores = vectors @ vectors[7]
    assert exact_search(vectors, vectors[7], 4) == list(np.argsort(-scores)[:4])
    assert exact_search(vectors[:3], vectors[7], 5) == list(np.argsort(-scores[:3]))


def test_resident_memory_grows_with_what_is_held() -> None:
    before = resident_bytes()
    held = np.ones(30 << 20, np.uint8)
    assert resident_bytes() - before > 20 << 20
    assert held.all()
