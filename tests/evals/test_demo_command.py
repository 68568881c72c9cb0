"""``memagent demo``: what it leaves in the store, what it prints, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from demo_runs import made
from rich.console import Console
from typer.testing import CliRunner

from memagent import Memory
from memagent.cli import app
from memagent.errors import InvalidInput
from memagent.evals.datasets.demo import load_demo
from memagent.evals.demo.command import make_demo
from memagent.evals.demo.storing import store_histories
from memagent.evals.demo.terminal import results_table, show
from memagent.testing import HashingEncoder


def silent(done: int, total: int, doing: str) -> None:
    """Tell nobody."""


def test_the_store_is_left_for_searching_with_every_granularity() -> None:
    demo = made().demo
    with Memory(made().folder / "store", encoder=HashingEncoder(), background=False) as memory:
        assert memory.users() == sorted(history.user_id for history in demo.dataset.histories)
        assert memory.verify()["ok"]
        for user_id, counts in demo.stored.units.items():
            stored = {name: memory.stats(user_id=user_id)[f"{name}_units"] for name in counts}
            assert stored == counts
            assert counts["session"] == counts["summary"] == counts["keywords"] < counts["turn"]


def test_a_second_demo_replaces_the_first_and_leaves_others_alone(tmp_path: Path) -> None:
    histories = load_demo().histories[:1]
    with Memory(tmp_path, encoder=HashingEncoder(), background=False) as memory:
        memory.add("I moved to Lisbon in May.", user_id="ann")
        first = store_histories(memory, histories, silent)
        second = store_histories(memory, histories, silent)
        assert first.units == second.units
        assert memory.stats(user_id="ann")["messages"] == 1


def test_a_real_user_who_is_called_like_an_example_is_not_forgotten(tmp_path: Path) -> None:
    history = load_demo().histories[0]
    with Memory(tmp_path, encoder=HashingEncoder(), background=False) as memory:
        memory.add("I moved to Lisbon in May.", user_id=history.user_id)
        with pytest.raises(InvalidInput, match="who is not the example"):
            store_histories(memory, [history], silent)
        assert memory.stats(user_id=history.user_id)["messages"] == 1


def test_what_is_printed_fits_eighty_columns_and_holds_every_part() -> None:
    written = io.StringIO()
    show(made().demo, Console(file=written, width=80))
    printed = written.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    for part in ("recall_", "hybrid", "Two channels", "rank of the session", "as_of=", "filters=", "memory.context("):
        assert part in printed


def test_no_figure_of_the_table_is_cut_at_eighty_columns() -> None:
    written = io.StringIO()
    Console(file=written, width=80).print(results_table(made().demo.result))
    assert "…" not in written.getvalue()
    for row in made().demo.result["rows"]:
        assert f"{row['metrics']['mrr']['mean'] * 100:.1f}" in written.getvalue()


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    done = CliRunner().invoke(app, ["demo", "--out", str(taken / "inside")])
    assert done.exit_code == 1
    assert "cannot be made" in done.stderr
    assert "--out" in done.stderr


def test_the_demo_says_what_it_does() -> None:
    done = CliRunner().invoke(app, ["demo", "--help"])
    assert done.exit_code == 0
    assert "Example: memagent demo" in done.stdout
    listed = CliRunner().invoke(app, ["--help"]).stdout
    assert "demo" in listed


@pytest.mark.slow
@pytest.mark.no_cover  # the same code as above, with another encoder
def test_the_explanations_of_the_walkthrough_hold_with_the_packaged_encoder(tmp_path: Path) -> None:
    from memagent.encoders import load_encoder

    demo = make_demo(tmp_path, load_encoder())
    english, spanish = demo.walkthrough.worked
    last = {name: max(session.ranks[name] or 99 for session in english.gold) for name in ("dense", "bm25", "hybrid")}
    assert last["hybrid"] < min(last["dense"], last["bm25"])
    ranks = spanish.gold[0].ranks
    assert ranks["bm25"] == ranks["hybrid"] == 1 < (ranks["dense"] or 99)

    def first(hits: object) -> str:
        return hits[0].lines[0][1]  # type: ignore[index, no-any-return]

    as_of, filtered = demo.walkthrough.as_of, demo.walkthrough.filtered
    assert "candesartan" in first(as_of.plain)
    assert "amlodipine" in first(as_of.changed)
    assert all(hit.date < "2025-06-01" for hit in as_of.changed)
    assert "£1,450" not in first(filtered.plain)
    assert "£1,450" in first(filtered.changed)
    assert all("2025-07-01" <= hit.date < "2025-09-01" for hit in filtered.changed)
    assert "$1,150" in demo.walkthrough.context
    assert "$480" in demo.walkthrough.context
    # No retriever finds everything: the questions can tell retrievers apart.
    assert all(0.3 < row["metrics"]["recall_all@5"]["mean"] < 0.9 for row in demo.result["rows"])
