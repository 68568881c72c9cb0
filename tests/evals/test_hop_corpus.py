"""A passage corpus as a bank: found again, never half made, searched by every retriever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hop_examples import world
from shared_data import shared_path

from memagent.agents.reason_rag.searching import Searcher
from memagent.errors import InvalidInput
from memagent.evals.multihop.corpus import open_corpus
from memagent.evals.multihop.files import load_hops
from memagent.evals.specs import parse_specs
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors


class Counted(HashingEncoder):
    """Counts the documents that it encodes, or is interrupted."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__(dim=64)
        self.documents = 0
        self._broken = broken

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        if self._broken:
            raise KeyboardInterrupt
        self.documents += len(texts)
        return super().encode_documents(texts)


def test_it_is_stored_once_and_then_only_opened(tmp_path: Path) -> None:
    passages, encoder = world().passages, Counted()
    encoded = []
    for _ in range(2):
        with open_corpus(passages, encoder, folder=tmp_path) as corpus:
            found = corpus.search(passages[5].title, 3, "bm25")
        assert found[0].id == passages[5].id
        assert (found[0].title, found[0].text) == (passages[5].title, passages[5].text)
        encoded.append(encoder.documents)
    assert encoded[0] == encoded[1] == len(passages)
    changed = (replace(passages[0], text="Something else."), *passages[1:])
    with open_corpus(changed, encoder, folder=tmp_path) as corpus:
        assert corpus.search("something else", 1, "bm25")[0].id == passages[0].id
    assert len(list((tmp_path / "corpora").iterdir())) == 2


def test_one_that_was_not_finished_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_corpus(world().passages, Counted(broken=True), folder=tmp_path):
        pass
    assert list((tmp_path / "corpora").iterdir()) == []


@pytest.mark.parametrize("name", ["dense", "bm25", "hybrid", "adaptive", "rf-mem", "memgas"])
def test_every_retriever_searches_it(name: str) -> None:
    data = world()
    specs = parse_specs([name])
    with open_corpus(data.passages[:100], HashingEncoder(dim=64), specs=specs) as corpus:
        searcher = corpus.searcher(specs[0].retriever)
        assert isinstance(searcher, Searcher)
        found = searcher.search(data.passages[7].title, 5)
    assert data.passages[7].id in {document.id for document in found}
    assert len(found) == 5


def test_an_empty_corpus_and_an_empty_query_find_nothing() -> None:
    with open_corpus((), HashingEncoder(dim=64)) as corpus:
        assert corpus.search("anything", 3, "hybrid") == ()
    with open_corpus(world().passages[:3], HashingEncoder(dim=64)) as corpus:
        assert corpus.search("  ", 3, "hybrid") == ()


def test_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    passage = world().passages[0]
    with (
        pytest.raises(InvalidInput, match="same id"),
        open_corpus((passage, passage), HashingEncoder(dim=64)),
    ):
        pass
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        pytest.raises(InvalidInput, match="cannot hold the corpus"),
        open_corpus((passage,), HashingEncoder(dim=64), folder=blocked),
    ):
        pass


@pytest.mark.data
def test_bm25_finds_on_real_passages_about_what_an_independent_one_finds() -> None:
    """Plain BM25 without stemming has a recall@5 of 0.510 on both halves of PopQA; passages, not questions, differ."""
    paths = [shared_path("multihop", f"popqa.{kind}.jsonl.gz") for kind in ("questions", "corpus")]
    data = load_hops("popqa", paths)
    with open_corpus(data.passages, HashingEncoder(dim=64)) as corpus:
        shares = [
            len(set(question.gold) & {one.id for one in corpus.search(question.text, 5, "bm25")}) / len(question.gold)
            for question in data.questions[:150]
        ]
    assert sum(shares) / len(shares) == pytest.approx(0.51, abs=0.06)
