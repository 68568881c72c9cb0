from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_encoders import onnx_float32, packaged, save_tiny_model

from memagent.encoders import load_encoder
from memagent.encoders.files import default_cache_dir, read_json, remembered_digest, sha256_of, write_json
from memagent.encoders.graph import Graph
from memagent.errors import EncoderError

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = ["one two", "three four five " * 20, ""]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def template(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the tiny model's two exports."""
    folder = tmp_path_factory.mktemp("template")
    load_encoder(tiny, precision="int8", cache_dir=folder).encode_queries(["one"])
    return folder


@pytest.fixture
def cache(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "cache")


def only(cache: Path, name: str) -> Path:
    (found,) = cache.rglob(name)
    return found


def vectors(model: Path, cache: Path, **options: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return load_encoder(model, cache_dir=cache, **options).encode_documents(TEXTS)


def forbid_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr("memagent.encoders.onnx_export._export", refuse)
    monkeypatch.setattr("memagent.encoders.onnx_export._quantise", refuse)


def test_an_export_is_used_again(monkeypatch: pytest.MonkeyPatch, tiny: Path, cache: Path) -> None:
    forbid_export(monkeypatch)
    vectors(tiny, cache)
    vectors(tiny, cache, precision="int8")
    vectors(tiny, cache, long_text="truncate")


def test_a_copied_cache_is_used_although_its_times_changed(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, cache: Path
) -> None:
    forbid_export(monkeypatch)
    os.utime(only(cache, "float32.onnx"), ns=(1, 1))
    vectors(tiny, cache)


DAMAGES = ["truncated", "truncated unseen", "empty", "flipped", "flipped unseen", "removed", "no note", "bad note"]


def damage(path: Path, how: str) -> None:
    before = path.stat()
    content = path.read_bytes()
    note = path.with_suffix(".json")
    if how.startswith("truncated"):
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how.startswith("flipped"):
        path.write_bytes(bytes(byte ^ 0xFF for byte in content[:200]) + content[200:])
    elif how == "removed":
        path.unlink()
    elif how == "no note":
        note.unlink()
    elif how == "bad note":
        note.write_text("{", "utf-8")
    if how.endswith("unseen"):
        # As a failing disk would: the times, and for the first case the note too, look right.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        write_json(note, {**(read_json(note) or {}), "size": path.stat().st_size})


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_damaged_export_is_made_again(tiny: Path, cache: Path, precision: str, how: str) -> None:
    expected = vectors(tiny, cache, precision=precision)
    path = only(cache, f"{precision}.onnx")
    damage(path, how)
    np.testing.assert_allclose(vectors(tiny, cache, precision=precision), expected, atol=1e-5)
    assert (read_json(path.with_suffix(".json")) or {})["sha256"] == sha256_of(path)
    assert not list(cache.rglob("*.partial"))


def test_int8_survives_damage_of_the_float32_file_it_is_made_from(tiny: Path, cache: Path) -> None:
    expected = vectors(tiny, cache, precision="int8")
    damage(only(cache, "float32.onnx"), "truncated")
    only(cache, "int8.onnx").unlink()
    np.testing.assert_allclose(vectors(tiny, cache, precision="int8"), expected, atol=1e-5)


def test_a_failed_export_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path) -> None:
    def half(transformer: object, pooling: str, path: Path) -> None:
        path.write_bytes(b"half a graph")
        raise RuntimeError("the machine stopped here")

    monkeypatch.setattr("memagent.encoders.onnx_export._trace", half)
    with pytest.raises(EncoderError, match="the machine stopped here") as caught:
        vectors(tiny, tmp_path)
    assert 'backend="torch"' in caught.value.hint
    assert not [*tmp_path.rglob("*.onnx"), *tmp_path.rglob("*.partial")]


def test_an_export_that_differs_from_the_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
) -> None:
    from memagent.encoders import onnx_export

    right = onnx_export._trace
    monkeypatch.setattr(onnx_export, "_trace", lambda transformer, pooling, path: right(transformer, "cls", path))
    with pytest.raises(EncoderError, match="differs from the model"):
        vectors(tiny, tmp_path)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_cache_folder_that_cannot_be_written_is_an_encoder_error(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(EncoderError, match="cannot write") as caught:
        vectors(tiny, tmp_path / "file")
    assert "cache_dir" in caught.value.hint


def test_two_processes_that_export_at_once_both_succeed_and_onnx_runtime_reports_nothing(
    tiny: Path, tmp_path: Path
) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from memagent.encoders import load_encoder\n"
        "sys.stdin.readline()\n"
        f"encoder = load_encoder(Path({str(tiny)!r}), precision='int8')\n"
        "print(encoder.encode_queries(['one two']).shape, 'ORT_DISABLE_TELEMETRY' in os.environ)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda process: process.communicate("go\n", timeout=300), started))
    assert outputs == [("(1, 32) False\n", "")] * 2
    assert [process.returncode for process in started] == [0, 0]
    assert not list(tmp_path.rglob("*.partial"))
    # The runtime's telemetry would have left a database and a device identifier here.
    assert not [*tmp_path.rglob("*onnxruntime*"), *tmp_path.rglob("*Microsoft*")]


def test_threads_that_need_the_export_at_once_make_it_once(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
) -> None:
    from memagent.encoders import onnx_export

    made: list[Path] = []
    right = onnx_export._export

    def counted(model: Any, path: Path) -> None:
        made.append(path)
        right(model, path)

    monkeypatch.setattr(onnx_export, "_export", counted)
    encoders = [load_encoder(tiny, cache_dir=tmp_path) for _ in range(2)] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda encoder: encoder.encode_documents(TEXTS), encoders))
    assert len(made) == 1
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-6)


def test_the_packaged_model_recovers_from_a_damaged_export(tmp_path: Path) -> None:
    onnx_float32().encode_queries(["the export exists"])
    cache = shutil.copytree(default_cache_dir() / "onnx", tmp_path / "onnx").parent
    shutil.copytree(default_cache_dir() / "digests", tmp_path / "digests")
    for path in cache.rglob("float32.onnx"):
        with path.open("r+b") as stream:
            stream.truncate(1_000_000)
    encoder = load_encoder(packaged(), cache_dir=cache)
    texts = ["When did I move to Lyon?"]
    np.testing.assert_allclose(encoder.encode_queries(texts), onnx_float32().encode_queries(texts), atol=1e-4)


def test_a_digest_is_read_once_for_each_state_of_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    first = remembered_digest(path, tmp_path / "cache")
    assert first == sha256_of(path)
    path.write_bytes(b"second")
    second = remembered_digest(path, tmp_path / "cache")
    assert second == sha256_of(path) != first
    monkeypatch.setattr("memagent.encoders.files.sha256_of", lambda _: "read again")
    assert remembered_digest(path, tmp_path / "cache") == second
    assert remembered_digest(path, tmp_path / "other cache") == "read again"


def test_a_digest_needs_no_cache_folder_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"content")
    assert remembered_digest(path, path / "not a folder") == sha256_of(path)
    with pytest.raises(EncoderError, match="cannot read"):
        remembered_digest(tmp_path / "missing", tmp_path)


def test_a_graph_refuses_what_it_cannot_run(tiny: Path, cache: Path) -> None:
    graph = Graph(only(cache, "float32.onnx"), threads=1)
    with pytest.raises(EncoderError, match="ONNX Runtime failed"):
        graph.run(np.full((1, 4), 10**9, dtype=np.int64), np.ones((1, 4), dtype=np.int64))
