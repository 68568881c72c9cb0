from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared_path

from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.ratings import Ratings, split
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_catalogue, load_tables
from memagent.agents.ab.users import Traits, traits_of, users_of
from memagent.errors import DataError, InvalidInput

ITEMS = 'id,title,genres,year\na,"Ann, the film",Drama|War,1999\nb,Bob,,\n'
RATINGS = "user,item,rating,time\nu,a,5,10\nu,b,3,20\nv,a,4,30\n"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_data_set_of_any_domain_is_read_from_csv(tmp_path: Path) -> None:
    write(tmp_path, items=ITEMS, ratings=RATINGS, users="id,age,city\nu,33,\n")
    data = load_tables(items=tmp_path / "items.csv", ratings=tmp_path / "ratings.csv", users=tmp_path / "users.csv")
    ann = data.catalogue["a"]
    assert (ann.title, ann.genres, ann.rating, ann.votes) == ("Ann, the film", ("Drama", "War"), 4.5, 2)
    assert ann.details == {"year": "1999"}
    assert data.profiles == {"u": {"age": "33"}}
    assert data.ratings.times is not None
    assert data.ratings.times.tolist() == [10, 20, 30]
    assert data.items_of(data.ratings) == {"u": {"a", "b"}, "v": {"a"}}


def test_parquet_and_gzip_hold_the_same_as_csv(tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    write(tmp_path, items=ITEMS, ratings=RATINGS)
    plain = load_tables(items=tmp_path / "items.csv", ratings=tmp_path / "ratings.csv")
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(tmp_path / "ratings.csv"), tmp_path / "ratings.parquet")
    (tmp_path / "items.csv.gz").write_bytes(gzip.compress(ITEMS.encode()))
    other = load_tables(items=tmp_path / "items.csv.gz", ratings=tmp_path / "ratings.parquet")
    assert other.catalogue.fingerprint == plain.catalogue.fingerprint
    assert other.ratings.fingerprint() == plain.ratings.fingerprint()


@pytest.mark.parametrize(
    ("items", "ratings", "said"),
    [
        ("id,name\na,A\n", RATINGS, "items.csv has no column title"),
        (ITEMS, "user,item,rating\nu,a,good\n", "line 2: rating is 'good'"),
        (ITEMS, "user,item,rating\nu,a,6\n", "ratings from 6 to 6"),
        (ITEMS, "user,item,rating\nu,a,nan\n", "line 2: rating is 'nan'"),
        ("id,title,rating\na,A,nan\n", RATINGS, "line 2: rating is 'nan'"),
        (ITEMS, "user,item,rating,time\nu,a,3,1700000000000\n", "times from 1700000000000 to"),
        (ITEMS, "user,item,rating,time\nu,a,3,1e30\n", "times from"),
        (ITEMS, "user,item,rating\nu,zzz,3\n", "'zzz' for one"),
        (ITEMS, "user,item,rating\nu,a\n", "line 2: something is missing"),
        (ITEMS, "user,item,rating\nu,a,3,4\n", "line 2: more fields"),
        (ITEMS + "c,C,,,,,,\n", RATINGS, "line 4: more fields"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, items: str, ratings: str, said: str
) -> None:
    write(tmp_path, items=items, ratings=ratings)
    with pytest.raises(DataError, match=said):
        load_tables(items=tmp_path / "items.csv", ratings=tmp_path / "ratings.csv")


def test_files_that_are_missing_or_no_table_are_refused(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataError, match="there is no file"):
            load_catalogue(tmp_path / name)
    for name in ("bad.csv", "bad.parquet", "bad.csv.gz"):
        (tmp_path / name).write_bytes(b"\xff\xff not a table")
        with pytest.raises(DataError, match="is no"):
            load_catalogue(tmp_path / name)
    (tmp_path / "empty.csv").write_text("id,title\n")
    with pytest.raises(InvalidInput, match="empty"):
        load_catalogue(tmp_path / "empty.csv")


def hundred(folder: Path, encode: Callable[[str], bytes] = str.encode) -> Path:
    item = "1|Amélie (1995)|01-Jan-1995||http://x|0|1|1\n2|Odd|||http://x|1|0|0\n"
    texts = {"u.item": item, "u.genre": "unknown|0\nComedy|1\nDrama|2\n", "u.user": "7|24|M|writer|0\n"}
    for name, text in {**texts, "u.data": "7\t1\t5\t100\n7\t2\t1\t50\n"}.items():
        (folder / name).write_bytes(encode(text))
    return folder


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_movielens_is_read_in_whichever_encoding_it_came(tmp_path: Path, encoding: str) -> None:
    data = load_movielens_100k(hundred(tmp_path, lambda text: text.encode(encoding)))
    assert [(item.title, item.genres) for item in data.catalogue.items] == [
        ("Amélie (1995)", ("Comedy", "Drama")),
        ("Odd", ()),
    ]
    assert data.profiles["7"] == {"age": "24", "gender": "M", "occupation": "writer"}
    parts = split(data.ratings, shares=(0.5, 0.5, 0))
    assert parts.train.items.tolist() == [1]


def test_plots_in_another_encoding_than_the_titles_are_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("1::Amélie (2001)::Comedy|Drama\n2::Odd (1999)::Drama\n".encode("latin-1"))
    told = "1::Amélie::2001::R::02 Nov 2001::Comedy::Jeunet::Laurant::Tautou, Kassovitz::In Åre, she…::https://x/a.jpg"
    none = "2::Odd::1999::N/A::N/A::Drama::N/A::N/A::N/A::N/A::N/A"  # the Å holds the byte of another line break
    (tmp_path / "movies_extrainfos.dat").write_bytes(f"{told}\r\n{none}\r\n".encode())
    (tmp_path / "users.dat").write_text("7::F::25::20::0\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n7,1,5\n")
    first, second = load_movielens_1m(tmp_path).catalogue.items
    assert (first.title, first.overview, first.poster) == ("Amélie (2001)", "In Åre, she…", "https://x/a.jpg")
    assert first.details == {"released": "02 Nov 2001", "directors": "Jeunet", "cast": "Tautou, Kassovitz"}
    assert (second.overview, second.poster, second.details) == ("", None, {})


def test_posters_and_further_columns_of_a_table_reach_the_item(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "id": "a",
            "title": "A",
            "poster": "p/a.png",
            "overview": "Of A.",
            "cast": ["Ann", "Bo"],
            "votes": 3.0,
            "year": 1999,
        },
        {"id": "b", "title": "B", "poster": None, "overview": None, "cast": [], "votes": float("nan"), "year": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
    first, second = load_catalogue(tmp_path / "items.parquet").items
    assert (first.poster, first.overview, first.votes) == ("p/a.png", "Of A.", 3)
    assert first.details == {"cast": "Ann, Bo", "year": "1999"}
    assert (second.poster, second.overview, second.votes, second.details) == (None, "", 0, {})
    (tmp_path / "items.csv").write_text("id,title,votes\na,A,inf\n")
    with pytest.raises(DataError, match="line 2: votes is 'inf'"):
        load_catalogue(tmp_path / "items.csv")


def test_a_movielens_folder_with_something_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no u\.genre"):
        load_movielens_100k(tmp_path)
    (hundred(tmp_path) / "u.data").write_text("7\t1\tfive\t100\n")
    with pytest.raises(DataError, match=r"u\.data, line 1"):
        load_movielens_100k(tmp_path)
    (tmp_path / "u.data").write_text("7\t1\t5\t100\n")
    (tmp_path / "poster_urls.csv").write_text('1,"http://poster.example/1\n' + "2,http://poster.example/2\n" * 6_000)
    with pytest.raises(DataError, match=r"poster_urls\.csv, line \d+"):
        load_movielens_100k(tmp_path)


@pytest.mark.data
def test_the_real_movielens_100k_has_its_known_counts() -> None:
    data = load_movielens_100k(shared_path("recsys", "ml-100k"))
    assert (len(data.user_ids), len(data.catalogue), len(data.ratings)) == (943, 1682, 100_000)
    assert data.catalogue["1"].title == "Toy Story (1995)"
    assert data.catalogue["1"].votes == 452
    posters = [item.poster for item in data.catalogue.items if item.poster]
    assert len(posters) == 1592
    assert all(poster.startswith("https://") for poster in posters)


@pytest.mark.data
def test_the_real_movielens_1m_has_its_known_counts_and_plots() -> None:
    data = load_movielens_1m(shared_path("recsys", "ml-1m"))
    assert (len(data.user_ids), len(data.catalogue), len(data.ratings)) == (6040, 3883, 1_000_209)
    assert data.ratings.times is None
    assert "Woody" in data.catalogue["1"].overview
    items = data.catalogue.items
    assert sum(bool(item.overview) for item in items) == sum(bool(item.poster) for item in items) == 3845
    assert sum("cast" in item.details for item in items) == 3874
    assert not any("Ã" in item.overview or item.overview == "N/A" for item in items)
    assert data.profiles["1"] == {"gender": "F", "age": "1", "occupation": "school student"}


def rows(users: list[int], times: list[int] | None = None) -> Ratings:
    n = len(users)
    return Ratings(
        users=np.array(users, dtype=np.int64),
        items=np.arange(n, dtype=np.int64),
        ratings=np.ones(n),
        times=None if times is None else np.array(times, dtype=np.int64),
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), min_size=1, max_size=80), st.booleans())
def test_the_parts_of_a_split_hold_every_row_once_and_none_is_trained_on_the_future(
    made: list[tuple[int, int]], timed: bool
) -> None:
    users, times = [user for user, _ in made], [time for _, time in made]
    given_rows = rows(users, times if timed else None)
    parts = split(given_rows)
    assert sorted(item for part in parts for item in part.items.tolist()) == list(range(len(made)))
    for user in set(users):
        sizes = [int((part.users == user).sum()) for part in parts]
        n = users.count(user)
        assert abs(sizes[0] - 0.7 * n) <= 1
        if timed:
            ends = [part.times[part.users == user].tolist() for part in parts if part.times is not None]
            assert [time for end in ends for time in end] == sorted(time for end in ends for time in end)


def test_a_split_by_time_cuts_all_users_at_the_same_moment() -> None:
    parts = split(rows([0] * 10 + [1] * 10, list(range(20))), by="time")
    assert parts.train.times is not None
    assert parts.train.times.max() == 13
    assert set(parts.test.users.tolist()) == {1}
    assert len(split(rows([0] * 1000), data_share=0.5).train) < 450


def test_a_split_that_makes_no_sense_is_refused() -> None:
    for bad in ({"shares": (0.5, 0.5)}, {"shares": (0.5, 0.6, -0.1)}, {"data_share": 0.0}, {"by": "user-time"}):
        with pytest.raises(InvalidInput):
            split(rows([0, 0]), **bad)


def test_traits_by_hand() -> None:
    data = synthetic(users=30, items=100)
    by_count = np.argsort([-(data.ratings.users == user).sum() for user in range(30)], kind="stable")
    traits = traits_of(data.ratings, data.catalogue, 31)
    assert traits[by_count[0]].activity == 3
    assert traits[by_count[-1]].activity == 1
    assert [sum(t.activity == level for t in traits[:30]) for level in (1, 2, 3)] == pytest.approx([18, 9, 3], abs=2)
    assert traits[30] == Traits()
    assert users_of(data, data.ratings, ids=["u0", "stranger"])[1].cold


def test_a_site_shows_the_ratings_that_it_knows_and_no_held_out_ones(tmp_path: Path) -> None:
    items = "id,title,rating,votes\na,A,,\nb,B,2.5,90\nc,C,,\n"
    write(tmp_path, items=items, ratings="user,item,rating\nu,a,5\nu,b,5\nv,a,2\nv,c,4\n")
    data = load_tables(items=tmp_path / "items.csv", ratings=tmp_path / "ratings.csv")
    assert [(item.rating, item.votes) for item in data.catalogue.items] == [(3.5, 2), (2.5, 90), (4.0, 1)]
    first = data.ratings.rows(data.ratings.users == 0)
    shown = data.catalogue_by(first)
    assert [(item.rating, item.votes) for item in shown.items] == [(5.0, 1), (2.5, 90), (None, 0)]
    assert shown.ids == data.catalogue.ids
    assert data.catalogue_by(data.ratings).fingerprint == data.catalogue.fingerprint
