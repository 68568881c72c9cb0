from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from memagent import retrievers
from memagent.errors import InvalidInput, UnknownName
from memagent.retrievers import Bm25, Dense, Hybrid, make, names, parameters, parse_param, register, registry


def test_the_retrievers_have_names() -> None:
    assert names() == tuple(sorted(names()))
    assert {"dense", "bm25", "hybrid"} <= set(names())
    for name, kind in (("dense", Dense), ("bm25", Bm25), ("hybrid", Hybrid)):
        assert make(name) == kind()
        assert make(name).name == name


def test_parameters_may_be_values_or_texts() -> None:
    assert make("dense", by="turn-top", m="5", mmr_lambda="0.5") == Dense(by="turn-top", m=5, mmr_lambda=0.5)
    assert make("dense", m=5, mmr_lambda=None) == Dense(m=5)
    assert make("bm25", k1="0.9", b=1) == Bm25(k1=0.9, b=1.0)
    assert make("hybrid", fusion="rrf", window="0").retrieve is not None


@pytest.mark.parametrize(
    ("name", "field", "text", "value"),
    [
        ("dense", "mmr_lambda", "none", None),
        ("dense", "mmr_lambda", "", None),
        ("dense", "mmr_lambda", 1, 1.0),
        ("dense", "pool", " 7 ", 7),
        ("bm25", "k1", "1e-1", 0.1),
        ("hybrid", "dense_norm", "z", "z"),
    ],
)
def test_a_text_is_read_by_the_type_of_its_field(name: str, field: str, text: Any, value: Any) -> None:
    assert parse_param(name, field, text) == value
    assert type(parse_param(name, field, text)) is type(value)


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("dense", "m", "2.5", "a whole number"),
        ("dense", "m", 2.5, "a whole number"),
        ("dense", "m", True, "a whole number"),
        ("dense", "m", None, "a whole number"),
        ("dense", "by", "turns", "one of 'turn-max', 'turn-mean', 'turn-top', 'session'"),
        ("dense", "mmr_lambda", "half", "a number or 'none'"),
        ("bm25", "k1", [1.0], "a number"),
        ("bm25", "b", "9" * 5000, "from 0 to 1"),
        ("bm25", "b", 10**400, "a number"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_does(name: str, field: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make(name, **{field: value})


def test_names_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownName, match="'bm25', 'dense', 'hybrid'"):
        make("densee")
    with pytest.raises(UnknownName, match="'k1', 'b'"):
        make("bm25", k="1")
    with pytest.raises(UnknownName, match="unknown retriever"):
        make(["dense"])  # type: ignore[arg-type]  # what a caller without types may pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    name: ClassVar[str] = "odd"

    strict: bool = False
    label: str = ""
    sizes: tuple[int, ...] = ()


def test_a_retriever_can_be_added_by_its_class_or_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_places", dict(registry._places))
    register("odd", Odd)
    register("odd", Odd)
    register("also-dense", "memagent.retrievers.dense:Dense")
    assert "odd" in names()
    assert parameters("odd") == {"strict": bool, "label": str, "sizes": tuple[int, ...]}
    assert type(make("also-dense")) is Dense
    assert [parse_param("odd", "strict", text) for text in ("yes", "False", "1", True)] == [True, False, True, True]
    assert parse_param("odd", "label", "7") == "7"
    for field, value in (("strict", "maybe"), ("strict", 1), ("label", 7), ("sizes", "1,2")):
        with pytest.raises(InvalidInput, match=f"odd.{field}"):
            parse_param("odd", field, value)
    with pytest.raises(InvalidInput, match="taken"):
        register("dense", Odd)


def test_importing_the_package_imports_no_retriever() -> None:
    code = (
        "import sys, memagent.retrievers as r; r.names(); r.register('x', 'no.such:Place');"
        "assert 'memagent.retrievers.dense' not in sys.modules and 'numpy' not in sys.modules;"
        "r.Dense; assert 'memagent.retrievers.hybrid' not in sys.modules;"
        "assert not {'torch', 'faiss', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_those_listed() -> None:
    assert dir(retrievers) == sorted(retrievers.__all__)
    for name in retrievers.__all__:
        assert getattr(retrievers, name) is not None
    with pytest.raises(AttributeError, match="Sparse"):
        _ = retrievers.Sparse
