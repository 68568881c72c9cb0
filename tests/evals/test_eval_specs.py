from __future__ import annotations

import pytest

from memagent.errors import DuplicateId, InvalidInput, UnknownName
from memagent.evals.specs import baseline_label, parse_specs
from memagent.retrievers import Bm25, Dense


def test_a_name_alone_is_the_retriever_with_its_defaults() -> None:
    (spec,) = parse_specs(["dense"])
    assert (spec.label, spec.name, spec.retriever) == ("dense", "dense", Dense())
    assert spec.params["by"] == "turn-max"


def test_parameters_in_brackets_are_part_of_the_label() -> None:
    first, second = parse_specs(["dense[by=session]", " dense[ by = turn-top , m=5 ] "])
    assert (first.label, first.retriever) == ("dense[by=session]", Dense(by="session"))
    assert (second.label, second.retriever) == ("dense[by=turn-top,m=5]", Dense(by="turn-top", m=5))


def test_settings_hold_for_every_spec_of_the_name_that_does_not_say_otherwise() -> None:
    specs = parse_specs(["bm25", "bm25[k1=0.9]", "dense"], ["bm25.k1=1.5", "bm25.b=0.5"])
    assert [spec.retriever for spec in specs] == [Bm25(k1=1.5, b=0.5), Bm25(k1=0.9, b=0.5), Dense()]
    assert [spec.label for spec in specs] == ["bm25", "bm25[k1=0.9]", "dense"]


@pytest.mark.parametrize(
    ("specs", "settings", "says"),
    [
        (["nope"], [], "'dense'"),
        (["dense[nope=1]"], [], "'by'"),
        (["bm25"], ["bm25.nope=1"], "'k1'"),
        (["bm25"], ["dense.m=1"], "use one of bm25"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(specs: list[str], settings: list[str], says: str) -> None:
    with pytest.raises(UnknownName, match=says):
        parse_specs(specs, settings)


@pytest.mark.parametrize(
    ("specs", "settings"),
    [
        ([], []),
        ([""], []),
        (["dense["], []),
        (["dense[by]"], []),
        (["dense[by=session,by=session]"], []),
        (["dense[m=lots]"], []),
        (["bm25"], ["k1=1.5"]),
        (["bm25"], ["bm25.k1"]),
        (["bm25"], [".k1=1"]),
    ],
)
def test_what_cannot_be_read_is_refused(specs: list[str], settings: list[str]) -> None:
    with pytest.raises(InvalidInput):
        parse_specs(specs, settings)


def test_the_same_spec_twice_is_refused() -> None:
    with pytest.raises(DuplicateId, match="twice"):
        parse_specs(["bm25", "dense", "bm25"])


def test_the_baseline_is_the_one_named_or_the_first() -> None:
    specs = parse_specs(["bm25", "dense"])
    assert baseline_label(specs, None) == "bm25"
    assert baseline_label(specs, "dense") == "dense"
    with pytest.raises(UnknownName, match="use one of bm25, dense"):
        baseline_label(specs, "hybrid")
