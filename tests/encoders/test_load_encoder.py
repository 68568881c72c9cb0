from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_encoders import edit_json, onnx_float32, onnx_int8, packaged, save_tiny_model, torch_float32, unloaded

from memagent.encoders import load_encoder
from memagent.encoders.files import default_cache_dir
from memagent.encoders.onnx import OnnxEncoder
from memagent.encoders.packaged import PACKAGED_SHA256, check_packaged
from memagent.encoders.sentence_transformers import SentenceTransformersEncoder
from memagent.errors import EncoderError, InvalidInput, UnknownName

REPOSITORY = Path(__file__).resolve().parents[2]


def copied(folder: Path) -> Path:
    shutil.copytree(packaged(), folder)
    return folder


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_the_packaged_model_is_the_default_and_runs_in_onnx() -> None:
    encoder = load_encoder()
    assert isinstance(encoder, OnnxEncoder)
    assert (encoder.name, encoder.dim, encoder.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert encoder.fingerprint.startswith("all-MiniLM-L6-v2/")
    assert load_encoder(precision="int8").name == "all-MiniLM-L6-v2 int8"


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_packaged_model_is_found_under_its_names(name: str) -> None:
    assert load_encoder(name).fingerprint == onnx_float32().fingerprint


def test_a_copy_of_a_model_has_the_same_fingerprint_wherever_it_lies(tmp_path: Path) -> None:
    assert load_encoder(copied(tmp_path / "elsewhere")).fingerprint == onnx_float32().fingerprint


def test_building_an_encoder_loads_nothing(tmp_path: Path) -> None:
    for backend in ("onnx", "torch"):
        encoder = load_encoder(backend=backend, cache_dir=tmp_path)
        assert encoder.dim == 384
        assert unloaded(encoder)
    assert list(tmp_path.iterdir()) == []


def test_with_an_export_encoding_imports_neither_torch_nor_transformers() -> None:
    onnx_float32().encode_queries(["the export exists"])
    onnx_int8().encode_queries(["this one too"])
    code = (
        "import sys\n"
        "from memagent.encoders import load_encoder\n"
        "for precision in ('float32', 'int8'):\n"
        "    assert load_encoder(precision=precision).encode_queries(['When did I move?']).shape == (1, 384)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'sklearn', 'scipy', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(code).strip() == "[]"


def test_importing_the_encoders_and_the_doubles_imports_no_model_library() -> None:
    code = (
        "import sys, memagent.encoders, memagent.testing\n"
        "from memagent.testing import HashingEncoder\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'tokenizers', 'pytest', 'apsw', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(code).strip() == "[]"


def test_a_name_that_cannot_be_found_is_an_encoder_error_with_a_hint(tmp_path: Path) -> None:
    code = (
        "from memagent.encoders import load_encoder\n"
        "from memagent.errors import EncoderError\n"
        "try:\n"
        "    load_encoder('nobody-has/this-model')\n"
        "except EncoderError as error:\n"
        "    print(error)\n"
    )
    printed = run(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert "nobody-has/this-model" in printed
    assert "check the name and the network" in printed


def test_a_model_in_the_hub_cache_is_used_offline(tmp_path: Path, tiny: Path) -> None:
    repository = tmp_path / "hub" / "models--somebody--tiny"
    shutil.copytree(tiny, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40, "utf-8")
    code = (
        "from pathlib import Path\n"
        "from memagent.encoders import load_encoder\n"
        f"encoder = load_encoder('somebody/tiny', cache_dir=Path({str(tmp_path)!r}))\n"
        "print(encoder.name, encoder.dim, type(encoder).__name__)\n"
    )
    assert run(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path)).split() == ["somebody/tiny", "32", "OnnxEncoder"]


@pytest.mark.parametrize("model", ["/nowhere/at/all", "../nowhere", "", "a/b/c", "name with spaces", "x" * 5000, "\0"])
def test_what_is_neither_folder_nor_name_is_an_encoder_error(model: str) -> None:
    with pytest.raises(EncoderError, match="there is no model folder"):
        load_encoder(model)


def test_a_missing_path_is_never_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="there is no model folder"):
        load_encoder(tmp_path / "missing")
    with pytest.raises(EncoderError, match="there is no model folder"):
        load_encoder(Path("missing"))


def test_a_folder_without_a_model_is_an_encoder_error(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="holds no model"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[1]", '[{"type": "x"}]', "\udcff"])
def test_a_damaged_module_list_is_an_encoder_error(tmp_path: Path, tiny: Path, content: str) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / "modules.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(EncoderError):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["config.json", "sentence_bert_config.json", "1_Pooling/config.json"])
def test_a_damaged_setting_is_an_encoder_error(tmp_path: Path, tiny: Path, name: str) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / name).write_text("[1, 2]", "utf-8")
    with pytest.raises(EncoderError, match="damaged"):
        load_encoder(folder)


def test_a_model_without_weights_is_an_encoder_error(tmp_path: Path, tiny: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="no weights"):
        load_encoder(folder)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_truncated_weights_are_an_encoder_error(tmp_path: Path, tiny: Path, backend: Any) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    encoder = load_encoder(folder, backend=backend, cache_dir=tmp_path / "cache")
    with pytest.raises(EncoderError, match="cannot load"):
        encoder.encode_queries(["a"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": 1}'])
def test_a_damaged_tokenizer_is_an_encoder_error(tmp_path: Path, tiny: Path, content: bytes) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / "tokenizer.json").write_bytes(content)
    encoder = load_encoder(folder, cache_dir=tmp_path / "cache")
    with pytest.raises(EncoderError, match="tokenizer"):
        encoder.count_tokens("a")


def test_weights_that_are_not_finite_are_an_encoder_error(tmp_path: Path, tiny: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    save_file({key: np.full_like(value, np.nan) for key, value in weights.items()}, folder / "model.safetensors")
    for backend in ("onnx", "torch"):
        encoder = load_encoder(folder, backend=backend, cache_dir=tmp_path / "cache")
        with pytest.raises(EncoderError):
            encoder.encode_queries(["one"])


def test_changed_weights_of_the_packaged_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="not the official ones"):
        check_packaged(packaged(), "0" * 64)
    check_packaged(packaged(), PACKAGED_SHA256)
    check_packaged(tmp_path, "0" * 64)


def test_fingerprints_change_with_what_moves_vectors_and_with_nothing_else(tmp_path: Path, tiny: Path) -> None:
    def named(change: str, **options: Any) -> str:
        folder = shutil.copytree(tiny, tmp_path / (change or "unchanged"))
        if change == "max_tokens":
            edit_json(folder / "sentence_bert_config.json", max_seq_length=20)
        elif change == "pooling":
            edit_json(folder / "1_Pooling" / "config.json", pooling_mode="cls")
        elif change == "prompt":
            edit_json(folder / "config_sentence_transformers.json", prompts={"query": "query: "})
        elif change == "tokenizer":
            (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text("utf-8") + " ", "utf-8")
        elif change == "normalise":
            (folder / "modules.json").write_text(json.dumps(json.loads((folder / "modules.json").read_text())[:2]))
        elif change == "weights":
            weights = bytearray((folder / "model.safetensors").read_bytes())
            weights[-1] ^= 1
            (folder / "model.safetensors").write_bytes(weights)
        return load_encoder(folder, cache_dir=tmp_path / "cache", **options).fingerprint

    same = {named(""), named("normalise"), named("torch", backend="torch"), named("batch", batch_size=1, threads=1)}
    assert same == {load_encoder(tiny, cache_dir=tmp_path / "cache").fingerprint}
    changes = ("max_tokens", "pooling", "prompt", "tokenizer", "weights")
    others = {named(change) for change in changes} | {named("cut", long_text="truncate"), named("8", precision="int8")}
    assert len(others) == 7
    assert not same & others


def test_chains_that_onnx_cannot_reproduce_go_to_torch(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, pooling="max")
    encoder = load_encoder(folder, cache_dir=tmp_path / "cache")
    assert isinstance(encoder, SentenceTransformersEncoder)
    assert encoder.encode_queries(["one two"]).shape == (1, 32)
    with pytest.raises(EncoderError, match="pooling max"):
        load_encoder(folder, backend="onnx")
    with pytest.raises(EncoderError, match="int8"):
        load_encoder(folder, precision="int8")


def test_settings_that_are_not_known_go_to_torch_which_must_be_told_to_truncate(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    with pytest.raises(EncoderError, match="truncate"):
        load_encoder(folder, cache_dir=tmp_path / "cache").encode_queries(["one"])
    encoder = load_encoder(folder, long_text="truncate", cache_dir=tmp_path / "cache")
    assert isinstance(encoder, SentenceTransformersEncoder)
    assert encoder.max_tokens == 24
    vectors = encoder.encode_documents(["one", "two " * 100, ""])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.count_tokens("one two") == 2


def test_a_model_of_static_vectors_runs_in_torch_without_a_limit(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "one": 1, "two": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.eye(3, 8, dtype=np.float32)
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
    static.save(str(tmp_path / "model"), create_model_card=False)
    encoder = load_encoder(tmp_path / "model", cache_dir=tmp_path / "cache")
    assert (encoder.dim, encoder.max_tokens) == (8, None)
    np.testing.assert_allclose(encoder.encode_documents(["one", "two two"]), weights[1:], atol=1e-6)
    assert encoder.count_tokens("one two two") == 3


def test_a_bare_transformer_is_pooled_by_the_mean(tmp_path: Path) -> None:
    saved = save_tiny_model(tmp_path)
    bare = shutil.copytree(saved, tmp_path / "bare")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (bare / name).unlink()
    shutil.rmtree(bare / "1_Pooling")
    texts = ["one two", "three " * 10]
    encoder = load_encoder(bare, cache_dir=tmp_path / "cache")
    assert isinstance(encoder, OnnxEncoder)
    expected = load_encoder(saved, cache_dir=tmp_path / "cache").encode_documents(texts)
    np.testing.assert_allclose(encoder.encode_documents(texts), expected, atol=1e-5)


def test_poolings_are_read_in_the_old_spelling_too(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    new = load_encoder(folder, cache_dir=tmp_path / "cache")
    old = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old), "utf-8")
    assert load_encoder(folder, cache_dir=tmp_path / "cache").fingerprint == new.fingerprint


@pytest.mark.parametrize("option", [{"backend": "cuda"}, {"precision": "int4"}, {"long_text": "middle"}])
def test_unknown_options_name_the_valid_ones(option: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="use one of"):
        load_encoder(**option)


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"threads": 0}, {"threads": -1}])
def test_sizes_below_one_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        load_encoder(**option)


def test_unknown_shares_are_low_in_the_models_language_and_high_elsewhere() -> None:
    for encoder in (onnx_float32(), torch_float32()):
        assert encoder.unknown_share(["I moved to Lyon in March.", "My cat is called Tom."]) == 0
        assert encoder.unknown_share(["🙂 🙃 👩‍👩‍👧"]) > 0.5
        assert encoder.unknown_share([]) == 0
        assert encoder.unknown_share([""]) == 0


def test_a_forked_child_encodes_with_a_graph_of_its_own() -> None:
    """In a process of its own, because a fork inherits whatever threads the test run has."""
    code = (
        "import os\n"
        "import numpy as np\n"
        "from memagent.encoders import load_encoder\n"
        "encoder = load_encoder()\n"
        "texts = [f'text number {n}' for n in range(64)]\n"
        "expected = encoder.encode_documents(texts)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    raise SystemExit(0 if np.allclose(encoder.encode_documents(texts), expected, atol=1e-5) else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert run(code).strip() == "0"


def test_the_cache_folder_is_the_users() -> None:
    assert default_cache_dir().name == "memagent"
    assert default_cache_dir().is_relative_to(Path.home())
