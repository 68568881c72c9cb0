"""The demo's work, without its output: store, ask, look closer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.evals.datasets.demo import load_demo
from memagent.evals.demo.asking import RETRIEVERS, TopScore, encode_times, top_scores
from memagent.evals.demo.people import Person, people
from memagent.evals.demo.storing import Stored, store_histories
from memagent.evals.demo.walkthrough import Walkthrough, walk_through
from memagent.evals.result import build_result, encoder_facts
from memagent.evals.retrieval import RetrievalSettings, run_retrieval
from memagent.evals.specs import parse_specs
from memagent.evals.statistics import Interval, bootstrap
from memagent.records import Granularity

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.encoders.port import Encoder
    from memagent.evals.datasets.cases import Dataset, Question
    from memagent.evals.retrieval import Progress, RetrievalRun


class Gist(NamedTuple):
    """A session on the timeline: when it took place (ISO date), its key phrases, most telling first, its summary."""

    session_id: str
    date: str
    phrases: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """All that was measured and found.

    ``result`` is the result file of the evaluation, ``by_user`` recall_all@5 with its interval for each user and
    retriever, ``encode_ms`` the times to encode a question, ``timeline`` the sessions of the first worked search's
    user, ``seconds`` how long each step took.
    """

    dataset: Dataset
    people: Mapping[str, Person]
    stored: Stored
    run: RetrievalRun
    result: Mapping[str, Any]
    by_user: Mapping[str, Mapping[str, Interval]]
    encode_ms: tuple[float, ...]
    scores: tuple[TopScore, ...]
    walkthrough: Walkthrough
    timeline: tuple[Gist, ...]
    seconds: Mapping[str, float]

    @property
    def unanswerable(self) -> list[Question]:
        """The questions whose answer is not in the history."""
        return [question for question in self.dataset.questions if question.abstention]


def run_demo(
    place: Path,
    encoder: Encoder,
    *,
    tell: Progress,
    command: Sequence[str] = (),
    policy: Mapping[str, str] | None = None,
) -> DemoRun:
    """Store the bundled histories in the folder ``place`` and put their questions to the retrievers.

    ``policy`` is what the result file says about the encoder beside its name.
    """
    from memagent import Memory
    from memagent.encoders.cache import CachedEncoder

    dataset = load_demo()
    begun = time.perf_counter()
    with ExitStack() as stack:
        # The measured run stores the histories again; with this they are encoded once.
        cache = Path(stack.enter_context(TemporaryDirectory(prefix="memagent-demo-")))
        cached = stack.enter_context(CachedEncoder(encoder, cache))
        # No background work: summaries are written at once, so that the times mean what they say.
        memory = stack.enter_context(Memory(place, encoder=cached, background=False))
        stored = store_histories(memory, dataset.histories, tell)
        asked = time.perf_counter()
        specs, settings = parse_specs(RETRIEVERS), RetrievalSettings(session_vectors="mean")
        run = run_retrieval(dataset, specs, cached, settings=settings, progress=tell)
        tell(0, 1, "times to encode")
        times = encode_times(encoder, run.questions)
        looked = time.perf_counter()
        scores = top_scores(memory, dataset.questions, tell)
        tell(0, 1, "looking closer")
        walkthrough = walk_through(memory, dataset.questions)
        timeline = _timeline(memory, walkthrough.worked[0].question.user_id)
    done = time.perf_counter()
    result = build_result(
        run, encoder=encoder_facts(encoder, **(policy or {})), encode_ms=median(times), command=command
    )
    return DemoRun(
        dataset=dataset,
        people=people(),
        stored=stored,
        run=run,
        result=result,
        by_user=_by_user(run),
        encode_ms=times,
        scores=scores,
        walkthrough=walkthrough,
        timeline=timeline,
        seconds={"store": asked - begun, "ask": looked - asked, "look": done - looked},
    )


def _timeline(memory: Memory, user_id: str) -> tuple[Gist, ...]:
    units = {
        granularity: memory.get_all(user_id=user_id, granularity=granularity, top_k=None)["results"]
        for granularity in (Granularity.KEYWORDS, Granularity.SUMMARY)
    }
    summaries = {unit["session_id"]: unit["memory"] for unit in units[Granularity.SUMMARY]}
    listed = [
        Gist(
            unit["session_id"],
            unit["event_at"][:10],
            tuple(filter(None, unit["memory"].split("; "))),
            summaries.get(unit["session_id"], ""),
        )
        for unit in units[Granularity.KEYWORDS]
    ]
    return tuple(sorted(listed, key=lambda session: session.date))


def _by_user(run: RetrievalRun) -> dict[str, dict[str, Interval]]:
    """recall_all@5 of each user and retriever, with its interval."""
    found: dict[str, dict[str, Interval]] = {}
    for user_id in dict.fromkeys(question.user_id for question in run.questions):
        for spec in run.specs:
            values = [
                [row.metrics["recall_all@5"]]
                for row in run.rows
                if row.user_id == user_id and row.retriever == spec.label
            ]
            found.setdefault(user_id, {})[spec.label] = bootstrap(np.array(values))[0]
    return found
