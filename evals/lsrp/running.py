"""A whole run of ``memagent eval lsrp``: data, split, models, what they made, what choosers pick, the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.ports import Choice
from memagent.errors import UnknownName
from memagent.evals.lsrp.arms import ARMS, STRATEGIES, run_arms
from memagent.evals.lsrp.choosing import (
    EQUAL_WEIGHTS,
    Learned,
    LearnSettings,
    learn,
    model_choices,
    neighbours_choices,
    worth_of,
)
from memagent.evals.lsrp.data import LsrpSet, load_lsrp
from memagent.evals.lsrp.making import guard_of, role_names
from memagent.evals.lsrp.result import LsrpRun, build_result, per_case
from memagent.evals.lsrp.saved_index import check_index_options, learned_before, tested_before
from memagent.evals.lsrp.splits import LsrpSplit, clean_split, published_split
from memagent.evals.lsrp.systems import (
    MODEL,
    NEIGHBOURS,
    ORACLE,
    System,
    needed_arms,
    neighbour_numbers,
    wanted_systems,
)

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.lsrp.options import LsrpOptions
    from memagent.evals.retrieval import Progress
    from memagent.llm.meter import Meter


def run_lsrp(
    options: LsrpOptions,
    cast: Cast,
    meter: Meter,
    *,
    partial: Path | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = (),
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result, and a row for each system and task.

    Raises what the loaders, :func:`~memagent.agents.lsrp.cast.aplay` and the encoder raise.
    """
    work = _Work(options, cast, partial, progress)
    run, facts = work.run()
    result = build_result(
        run,
        models=role_names(options),
        guard=options.guard,
        baseline=options.baseline,
        totals=meter.totals(),
        encoder=facts,
        command=command,
        seed=options.seed,
    )
    return result, list(per_case(run))


class _Work:
    """What is done once for all systems, and then for each chooser."""

    def __init__(
        self,
        options: LsrpOptions,
        cast: Cast,
        partial: Path | None,
        progress: Progress | None,
    ) -> None:
        if options.baseline not in ARMS:
            raise UnknownName(
                f"the baseline {options.baseline!r} is no way of writing", hint=f"use one of {', '.join(ARMS)}"
            )
        self._options = options
        self._numbers = neighbour_numbers(options.k)
        self._data, self._split = _data(options)
        self._names = wanted_systems(options.system, learnt=bool(self._split.train or options.index))
        check_index_options(options.index, options.save_index, self._names)
        self._cast, self._guard = cast, guard_of(options.guard)
        self._partial, self._progress = partial, progress

    def run(self) -> tuple[LsrpRun, dict[str, Any] | None]:
        """The run, and the encoder's facts if one was needed."""
        with ExitStack() as stack:
            if NEIGHBOURS not in self._names:
                return self._run(None), None
            encoder, facts = stack.enter_context(_encoder(self._options))
            return self._run(encoder), facts

    def _run(self, encoder: Encoder | None) -> LsrpRun:
        options, tested = self._options, self._split.test
        arms = needed_arms(self._names, options.baseline)
        learnt = self._learned_before(encoder)  # first: a file that does not fit is refused before anybody is asked
        made = run_arms(tested, arms, self._cast, guard=self._guard, **self._how("writing"))
        if encoder is not None and learnt is None:
            learnt = self._learned(encoder)
        picked: dict[str, Mapping[str, Choice]] = {}
        if learnt is not None:
            picked |= {_label(k): neighbours_choices(learnt, tested, k) for k in self._numbers}
        if MODEL in self._names:
            picked[MODEL] = model_choices(tested, self._cast, **self._how("choosing"))
        weights = tuple(learnt.weights.tolist()) if learnt else EQUAL_WEIGHTS
        worth = worth_of(made, tested, weights) if set(STRATEGIES) <= set(arms) else None
        if ORACLE in self._names and worth:
            picked[ORACLE] = worth.oracle()
        return LsrpRun(
            data=self._data,
            split=self._split,
            made=made,
            systems=tuple(self._systems(picked)),
            worth=worth,
            weights=weights,
            learnt=None if learnt is None else self._told(learnt),
        )

    def _learned_before(self, encoder: Encoder | None) -> Learned | None:
        """What is in the file of ``--index``, if there is one."""
        if encoder is None or self._options.index is None:
            return None
        return learned_before(self._options.index, encoder, profile=self._options.index_profile)

    def _learned(self, encoder: Encoder) -> Learned:
        """What the training tasks teach; saved as soon as it is known, if that is wanted."""
        settings = LearnSettings(between=self._data.between, profile=self._options.index_profile)
        learnt = learn(
            self._split.train, self._cast, encoder, settings=settings, guard=self._guard, **self._how("learning")
        )
        if self._options.save_index is not None:
            learnt.index.save(self._options.save_index)
        return learnt

    def _told(self, learnt: Learned) -> dict[str, Any]:
        told: dict[str, Any] = {
            "tasks": len(learnt.index),
            "labels": dict(learnt.labels),
            "left_out": learnt.left_out,
        }
        if self._options.index is not None:
            told |= {"index": self._options.index.name, "tested_too": tested_before(learnt, self._split.test)}
        return told

    def _systems(self, picked: Mapping[str, Mapping[str, Choice]]) -> Iterator[System]:
        labels = [label for name in self._names for label in self._labels(name)]
        for label in dict.fromkeys([self._options.baseline, *labels]):
            yield System(label=label, choices=picked[label]) if label in picked else System(label=label, arm=label)

    def _labels(self, name: str) -> list[str]:
        return [_label(k) for k in self._numbers] if name == NEIGHBOURS else [name]

    def _how(self, doing: str) -> dict[str, Any]:
        """How models are asked: what :func:`~memagent.agents.lsrp.cast.play` takes."""
        progress = self._progress
        return {
            "concurrency": self._options.concurrency,
            "calls": self._partial,
            "progress": (lambda done, total: progress(done, total, doing)) if progress else None,
        }


def _label(k: int) -> str:
    return f"{NEIGHBOURS} K={k}"


def _data(options: LsrpOptions) -> tuple[LsrpSet, LsrpSplit]:
    """What is tested and learnt from, the data set's name and files with it."""
    tested = load_lsrp(options.dataset, options.data or ())
    learnt = load_lsrp(options.dataset, options.train) if options.train else None
    if options.published_split:
        split = published_split(learnt.cases if learnt else (), tested.cases)
    elif learnt:
        split = clean_split(learnt.cases, tested.cases)
    else:
        split = clean_split(tested.cases, share=options.test_share, seed=options.seed)
    files = (*tested.files, *(learnt.files if learnt else ()))
    left_out = dict(split.left_out)
    for name, cases, limit in (("test", split.test, options.limit), ("train", split.train, options.train_limit)):
        if limit is not None and limit < len(cases):
            left_out[f"beyond the limit ({name})"] = len(cases) - limit
    limited = replace(
        split, test=split.test[: options.limit], train=split.train[: options.train_limit], left_out=left_out
    )
    return replace(tested, files=files), limited


@contextmanager
def _encoder(options: LsrpOptions) -> Iterator[tuple[Encoder, dict[str, Any]]]:
    from memagent.encoders import load_encoder
    from memagent.evals.measuring import cache_folder, cached_encoder
    from memagent.evals.result import encoder_facts

    folder = cache_folder(options.cache_dir)
    bare = load_encoder(options.encoder, precision=options.precision, cache_dir=folder)
    with cached_encoder(bare, folder, wanted=options.cache) as encoder:
        yield encoder, encoder_facts(bare, precision=options.precision)
