"""A passage corpus as a bank: each passage a session of one turn, kept on disk so that a second run only opens it.

The same store, indexes and retrievers as for a user's memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from memagent._version import __version__
from memagent.agents.reason_rag.searching import Document
from memagent.errors import InvalidInput
from memagent.evals.specs import edges_used, units_used
from memagent.records import Message, Session

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.encoders.port import Encoder
    from memagent.evals.multihop.questions import Passage
    from memagent.evals.specs import RetrieverSpec
    from memagent.evals.storing import Say
    from memagent.retrievers.port import Retriever

CORPUS = "corpus"
"""The user that a corpus is stored for."""

_SAID = datetime(2000, 1, 1, tzinfo=UTC)
_BATCH = 1000


class Corpus:
    """A stored corpus, ready to be searched from several threads."""

    def __init__(self, memory: Memory, passages: Sequence[Passage]) -> None:
        self._memory = memory
        self._passages: Mapping[str, Passage] = {passage.id: passage for passage in passages}

    def searcher(self, retriever: Retriever | str) -> CorpusSearcher:
        """A searcher of this corpus with one retriever."""
        return CorpusSearcher(self, retriever)

    def search(self, query: str, k: int, retriever: Retriever | str) -> tuple[Document, ...]:
        """The k passages that fit best, best first."""
        if not query.strip() or not self._passages:
            return ()
        reply = self._memory.search(query, user_id=CORPUS, top_k=k, retriever=retriever, granularity="session")
        found = [(self._passages[result["session_id"]], result["score"]) for result in reply["results"]]
        return tuple(
            Document(id=passage.id, title=passage.title, text=passage.text, score=score) for passage, score in found
        )


class CorpusSearcher:
    """Searches one corpus with one retriever: a :class:`~memagent.agents.reason_rag.Searcher`."""

    def __init__(self, corpus: Corpus, retriever: Retriever | str) -> None:
        self._corpus = corpus
        self._retriever = retriever

    def search(self, query: str, k: int) -> tuple[Document, ...]:
        """The k passages that fit best, best first."""
        return self._corpus.search(query, k, self._retriever)


@contextmanager
def open_corpus(
    passages: Sequence[Passage],
    encoder: Encoder,
    *,
    folder: Path | None = None,
    specs: Sequence[RetrieverSpec] = (),
    say: Say | None = None,
) -> Iterator[Corpus]:
    """The passages in a store: in memory, or in a folder of ``folder``, where it is found again the next time.

    ``specs``: the retrievers that will search it; summaries, keywords and links are made only if they use them. A
    store that was not finished is not used. Raises InvalidInput for two passages of one id.
    """
    if len({passage.id for passage in passages}) < len(passages):
        raise InvalidInput("two passages have the same id", hint="give each passage an id of its own")
    tell = say or _silent
    if folder is None:
        with closing(_memory(":memory:", encoder, specs)) as memory:
            _store(memory, passages, tell, derived=_derives(specs))
            yield Corpus(memory, passages)
        return
    place = folder / "corpora" / _key(passages, encoder, specs)
    if not place.is_dir():
        _build(place, passages, encoder, specs, tell)
    with closing(_memory(place, encoder, specs)) as memory:
        yield Corpus(memory, passages)


def _build(
    place: Path, passages: Sequence[Passage], encoder: Encoder, specs: Sequence[RetrieverSpec], say: Say
) -> None:
    """Store the passages beside ``place``, and put them there when all are stored."""
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        with closing(_memory(unfinished, encoder, specs)) as memory:
            _store(memory, passages, say, derived=_derives(specs))
        if not place.is_dir():  # another process may have been faster
            unfinished.rename(place)
    except OSError as error:
        raise InvalidInput(
            f"{place.parent} cannot hold the corpus: {error.strerror}", hint="choose another --cache-dir, or --no-cache"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _memory(path: str | Path, encoder: Encoder, specs: Sequence[RetrieverSpec]) -> Memory:
    from memagent import Memory
    from memagent.retrievers.association import Association

    return Memory(
        path,
        encoder=encoder,
        granularities=("turn", "session", *sorted(units_used(specs))),
        association=Association() if edges_used(specs) else None,
        background=False,
    )


def _store(memory: Memory, passages: Sequence[Passage], say: Say, *, derived: bool) -> None:
    for start in range(0, len(passages), _BATCH):
        say(f"storing passages ({start} of {len(passages)})")
        memory.add_many([_session(passage) for passage in passages[start : start + _BATCH]], user_id=CORPUS)
    if derived and passages:
        say(f"summarising and linking {len(passages)} passages")
        memory.flush(user_id=CORPUS)


def _session(passage: Passage) -> Session:
    content = "\n".join(filter(None, (passage.title, passage.text)))
    said = Message(id=passage.id, role="user", content=content, event_at=_SAID, bare=True)
    return Session(id=passage.id, messages=(said,))


def _derives(specs: Sequence[RetrieverSpec]) -> bool:
    return bool(units_used(specs)) or edges_used(specs)


def _key(passages: Sequence[Passage], encoder: Encoder, specs: Sequence[RetrieverSpec]) -> str:
    """Stands for all that the stored corpus depends on."""
    digest = hashlib.sha256(f"1 {__version__} {encoder.fingerprint}".encode())
    digest.update(f"{sorted(units_used(specs))} {edges_used(specs)}".encode())
    for passage in passages:
        for part in (passage.id, passage.title, passage.text):
            digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def _silent(doing: str) -> None:
    """Tells nobody."""
