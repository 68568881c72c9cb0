"""Small multi-hop files, a small world, and runs over it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from memagent.agents.reason_rag.steps import StepSettings
from memagent.evals.multihop.choosing import chosen_systems
from memagent.evals.multihop.corpus import Corpus, open_corpus
from memagent.evals.multihop.questions import HopSet
from memagent.evals.multihop.running import HopRun, run_hops
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.world import make_world
from memagent.llm import Model
from memagent.testing import HashingEncoder

PASSAGES = [
    {"id": "p0", "title": "Clock", "text": "The Amber Clock was written by Ilse Varn."},
    {"id": "p1", "title": "Varn", "text": "Ilse Varn was born in Norland."},
    {"id": "p2", "title": "Varn", "text": "Varn is a village."},
]
QUESTIONS: list[dict[str, Any]] = [
    {
        "id": "q0",
        "question": "Where was the author of The Amber Clock born?",
        "answers": ["Norland", "the Norland"],
        "type": "2hop",
        "gold_ids": ["p0", "p1"],
        "split": "dev",
        "decomposition": [
            {"question": "author of The Amber Clock", "answer": "Ilse Varn"},
            {"question": "birthplace of #1", "answer": "Norland"},
        ],
    },
    {"id": "q1", "question": "Is it?", "answers": ["yes"], "type": "1hop", "gold_ids": ["p2"], "split": "train"},
    {"id": "q2", "question": "What?", "answers": [], "type": "1hop", "gold_ids": ["p2"], "split": "dev"},
    {"id": "q3", "question": "Why?", "answers": ["so"], "type": "1hop", "gold_ids": ["p9"], "split": "dev"},
]


def lines(path: Path, records: Sequence[object]) -> Path:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@cache
def world() -> HopSet:
    """A small world."""
    return make_world(questions=12, passages=120, seed=1)


@contextmanager
def corpus(data: HopSet | None = None) -> Iterator[Corpus]:
    """Its passages, stored in memory."""
    with open_corpus((data or world()).passages, HashingEncoder(dim=64)) as opened:
        yield opened


def run(
    names: Sequence[str] = ("none", "rag", "reason-rag"),
    *,
    data: HopSet | None = None,
    model: Model | None = None,
    rounds: Sequence[int] = (4,),
    **options: Any,
) -> HopRun:
    """A run of systems over the small world, by the scripted model."""
    with corpus(data) as opened:
        systems = chosen_systems(
            names, {"bm25": opened.searcher("bm25")}, settings=StepSettings(), rounds=tuple(rounds)
        )
        return run_hops(data or world(), systems, model or Model(WorldModel()), **options)


def mean(found: HopRun, label: str, metric: str) -> float:
    """A metric of one system."""
    values = [row.metrics[metric] for row in found.rows if row.system == label]
    return sum(values) / len(values)
