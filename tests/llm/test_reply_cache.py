from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import InvalidInput, StoreCorrupt, StoreReadOnly, StoreUnavailable
from memagent.llm import ReplyCache, TokenLogprob, Usage
from memagent.llm.cache import _packed, _unpacked
from memagent.llm.reply import Raw

RAW = Raw(
    text="Hi \ud83d there",
    finish="stop",
    usage=Usage(input=7, output=2, cached=3),
    logprobs=(TokenLogprob(token="Hi", logprob=-0.25, top=(("Hi", -0.25), ("Ho", -3.5))),),
)


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_replies_survive_a_restart(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), RAW)
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        assert cache.get(key(1)) == RAW
        assert cache.stats().entries == 1
        assert cache.stats().damaged is None


def test_nothing_is_made_before_it_is_used(tmp_path: Path) -> None:
    ReplyCache(tmp_path / "deep" / "replies.sqlite").close()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "deep" / "replies.sqlite") as cache:
        cache.put(key(1), RAW)
        assert (tmp_path / "deep" / "replies.sqlite").stat().st_mode & 0o077 == 0


def test_a_reply_is_replaced_and_all_are_erased(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.put(key(1), RAW)
        cache.put(key(1), Raw(text="other"))
        assert cache.get(key(1)) == Raw(text="other")
        assert cache.clear() == 1
        assert cache.get(key(1)) is None


finite = st.floats(allow_nan=False, allow_infinity=False)
tokens = st.builds(
    TokenLogprob, token=st.text(), logprob=finite, top=st.lists(st.tuples(st.text(), finite), max_size=3).map(tuple)
)
usages = st.builds(Usage, input=st.integers(0), output=st.integers(0), cached=st.integers(0), estimated=st.booleans())
raws = st.builds(
    Raw,
    text=st.text(st.characters()),
    finish=st.sampled_from(["stop", "length"]),
    usage=usages,
    logprobs=st.none() | st.lists(tokens, max_size=3).map(tuple),
)


@given(raws)
def test_a_reply_is_packed_without_loss(raw: Raw) -> None:
    assert _unpacked(key(1), _packed(key(1), raw)) == raw
    assert _unpacked(key(2), _packed(key(1), raw)) is None


@given(st.binary(max_size=100))
def test_bytes_that_are_no_reply_are_none(data: bytes) -> None:
    assert _unpacked(key(1), data) is None


@given(raws, st.data())
def test_a_damaged_reply_is_none(raw: Raw, data: st.DataObject) -> None:
    packed = bytearray(_packed(key(1), raw))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    assert _unpacked(key(1), bytes(packed)) is None


def filled(path: Path, count: int = 400) -> None:
    with ReplyCache(path) as cache:
        for number in range(count):
            cache.put(key(number), Raw(text=f"reply {number} " + os.urandom(200).hex()))


@pytest.mark.parametrize("begin", [100, 5000, 40_000])
def test_a_damaged_file_is_moved_aside_and_the_run_goes_on(tmp_path: Path, begin: int) -> None:
    path = tmp_path / "replies.sqlite"
    filled(path)
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(b"\x55" * 60_000)
    with ReplyCache(path) as cache:
        found = [cache.get(key(number)) for number in range(400)]
        assert all(raw is None or raw.text.startswith(f"reply {number} ") for number, raw in enumerate(found))
        cache.put(key(1), RAW)
        assert cache.get(key(1)) == RAW
        damaged = cache.stats().damaged
    assert damaged is not None
    assert damaged.name == "replies.sqlite.damaged"
    assert damaged.stat().st_size > 100_000
    with ReplyCache(path) as cache:
        assert cache.get(key(1)) == RAW


def test_a_file_that_was_cut_off_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    filled(path)
    with path.open("r+b") as file:
        file.truncate(30_000)
    with ReplyCache(path) as cache:
        for number in range(400):
            cache.put(key(number), RAW)
        assert all(cache.get(key(number)) == RAW for number in range(400))


@pytest.mark.parametrize(
    "content", [b"not a database at all, but somebody's notes\n" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt), ReplyCache(path) as cache:
        cache.get(key(1))
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".damaged"] == []


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with apsw.Connection(str(path)) as connection:
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="not a reply cache"), ReplyCache(path) as cache:
        cache.put(key(1), RAW)
    assert path.read_bytes() == before


def test_a_cache_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    filled(path, 1)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreCorrupt, match="of this version"), ReplyCache(path) as cache:
        cache.get(key(0))
    assert path.is_file()


def test_an_empty_file_is_a_new_cache(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    path.touch()
    with ReplyCache(path) as cache:
        cache.put(key(1), RAW)
        assert cache.stats().entries == 1


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable), ReplyCache(tmp_path / "file" / "replies.sqlite") as cache:
        cache.get(key(1))
    with pytest.raises(InvalidInput):
        ReplyCache("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    filled(tmp_path / "replies.sqlite", 1)
    (tmp_path / "replies.sqlite").chmod(0o400)
    with pytest.raises((StoreReadOnly, StoreUnavailable)), ReplyCache(tmp_path) as cache:
        cache.put(key(1), RAW)


def test_many_threads_share_one_cache(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:

        def work(start: int) -> None:
            for number in range(start, start + 25):
                cache.put(key(number), Raw(text=str(number)))

        threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 200, 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [cache.get(key(number)) for number in range(200)] == [Raw(text=str(number)) for number in range(200)]


CHILD = """
import hashlib, os, sys
from memagent.llm import ReplyCache
from memagent.llm.reply import Raw
cache = ReplyCache(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    cache.put(hashlib.sha256(str(number).encode()).digest(), Raw(text=str(number)))
os.kill(os.getpid(), 9)
"""


def test_processes_share_one_cache_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "replies.sqlite")
    arguments = [[path, "0", "40"], [path, "40", "80"]]
    children = [subprocess.Popen([sys.executable, "-c", CHILD, *one]) for one in arguments]
    assert [child.wait(300) for child in children] == [-9, -9]
    with ReplyCache(path) as cache:
        assert [cache.get(key(number)) for number in range(80)] == [Raw(text=str(number)) for number in range(80)]


def test_a_forked_child_opens_the_file_for_itself(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.put(key(1), RAW)
        child = os.fork()
        if child == 0:
            cache.put(key(2), RAW)
            os._exit(0 if cache.get(key(1)) == RAW else 1)
        assert os.waitpid(child, 0)[1] == 0
        cache.put(key(3), RAW)
        assert cache.stats().entries == 3
