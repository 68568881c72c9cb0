from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, act, click, people

from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.experiment import Experiment, replayed
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.movielens import load_movielens_1m
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.ratings import split
from memagent.agents.ab.sandbox import Sandbox
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_catalogue, load_tables
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import User
from memagent.errors import DataError, InvalidInput

PACKED = gzip.compress(b"id,title\n" + b"a,A\n" * 50, mtime=0)


@pytest.mark.parametrize("data", [PACKED[:-9], PACKED[:12] + b"\xff\xff\xff\xff" + PACKED[16:], b"id,title", b""])
def test_a_packed_table_that_is_damaged_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "items.csv.gz"
    path.write_bytes(data)
    with pytest.raises((DataError, InvalidInput)):
        load_catalogue(path)


def test_a_parquet_file_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"id": [str(n) for n in range(500)], "title": ["A"] * 500}), path, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"\xff" * 60 + whole[100:])
    with pytest.raises(DataError, match="is no Parquet file"):
        load_catalogue(path)


def test_times_are_given_for_all_ratings_or_for_none(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title\na,A\nb,B\n")
    (tmp_path / "ratings.csv").write_text("user,item,rating,time\nu,a,3,10\nu,b,4,\n")
    with pytest.raises(DataError, match=r"line 3: no time, but others have one"):
        load_tables(items=tmp_path / "items.csv", ratings=tmp_path / "ratings.csv")


def one_million(folder: Path, *, occupation: str = "20", movies: bytes = b"1::A (1999)::Drama\n") -> Path:
    (folder / "movies.dat").write_bytes(movies)
    (folder / "users.dat").write_text(f"7::F::25::{occupation}::0\n")
    (folder / "ratings.csv").write_text("userId,movieId,rating\n7,1,5\n")
    return folder


@pytest.mark.parametrize("occupation", ["21", "-1", "writer", ""])
def test_an_occupation_that_there_is_not_is_refused_with_its_line(tmp_path: Path, occupation: str) -> None:
    with pytest.raises(DataError, match=rf"users.dat, line 1: occupation {occupation!r}"):
        load_movielens_1m(one_million(tmp_path, occupation=occupation))


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"movies.dat is cut off"):
        load_movielens_1m(one_million(tmp_path, movies="1::A::Drama".encode("utf-16")[:-1]))
    (tmp_path / "movies.dat").unlink()
    (tmp_path / "movies.dat.gz").write_bytes(gzip.compress(b"1::A::\n" * 90)[:-5])
    with pytest.raises(DataError, match=r"movies.dat.gz is no whole gzip file"):
        load_movielens_1m(tmp_path)
    (tmp_path / "movies.dat.gz").unlink()
    one_million(tmp_path, movies=b"1::A::\n")
    assert load_movielens_1m(tmp_path).catalogue["1"].genres == ()


def experiment(**settings: object) -> Experiment:
    arms = [FixedArm(IDS[:8], "a"), FixedArm(IDS[4:8], "b")]
    given = {"users": people(30), "policy": Scripted([click(1), act(Kind.BACK)]), **settings}
    return Experiment(catalogue=CATALOGUE, arms=arms, **given)  # type: ignore[arg-type]


def test_a_finished_log_that_was_cut_off_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    trial = experiment(block=10)
    trial.run(tmp_path)
    log = tmp_path / "visits.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:40]))
    with pytest.raises(DataError, match="cut off"):
        trial.run(tmp_path)


def test_events_of_a_session_state_energy_in_one_unit() -> None:
    """What is left of the budget, never a part of it: it only falls, from the budget on."""
    trial = experiment(policy=Scripted([act(Kind.NEXT), click(1), act(Kind.BACK)]), fatigue=Fatigue())
    budget = Fatigue().budget(1)
    left = [event.energy for event in replayed(trial, "u0") if event.arm == "a" and event.energy is not None]
    assert left[0] == budget
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("options", [{"budget": 0}, {"budget": -3.0}, {"budget": float("nan")}, {"activity": 4}])
def test_a_budget_that_is_none_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Sandbox(CATALOGUE).reset(options={"items": IDS, **options})


def test_seeds_begin_at_0() -> None:
    with pytest.raises(InvalidInput, match="seed -1"):
        experiment(seed=-1)


def test_tastes_of_another_catalogue_end_sessions_and_not_the_run() -> None:
    data = synthetic(users=12, items=100)
    policy = TastePolicy.fitted(data, split(data.ratings).validation)
    strange = Catalogue([Item(id="elsewhere", title="Elsewhere")])
    trial = replace(experiment(policy=policy), catalogue=strange, arms=[FixedArm(["elsewhere"])], users=[User(id="u0")])
    other = replayed(trial, "u0")
    assert [event.note for event in other if event.event == "end"] == ["policy_failed"]
