"""A :class:`~memagent.bank.port.BankView` in plain NumPy and dictionaries: the slow, obvious double."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.bank.port import Columns, Groups
from memagent.records import Granularity, MemoryUnit, Ranked, from_micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import Edges, LexicalUnit
    from memagent.lexical import Related
    from memagent.records import Vector, Vectors

_OWN_TEXTS = (Granularity.TURN, Granularity.SUMMARY, Granularity.KEYWORDS, Granularity.FACT, Granularity.DOCUMENT)
_BY = {kind.value: kind for kind in _OWN_TEXTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewUnit:
    """One unit for an :class:`ArrayView`; ``vector`` is of unit length, ``event_at`` in microseconds since 1970."""

    key: int
    session: int
    text: str
    vector: Vector
    granularity: Granularity = Granularity.TURN
    event_at: int = 0


def word_vector(text: str, dim: int = 32) -> Vector:
    """A unit vector (dim,) float32: the sum of one fixed random direction a word; the first axis without words."""
    total = np.zeros(dim)
    for word in _words(text):
        total += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(dim)
    length = math.sqrt(float(total @ total))
    if length == 0.0:
        total[0] = length = 1.0
    return (total / length).astype(np.float32)


def history(turns: Sequence[tuple[int, str]], dim: int = 32) -> list[ViewUnit]:
    """Units of every granularity from ``(session number, text)`` turns.

    Keys count from 1: the turns in the order given, then a session, a summary (its first turn) and a keyword unit (its
    longest word) for each session, then the combinations of the sessions, a fact (its last turn) for each, and a
    document (its text, spaced) for each.
    """
    units: list[ViewUnit] = []

    def add(session: int, granularity: Granularity, text: str) -> None:
        key, vector = len(units) + 1, word_vector(text, dim)
        units.append(
            ViewUnit(key=key, session=session, text=text, vector=vector, granularity=granularity, event_at=key)
        )

    for session, text in turns:
        add(session, Granularity.TURN, text)
    parts: dict[int, tuple[str, str, str]] = {}
    for session in sorted({session for session, _ in turns}):
        texts = [text for number, text in turns if number == session]
        parts[session] = (texts[0], max([*_words(" ".join(texts)), ""], key=len), "\n".join(texts))
        summary, keywords, whole = parts[session]
        add(session, Granularity.SESSION, whole)
        add(session, Granularity.SUMMARY, summary)
        add(session, Granularity.KEYWORDS, keywords)
    for session, said in parts.items():
        add(session, Granularity.COMBINATION, "\n".join(said))
    for session, (_, _, whole) in parts.items():
        add(session, Granularity.FACT, whole.splitlines()[-1] if whole else "")
    for session, (_, _, whole) in parts.items():
        add(session, Granularity.DOCUMENT, " ".join(whole.split()))
    return units


class ArrayView:
    """One user's units as a :class:`~memagent.bank.port.BankView`, for tests.

    BM25 counts words between white space, in lower case, each query word once; idf is
    ln(1 + (N - n + 0.5) / (n + 0.5)) and a term count saturates as tf (k1 + 1) / (tf + k1 (1 - b + b len / mean len)).
    A window is a visible turn with the visible turns before and after it in its session.
    """

    def __init__(
        self,
        units: Sequence[ViewUnit],
        *,
        hidden: Collection[int] = (),
        user_id: str = "someone",
        edges: Edges | None = None,
        encoder: str = "words",
    ) -> None:
        """``hidden``: keys of units that the view must not show; ``edges``: what :meth:`edges` answers."""
        self._user_id = user_id
        self._encoder = encoder
        self._edges = edges
        self._units = sorted((unit for unit in units if unit.key not in hidden), key=lambda unit: unit.key)
        self._by_key = {unit.key: unit for unit in self._units}
        self._dim = len(units[0].vector) if units else 0

    @property
    def user_id(self) -> str:
        """Whose memory this is."""
        return self._user_id

    @property
    def encoder(self) -> str:
        """The fingerprint given."""
        return self._encoder

    def columns(self, granularity: Granularity) -> Columns:
        """The visible units of a granularity."""
        units = self._of(granularity)
        return Columns(
            keys=np.array([unit.key for unit in units], dtype=np.int64),
            sessions=np.array([unit.session for unit in units], dtype=np.int64),
            event_at=np.array([unit.event_at for unit in units], dtype=np.int64),
        )

    def groups(self) -> Groups:
        """The sessions of the visible turns."""
        turns = self._of(Granularity.TURN)
        own = {unit.session: unit.key for unit in self._of(Granularity.SESSION)}
        sessions = sorted({unit.session for unit in turns})
        return Groups(
            sessions=np.array(sessions, dtype=np.int64),
            units=np.array([own.get(session, -1) for session in sessions], dtype=np.int64),
            index=np.array([sessions.index(unit.session) for unit in turns], dtype=np.int64),
        )

    def turn_lengths(self) -> NDArray[np.float64]:
        """How long the sum of the vectors of each session's turns is; 0.0 below a millionth."""
        turns = self._of(Granularity.TURN)
        sessions = sorted({unit.session for unit in turns})
        sums = [np.sum([unit.vector for unit in turns if unit.session == session], axis=0) for session in sessions]
        lengths = [float(np.linalg.norm(total)) for total in sums]
        return np.array([length if length >= 1e-6 else 0.0 for length in lengths], dtype=np.float64)

    def similarities(self, vector: Vector, granularity: Granularity) -> NDArray[np.float32]:
        """Cosine of ``vector`` with each visible unit."""
        # Row by row: a matrix product may round equal rows differently.
        return np.array([np.dot(unit.vector, vector) for unit in self._of(granularity)], dtype=np.float32)

    def similarities_many(self, vectors: Vectors, granularity: Granularity) -> NDArray[np.float32]:
        """Cosines of several vectors with each visible unit."""
        rows = [self.similarities(vector, granularity) for vector in vectors]
        return np.array(rows, dtype=np.float32).reshape(len(vectors), len(self._of(granularity)))

    def nearest(self, vector: Vector, k: int, *, granularity: Granularity, exclude: Sequence[int] = ()) -> Ranked:
        """The k visible units closest to ``vector``."""
        scores = self.similarities(vector, granularity).tolist()
        keys = self.columns(granularity).keys.tolist()
        return _ranked([(key, score) for key, score in zip(keys, scores, strict=True) if key not in exclude], k)

    def lexical(
        self, text: str, by: LexicalUnit, *, k1: float = 1.2, b: float = 0.75, related: Related | None = None
    ) -> NDArray[np.float64]:
        """BM25 score of each visible document."""
        documents = [Counter(_words(document)) for document in self._documents(by)]
        mean = sum(counts.total() for counts in documents) / len(documents) if documents else 0.0
        scores = [0.0] * len(documents)
        idf = {
            word: math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            for word in {word for counts in documents for word in counts} | set(_words(text))
            for holders in [sum(1 for counts in documents if counts[word])]
        }
        for word, weight, highest in _looked_for(text, related or {}, idf):
            for place, counts in enumerate(documents):
                if counts[word]:
                    length = counts.total() / mean
                    count = counts[word] * (k1 + 1) / (counts[word] + k1 * (1 - b + b * length))
                    scores[place] += weight * min(idf[word], highest) * count
        return np.array(scores, dtype=np.float64)

    def matching(self, text: str, k: int, *, granularity: Granularity, by: LexicalUnit | None = None) -> Ranked:
        """The k visible units with the highest positive BM25 score."""
        chosen: LexicalUnit = granularity.value if by is None else by
        scores = self.lexical(text, chosen).tolist()
        if granularity is Granularity.SESSION:
            keys, scores = self._session_scores(scores, chosen)
        else:
            keys = self.columns(granularity).keys.tolist()
            if chosen == "session" and granularity is Granularity.TURN:
                scores = [scores[place] for place in self.groups().index.tolist()]
        pairs = zip(keys, scores, strict=True)
        return _ranked([(key, score) for key, score in pairs if score > 0 and key >= 0], k)

    def vectors(self, keys: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """Unit vectors of these units."""
        rows = [self._by_key[int(key)].vector for key in keys]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self._dim)

    def units(self, keys: Sequence[int] | NDArray[np.int64]) -> list[MemoryUnit]:
        """The units themselves."""
        return [self._record(self._by_key[int(key)]) for key in keys]

    def edges(self) -> Edges | None:
        """The association graph that the view was given."""
        return self._edges

    def _of(self, granularity: Granularity) -> list[ViewUnit]:
        return [unit for unit in self._units if unit.granularity is granularity]

    def _documents(self, by: LexicalUnit) -> list[str]:
        if by == "combination":
            return [""] * len(self._of(Granularity.COMBINATION))
        if by in _BY:
            return [unit.text for unit in self._of(_BY[by])]
        sessions: dict[int, list[ViewUnit]] = {}
        for unit in self._of(Granularity.TURN):
            sessions.setdefault(unit.session, []).append(unit)
        if by == "session":
            return [" ".join(unit.text for unit in sessions[session]) for session in sorted(sessions)]
        windows = {
            unit.key: " ".join(near.text for near in turns[max(0, place - 1) : place + 2])
            for turns in sessions.values()
            for place, unit in enumerate(turns)
        }
        return [windows[key] for key in sorted(windows)]

    def _session_scores(self, scores: list[float], by: LexicalUnit) -> tuple[list[int], list[float]]:
        groups = self.groups()
        if by == "session":
            return groups.units.tolist(), scores
        best = [0.0] * len(groups.sessions)
        for place, score in zip(groups.index.tolist(), scores, strict=True):
            best[place] = max(best[place], score)
        return groups.units.tolist(), best

    def _record(self, unit: ViewUnit) -> MemoryUnit:
        moment = from_micros(unit.event_at)
        return MemoryUnit(
            key=unit.key,
            id=str(unit.key),
            user_id=self._user_id,
            session_id=str(unit.session),
            granularity=unit.granularity,
            text=unit.text,
            event_at=moment,
            created_at=moment,
            updated_at=moment,
        )


def _looked_for(text: str, related: Related, idf: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """The words to look for: each with what it counts for, and the highest idf it may have."""
    own = dict.fromkeys(_words(text))
    others: dict[str, tuple[float, float]] = {}
    for word in own:
        for other, weight in related.get(word, ()):
            if other in idf and other not in own:
                others[other] = max(others.get(other, (0.0, 0.0)), (weight, idf[word]))
    return [(word, 1.0, math.inf) for word in own] + [(word, *others[word]) for word in others]


def _words(text: str) -> list[str]:
    return text.lower().split()


def _ranked(pairs: list[tuple[int, float]], k: int) -> Ranked:
    best = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]
    return Ranked(
        np.array([key for key, _ in best], dtype=np.int64), np.array([score for _, score in best], dtype=np.float64)
    )
