"""Chooses the settings of the hybrid retriever without looking at the questions it is then judged by.

Each LoCoMo conversation is a group of questions, and a LongMemEval file (a conversation a question) is one more. For
each group the best of a few candidate settings is chosen on the other groups, all of which weigh the same (by mean
recall_all@5; of equal ones the highest nDCG@10, then the one that stands first), and scored on the one left out. The
best single channel is chosen in the same way, so that the paired difference compares two procedures on questions that
neither has seen. (The list of candidates itself was written knowing figures of both data sets.)

    python benchmarks/choose_hybrid.py --locomo locomo10.json --longmemeval longmemeval_s.json --out choice.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from progress import clear, tell

from memagent.encoders import load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.errors import MemagentError
from memagent.evals.datasets import load_dataset
from memagent.evals.result import encoder_facts, write_result
from memagent.evals.retrieval import RetrievalSettings, run_retrieval
from memagent.evals.specs import parse_specs
from memagent.evals.statistics import bootstrap, group_means, paired_difference
from memagent.machine import machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder
    from memagent.evals.datasets import Dataset
    from memagent.evals.statistics import Interval

MEASURED = ("recall_all@5", "ndcg@10", "recall_any@5", "recall_all@10")
"""The first decides, the second settles what the first leaves equal, all are reported."""

SINGLE: dict[str, tuple[str, ...]] = {
    "session": ("dense", "dense[by=turn-top]", "bm25", "bm25[by=turn]", "bm25[by=window]"),
    "turn": ("dense", "bm25", "bm25[by=window]", "bm25[by=session]"),
}

FUSED: dict[str, tuple[str, ...]] = {
    "session": (
        "hybrid[dense=1,session=1,turn=1,window=1]",  # the four-channel sum
        "hybrid[dense=0.5,session=1,turn=1,window=1]",
        "hybrid[dense=2,session=1,turn=1,window=1]",
        "hybrid[dense=1,session=1,turn=1,window=1,dense_by=turn-top]",
        "hybrid[dense=2,session=1,turn=1,window=1,dense_by=turn-top]",
        "hybrid[dense=3,session=1,turn=1,window=1,dense_by=turn-top]",
        "hybrid[dense=1,session=1,turn=0,window=1,dense_by=turn-top]",
        "hybrid[dense=0.5,session=1,turn=0,window=0]",
        "hybrid[dense=1,session=1,turn=0,window=0]",
        "hybrid[dense=1,session=1,turn=0,window=1]",
        "hybrid[dense=1,session=1,turn=1,window=1,lexical_norm=z,dense_norm=z]",
        "hybrid[fusion=rrf,dense=1,session=1,turn=0,window=0]",  # plain reciprocal rank fusion
        "hybrid[fusion=rrf,dense=1,session=1,turn=1,window=1]",
    ),
    "turn": (
        "hybrid[turns_dense=1,turns_turn=1,turns_window=0.5,turns_session=0.3]",
        "hybrid[turns_dense=0.5,turns_turn=1,turns_window=0.5,turns_session=0.3]",
        "hybrid[turns_dense=2,turns_turn=1,turns_window=0.5,turns_session=0.3]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=1,turns_session=1]",
        "hybrid[turns_dense=2,turns_turn=1,turns_window=1,turns_session=1]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=2,turns_session=1]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=1,turns_session=2]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=1,turns_session=0.5]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=0.5,turns_session=0]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=0,turns_session=0]",
        "hybrid[turns_dense=1,turns_turn=1,turns_window=0.5,turns_session=0.3,turns_dense_norm=min-max]",
        "hybrid[fusion=rrf,turns_dense=1,turns_turn=1,turns_window=0,turns_session=0]",
        "hybrid[fusion=rrf,turns_dense=1,turns_turn=1,turns_window=0.5,turns_session=0.3]",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """``values`` (questions, candidates, measures) of ``labels``; ``groups``: what each question belongs to."""

    labels: tuple[str, ...]
    groups: tuple[str, ...]
    values: NDArray[np.float64]

    def joined(self, other: Scores) -> Scores:
        """The questions of both, of the same candidates."""
        values = np.concatenate([self.values, other.values])
        return Scores(labels=self.labels, groups=self.groups + other.groups, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One group left out: how many questions it has, and what the others chose for it."""

    group: str
    questions: int
    chosen: str
    single: str


def choose(scores: Scores, questions: NDArray[np.bool_], candidates: Sequence[int]) -> int:
    """The place of the candidate that is best on these questions, each group of them weighing the same."""
    groups = np.array(scores.groups)
    means = np.mean([scores.values[questions & (groups == g)].mean(axis=0) for g in set(groups[questions])], axis=0)
    return max(candidates, key=lambda place: (round(means[place, 0], 9), round(means[place, 1], 9), -place))


def leave_one_out(scores: Scores, singles: int) -> tuple[list[Fold], NDArray[np.float64], NDArray[np.float64]]:
    """For each question the measures of what the other groups chose: among all, and among the single channels.

    The first ``singles`` candidates are the single channels.
    """
    groups = np.array(scores.groups)
    chosen = np.empty((len(groups), scores.values.shape[2]))
    single = np.empty_like(chosen)
    folds = []
    for group in dict.fromkeys(scores.groups):
        held_out = groups == group
        best = choose(scores, ~held_out, range(len(scores.labels)))
        alone = choose(scores, ~held_out, range(singles))
        chosen[held_out] = scores.values[held_out, best]
        single[held_out] = scores.values[held_out, alone]
        folds.append(
            Fold(
                group=group,
                questions=int(held_out.sum()),
                chosen=scores.labels[best],
                single=scores.labels[alone],
            )
        )
    return folds, chosen, single


def measure(
    dataset: Dataset, labels: Sequence[str], granularity: Literal["session", "turn"], encoder: Encoder, *, by_user: bool
) -> Scores:
    """Every candidate on every question of a data set."""
    run = run_retrieval(
        dataset,
        parse_specs(labels),
        encoder,
        settings=RetrievalSettings(granularity=granularity),
        progress=lambda done, total, doing: tell(f"{done}/{total} {doing}"),
    )
    clear()
    found = {(row.question_id, row.retriever): row.metrics for row in run.rows}
    return Scores(
        labels=tuple(labels),
        groups=tuple(question.user_id if by_user else dataset.name for question in run.questions),
        values=np.array(
            [[[found[question.id, label][name] for name in MEASURED] for label in labels] for question in run.questions]
        ),
    )


def described(figures: Sequence[Interval]) -> dict[str, dict[str, float]]:
    return {name: figure._asdict() for name, figure in zip(MEASURED, figures, strict=True)}


def told(figures: Sequence[Interval], sign: str = "") -> str:
    return "  ".join(
        f"{name} {figure.mean * 100:{sign}.1f} [{figure.low * 100:{sign}.1f}, {figure.high * 100:{sign}.1f}]"
        for name, figure in zip(MEASURED, figures, strict=True)
    )


def table(scores: Scores) -> dict[str, Any]:
    """Print and return the measures of every candidate over all questions."""
    rows = {}
    for place, label in enumerate(scores.labels):
        figures = bootstrap(scores.values[:, place])
        print(f"  {label:95} {told(figures)}")
        rows[label] = described(figures)
    return rows


def against_singles(scores: Scores, label: str, singles: Sequence[str]) -> dict[str, Any]:
    """Print and return the paired differences of a candidate to each single channel."""
    chosen = scores.values[:, scores.labels.index(label)]
    rows = {}
    for single in singles:
        figures = paired_difference(chosen, scores.values[:, scores.labels.index(single)])
        print(f"  minus {single:20} {told(figures, '+')}")
        rows[single] = described(figures)
    return rows


def chosen_among(scores: Scores, singles: Sequence[str]) -> dict[str, Any]:
    """Print and return the choice, and what it is worth on groups it has not seen."""
    folds, chosen, single = leave_one_out(scores, len(singles))
    gains = group_means(chosen - single, scores.groups)
    print("Chosen on the other groups, scored on the one left out:")
    for fold in folds:
        gain = gains[fold.group][0] * 100
        print(f"  {fold.group} ({fold.questions}): {fold.chosen}; single {fold.single}; {MEASURED[0]} {gain:+.1f}")
    held_out, difference = bootstrap(chosen), paired_difference(chosen, single)
    print(f"  held out        {told(held_out)}\n  minus single    {told(difference, '+')}")
    everywhere = np.ones(len(scores.groups), dtype=bool)
    final = scores.labels[choose(scores, everywhere, range(len(scores.labels)))]
    print(f"Chosen on all groups: {final}")
    return {
        "folds": [
            {"left_out": fold.group, "questions": fold.questions, "chosen": fold.chosen, "single": fold.single}
            for fold in folds
        ],
        "held_out": described(held_out),
        "held_out_minus_single": described(difference),
        "chosen": final,
    }


def on_one(name: str, scores: Scores, chosen: str, singles: Sequence[str]) -> dict[str, Any]:
    """Print and return all candidates' figures on one data set, and the final choice's lead over each channel."""
    print(f"{name}, {len(scores.groups)} questions; {chosen}")
    return {"candidates": table(scores), "chosen_minus_single": against_singles(scores, chosen, singles)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locomo", type=Path, action="append", required=True, help="a LoCoMo file; repeatable")
    parser.add_argument("--longmemeval", type=Path, action="append", default=[], help="a LongMemEval file; repeatable")
    parser.add_argument("--granularity", choices=("session", "turn"), default="session")
    parser.add_argument("--encoder", help="a sentence-transformers model, by name or path")
    parser.add_argument("--long-text", choices=("windows", "truncate"), default="windows")
    parser.add_argument("--cache-dir", type=Path, help="keep embeddings here for the next run")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    return parser.parse_args()


def main() -> None:
    """Run the choice and write its figures."""
    args = arguments()
    bare = load_encoder(args.encoder, long_text=args.long_text)
    encoder = CachedEncoder(bare, args.cache_dir) if args.cache_dir else bare
    singles = SINGLE[args.granularity]
    labels = (*singles, *FUSED[args.granularity])
    result: dict[str, Any] = {
        "schema": 1,
        "command": sys.argv,
        "machine": machine(),
        "encoder": encoder_facts(bare, long_text=args.long_text),
        "granularity": args.granularity,
    }
    sets = {"locomo": measure(load_dataset("locomo", args.locomo), labels, args.granularity, encoder, by_user=True)}
    if args.longmemeval:
        dataset = load_dataset("longmemeval", args.longmemeval)
        sets["longmemeval"] = measure(dataset, labels, args.granularity, encoder, by_user=False)
    result["choice"] = chosen_among(reduce(Scores.joined, sets.values()), singles)
    for name, scores in sets.items():
        result[name] = on_one(name, scores, result["choice"]["chosen"], singles)
    write_result(args.out, result)


if __name__ == "__main__":
    try:
        main()
    except MemagentError as error:
        sys.exit(f"Error: {error}")
