from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.encoders.cache import CachedEncoder, CacheStats
from memagent.errors import StoreBusy, StoreCorrupt, StoreError, StoreUnavailable
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors


class Counting(HashingEncoder):
    """Remembers what it was asked for; queries differ from documents."""

    def __init__(self, dim: int = 64) -> None:
        super().__init__(dim)
        self.asked: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return super().encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return -super().encode_documents(texts)


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    counting = Counting()
    cached = CachedEncoder(counting, tmp_path / "c.sqlite")
    first = cached.encode_documents(["a", "b", "a", "a"])
    assert counting.asked == ["a", "b"]
    second = cached.encode_documents(["b", "c", "a"])
    assert counting.asked == ["a", "b", "c"]
    np.testing.assert_array_equal(first[[1, 0]], second[[0, 2]])
    assert cached.stats() == CacheStats(hits=2, misses=5, entries=3)


def test_another_process_life_finds_what_was_kept(tmp_path: Path) -> None:
    with CachedEncoder(Counting(), tmp_path / "c.sqlite") as cached:
        before = cached.encode_documents(["a", "b"])
    counting = Counting()
    again = CachedEncoder(counting, tmp_path / "c.sqlite")
    np.testing.assert_array_equal(again.encode_documents(["b", "a"]), before[::-1])
    assert counting.asked == []
    again.close()
    assert again.encode_documents(["a"]).shape == (1, 64)


def test_queries_and_documents_are_kept_apart(tmp_path: Path) -> None:
    cached = CachedEncoder(Counting(), tmp_path / "c.sqlite")
    np.testing.assert_array_equal(cached.encode_documents(["a"]), -cached.encode_queries(["a"]))
    np.testing.assert_array_equal(cached.encode_documents(["a"]), -cached.encode_queries(["a"]))


def test_encoders_share_a_file_and_never_each_others_vectors(tmp_path: Path) -> None:
    small, large = (CachedEncoder(HashingEncoder(dim), tmp_path / "c.sqlite") for dim in (32, 64))
    assert small.fingerprint == "hashing/32"
    for _ in range(2):
        assert small.encode_documents(["a"]).shape == (1, 32)
        assert large.encode_documents(["a"]).shape == (1, 64)
    assert small.stats() == large.stats() == CacheStats(hits=1, misses=1, entries=1)


def test_a_folder_stands_for_a_file_in_it(tmp_path: Path) -> None:
    CachedEncoder(HashingEncoder(), tmp_path).encode_queries(["a"])
    assert (tmp_path / "embeddings.sqlite").is_file()
    CachedEncoder(HashingEncoder(), tmp_path / "new" / "folder" / "c.sqlite").encode_queries(["a"])


def test_more_texts_than_a_statement_takes_are_found(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(1201)]
    cached = CachedEncoder(HashingEncoder(16), tmp_path / "c.sqlite")
    np.testing.assert_array_equal(cached.encode_documents(texts), cached.encode_documents(texts))
    assert cached.stats() == CacheStats(hits=1201, misses=1201, entries=1201)


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6), max_size=6)
)
def test_cached_vectors_are_the_encoders_vectors(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]]
) -> None:
    plain = HashingEncoder(16)
    with CachedEncoder(plain, tmp_path_factory.mktemp("cache")) as cached:
        for texts in batches:
            np.testing.assert_array_equal(cached.encode_documents(texts), plain.encode_documents(texts))


def test_an_interrupted_call_keeps_what_it_had_encoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("memagent.encoders.cache._TEXTS_AT_ONCE", 10)

    class Stopped(Counting):
        def encode_documents(self, texts: Sequence[str]) -> Vectors:
            if len(self.asked) == 20:
                raise KeyboardInterrupt
            return super().encode_documents(texts)

    texts = [f"text {n}" for n in range(35)]
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(Stopped(), tmp_path / "c.sqlite").encode_documents(texts)
    counting = Counting()
    CachedEncoder(counting, tmp_path / "c.sqlite").encode_documents(texts)
    assert counting.asked == texts[20:]


def test_the_file_holds_no_text(tmp_path: Path) -> None:
    CachedEncoder(HashingEncoder(), tmp_path).encode_documents(["a secret sentence"])
    for path in tmp_path.iterdir():
        assert b"secret" not in path.read_bytes()


def test_forgetting_erases_every_byte_of_every_encoders_vectors(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(300)]
    caches = [CachedEncoder(encoder, tmp_path / "c.sqlite") for encoder in (HashingEncoder(64), Counting(96))]
    gone = texts[::7]
    traces = []
    for cached in caches:
        for vectors in (cached.encode_documents(texts), cached.encode_queries(texts)):
            traces += [row.tobytes() for row in vectors[::7]]
    assert caches[0].forget([*gone, gone[0], "never seen"]) == 4 * len(gone)
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [trace for trace in traces if trace in raw]
    assert caches[0].forget(gone) == 0
    assert caches[1].stats().entries == 2 * (len(texts) - len(gone))


def test_forgetting_says_when_a_reader_keeps_the_log_alive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("memagent.sqlite_cache._WAIT_MS", 50)
    cached = CachedEncoder(HashingEncoder(), tmp_path / "c.sqlite")
    cached.encode_documents(["a"])
    with closing(apsw.Connection(str(tmp_path / "c.sqlite"))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM vectors").fetchall()
        with pytest.raises(StoreBusy):
            cached.forget(["a"])
    assert cached.forget(["a"]) == 0
    assert cached.stats().entries == 0


def test_a_writer_that_holds_the_file_too_long_is_a_retryable_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("memagent.sqlite_cache._WAIT_MS", 50)
    cached = CachedEncoder(HashingEncoder(), tmp_path / "c.sqlite")
    with closing(apsw.Connection(str(tmp_path / "c.sqlite"))) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy) as caught:
            cached.encode_documents(["a"])
    assert caught.value.retryable
    assert cached.encode_documents(["a"]).shape == (1, 384)


def test_a_damaged_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreCorrupt, match=r"c\.sqlite"):
        CachedEncoder(HashingEncoder(), path)
    assert path.read_bytes().startswith(b"no database")


def test_another_programs_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(apsw.Connection(str(path))) as other:
        other.execute("CREATE TABLE vectors (a)")
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="not an embedding cache"):
        CachedEncoder(HashingEncoder(), path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(StoreUnavailable):
        CachedEncoder(HashingEncoder(), tmp_path / "file" / "c.sqlite")
    assert issubclass(StoreUnavailable, StoreError)


def test_threads_share_one_cache(tmp_path: Path) -> None:
    plain, cached = HashingEncoder(32), CachedEncoder(HashingEncoder(32), tmp_path)
    jobs = [[f"text {(n + m) % 50}" for m in range(10)] for n in range(100)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(cached.encode_documents, jobs))
    for job, vectors in zip(jobs, found, strict=True):
        np.testing.assert_array_equal(vectors, plain.encode_documents(job))
    assert cached.stats().entries == 50


def write_from_another_process(path: Path, number: int) -> None:
    with CachedEncoder(HashingEncoder(32), path) as cached:
        for start in range(20):
            cached.encode_documents([f"text {n}" for n in range(start * 3, start * 3 + 10 + number)])


def test_processes_write_one_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "c.sqlite"
    processes = [context.Process(target=write_from_another_process, args=(path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    counting = Counting(32)
    CachedEncoder(counting, path).encode_documents([f"text {n}" for n in range(69)])
    assert counting.asked == []


def test_a_forked_child_uses_a_connection_of_its_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    path = tmp_path / "c.sqlite"
    cached = CachedEncoder(HashingEncoder(32), path)
    cached.encode_documents(["from the parent"])

    def child() -> None:
        cached.encode_documents(["from the child"])
        assert cached.stats().entries == 2

    process = context.Process(target=child)
    process.start()
    process.join(300)
    assert process.exitcode == 0
    assert cached.stats().entries == 2
    cached.encode_documents(["after it"])
    assert cached.stats().entries == 3
