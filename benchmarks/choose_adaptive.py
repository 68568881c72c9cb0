"""Chooses the settings of the adaptive retriever, and shows what each of its parts is worth.

As in choose_hybrid.py each LoCoMo conversation is a group of questions and a LongMemEval file is one more: for each
group the best candidate is chosen on the others and scored on the one left out. The comparison is with the plain
four-channel sum, question by question. The parts tried and left out (second looks, a router) are retrievers of this
script.

    python benchmarks/choose_adaptive.py --locomo locomo10.json --longmemeval longmemeval_s.json --out choice.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from choose_hybrid import MEASURED, Scores, choose, described, measure, told

from memagent.encoders import load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.errors import MemagentError
from memagent.evals.datasets import load_dataset
from memagent.evals.result import encoder_facts, write_result
from memagent.evals.statistics import bootstrap, paired_difference
from memagent.machine import machine
from memagent.records import Granularity
from memagent.retrievers import Adaptive, register
from memagent.retrievers.adaptive import contrast
from memagent.retrievers.answer import answer
from memagent.retrievers.ranking import top_k
from memagent.retrievers.sessions import session_cosines, shown_sessions

if TYPE_CHECKING:
    from memagent.bank.port import BankView
    from memagent.records import Query, Retrieval, Vector
    from memagent.retrievers.ranking import Scores as Column

FOUR_CHANNELS = "hybrid[dense=1,dense_by=turn-max]"
DEFAULT = "adaptive"

CANDIDATES = (
    DEFAULT,
    *(f"adaptive[depth={depth},dense={dense}]" for depth in (10, 20, 40) for dense in (0.6, 1.0)),
    "adaptive[depth=10]",
    "adaptive[depth=40]",
    "adaptive[m=1]",
    "adaptive[m=3]",
    "adaptive[related_cosine=0.3]",
    "adaptive[related_cosine=0.5]",
    "adaptive[related_power=2]",
    "adaptive[related_power=3]",
    "adaptive[related_power=6]",
    "adaptive[dates=0.5]",
    "adaptive[dates=1]",
    "adaptive[dates=2.5]",
    "adaptive[told_after=5]",
    "adaptive[told_after=20]",
)

PARTS = {
    "without related words": "adaptive[related=false]",
    "without dates": "adaptive[dates=0]",
    "without the contrast (min-max)": "adaptive[depth=100000,dense=1]",
    "without BM25 on sessions": "adaptive[session=0]",
    "without BM25 on windows": "adaptive[window=0]",
    "without cosines": "adaptive[dense=0]",
    "with a router (entropy of each channel)": "adaptive-routed",
    "with recollection": "adaptive-recollecting",
    "with recollection when the first look is uncertain": "adaptive-recollecting[below=0.5]",
    "with association to the first hits": "adaptive-associating",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed(Adaptive):
    """Channels weighed by how certain each is: 1 - H / ln n of the softmax of its scores at ``temperature``."""

    name: ClassVar[str] = "adaptive-routed"

    temperature: float = 0.2

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        parts = _parts(self, query, bank)
        certain = {name: _certainty(part, self.temperature) for name, part in parts.items()}
        mean = max(float(np.mean(list(certain.values()))), 1e-9)
        return _ranked(bank, {name: part * certain[name] / mean for name, part in parts.items()}, k, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollecting(Adaptive):
    """A second look with the query mixed with the best turns of the first; if the first's best cosine is ``below``."""

    name: ClassVar[str] = "adaptive-recollecting"

    alpha: float = 0.5
    turns: int = 3
    weight: float = 0.5
    below: float = 2.0

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        parts = _parts(self, query, bank)
        assert query.vector is not None
        if float(bank.similarities(query.vector, Granularity.TURN).max(initial=-1.0)) < self.below:
            centre = _first_turns(self, query, bank, self.turns).mean(axis=0)
            mixed = _unit(self.alpha * query.vector + (1 - self.alpha) * _unit(centre))
            cosines = session_cosines(bank, mixed, "turn-top", self.m)[shown_sessions(bank.groups())]
            parts["recollected"] = self.weight * contrast(cosines, self.depth)
        return _ranked(bank, parts, k, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Associating(Adaptive):
    """Sessions are drawn to the best turns of the first look: the closest of their turns to any of these."""

    name: ClassVar[str] = "adaptive-associating"

    turns: int = 3
    weight: float = 0.3

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        parts = _parts(self, query, bank)
        shown = shown_sessions(bank.groups())
        drawn = [
            session_cosines(bank, turn, "turn-max", 1)[shown] for turn in _first_turns(self, query, bank, self.turns)
        ]
        if drawn:
            parts["associated"] = self.weight * contrast(np.mean(drawn, axis=0), self.depth)
        return _ranked(bank, parts, k, self.name)


def _plain(retriever: Adaptive) -> Adaptive:
    return Adaptive(**{field.name: getattr(retriever, field.name) for field in fields(Adaptive)})


def _parts(retriever: Adaptive, query: Query, bank: BankView) -> dict[str, Column]:
    """What each channel of the plain retriever gives each session, sessions in the order of their numbers."""
    keys = bank.groups().units[shown_sessions(bank.groups())]
    hits = {hit.key: hit.parts for hit in _plain(retriever).retrieve(query, bank, max(1, len(keys))).hits}
    names = next(iter(hits.values()), {})
    return {name: np.array([hits[key][name] for key in keys.tolist()]) for name in names}


def _ranked(bank: BankView, parts: dict[str, Column], k: int, name: str) -> Retrieval:
    keys = bank.groups().units[shown_sessions(bank.groups())]
    total = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(keys))
    return answer(bank, keys, total, k, parts=parts, trace={"retriever": name})


def _first_turns(retriever: Adaptive, query: Query, bank: BankView, count: int) -> Any:
    """Vectors of the turns that the plain retriever finds first, (count, dim)."""
    found = _plain(retriever).retrieve(replace(query, granularity=Granularity.TURN), bank, count)
    return bank.vectors([hit.key for hit in found.hits])


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _certainty(scores: Column, temperature: float) -> float:
    if len(scores) < 2:
        return 1.0
    best = top_k(scores, min(50, len(scores)))
    shares = np.exp((scores[best] - scores[best[0]]) / temperature)
    shares /= shares.sum()
    return float(1 + (shares * np.log(shares + 1e-12)).sum() / np.log(len(shares)))


def held_out(scores: Scores, candidates: Sequence[str]) -> tuple[dict[str, str], Any]:
    """What the other groups choose for each group, and the measures of each question under it."""
    groups = np.array(scores.groups)
    places = [scores.labels.index(label) for label in candidates]
    values = np.empty((len(groups), len(MEASURED)))
    chosen = {}
    for group in dict.fromkeys(scores.groups):
        rows = groups == group
        best = choose(scores, ~rows, places)
        values[rows] = scores.values[rows, best]
        chosen[group] = scores.labels[best]
    return chosen, values


def of(scores: Scores, label: str) -> Any:
    return scores.values[:, scores.labels.index(label)]


def pooled(scores: Scores) -> dict[str, Any]:
    """Print and return the choice on groups not seen, and what the default and its parts are worth."""
    chosen, values = held_out(scores, CANDIDATES)
    difference = paired_difference(values, of(scores, FOUR_CHANNELS))
    print("Chosen on the other groups, scored on the one left out:")
    for group, label in chosen.items():
        print(f"  {group}: {label}")
    print(f"  held out               {told(bootstrap(values))}\n  minus four channels    {told(difference, '+')}")
    everywhere = np.ones(len(scores.groups), dtype=bool)
    places = [scores.labels.index(label) for label in CANDIDATES]
    print(f"Chosen on all groups: {scores.labels[choose(scores, everywhere, places)]}")
    default = paired_difference(of(scores, DEFAULT), of(scores, FOUR_CHANNELS))
    print(f"  default minus four channels    {told(default, '+')}\nThe default against itself, changed:")
    parts = {}
    for what, label in PARTS.items():
        figures = paired_difference(of(scores, label), of(scores, DEFAULT))
        print(f"  {what:52} {told(figures, '+')}")
        parts[what] = {"retriever": label, **described(figures)}
    return {
        "chosen": chosen,
        "held_out": described(bootstrap(values)),
        "held_out_minus_four_channels": described(difference),
        "default_minus_four_channels": described(default),
        "parts_minus_default": parts,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locomo", type=Path, action="append", required=True, help="a LoCoMo file; repeatable")
    parser.add_argument("--longmemeval", type=Path, action="append", default=[], help="a LongMemEval file; repeatable")
    parser.add_argument("--encoder", help="a sentence-transformers model, by name or path")
    parser.add_argument("--long-text", choices=("windows", "truncate"), default="truncate")
    parser.add_argument("--cache-dir", type=Path, help="keep embeddings here for the next run")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    return parser.parse_args()


def main() -> None:
    """Run everything and write the figures."""
    args = arguments()
    for kind in (Routed, Recollecting, Associating):
        register(kind.name, kind)
    bare = load_encoder(args.encoder, long_text=args.long_text)
    encoder = CachedEncoder(bare, args.cache_dir) if args.cache_dir else bare
    labels = tuple(dict.fromkeys((FOUR_CHANNELS, *CANDIDATES, *PARTS.values())))
    granularity: Literal["session"] = "session"
    sets = {"locomo": measure(load_dataset("locomo", args.locomo), labels, granularity, encoder, by_user=True)}
    if args.longmemeval:
        dataset = load_dataset("longmemeval", args.longmemeval)
        sets["longmemeval"] = measure(dataset, labels, granularity, encoder, by_user=False)
    result: dict[str, Any] = {
        "schema": 1,
        "command": sys.argv,
        "machine": machine(),
        "encoder": encoder_facts(bare, long_text=args.long_text),
        "pooled": pooled(reduce(Scores.joined, sets.values())),
    }
    for name, scores in sets.items():
        print(f"{name}, {len(scores.groups)} questions")
        result[name] = {label: described(bootstrap(of(scores, label))) for label in scores.labels}
        for label in scores.labels:
            print(f"  {label:45} {told(bootstrap(of(scores, label)))}")
    write_result(args.out, result)


if __name__ == "__main__":
    try:
        main()
    except MemagentError as error:
        sys.exit(f"Error: {error}")
