"""From the file of an experiment to its report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from memagent.agents.ab.agent.policy import LIMITS as AGENT_LIMITS
from memagent.agents.ab.arms.llm_ranker import LLMRanker
from memagent.agents.ab.arms.port import Arm
from memagent.agents.ab.arms.registry import arm_of
from memagent.agents.ab.arms.reversed_pages import ReversedPages
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.calibration import Trial, calibrate
from memagent.agents.ab.experiment import BLOCK, Experiment, Outcome
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.offline import evaluate, kendall_tau
from memagent.agents.ab.ratings import Dataset, Ratings, Split, joined, split
from memagent.agents.ab.report import ExperimentReport, report_of
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_tables
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.ab.config import Calibrating, Config, Data
from memagent.evals.ab.place_check import with_places
from memagent.evals.ab.policies import agent_policy, budget_of, ranking_models, taste_policy
from memagent.evals.ab.usage import Usage

Say = Callable[[str], None]
"""Told what is being done."""

RUN, REVERSED = "run", "run-reversed"
"""The folders, in that of the results, with the logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that an experiment needs, trained and calibrated. ``usage`` counts what its models use."""

    dataset: Dataset
    parts: Split
    experiment: Experiment
    extra: dict[str, Any]
    usage: Usage


def prepare(config: Config, *, base: Path, cache: Path | None, say: Say, out: Path | None = None) -> Prepared:
    """Load, split, train and calibrate. ``base``: what paths of the file are relative to.

    ``out``: the folder in which is written down what models use. Raises Stopped where a budget is spent already here:
    a calibration asks an arm whose lists a model ranks.
    """
    usage = Usage(out, budget_of(config.budget))
    with usage.spending():
        return _prepared(config, base, cache, say, usage)


def _prepared(config: Config, base: Path, cache: Path | None, say: Say, usage: Usage) -> Prepared:
    say(f"reading {config.data.kind}")
    dataset = load(config.data, base)
    parts = split(dataset.ratings, by=config.split.by, seed=config.split.seed, data_share=config.split.data_share)
    training = Training(dataset=dataset, ratings=parts.train)
    arms = _arms(config, training, cache, say, usage)
    played = config.policy if config.policy.kind == "agent" else None
    policy = agent_policy(played, dataset, parts, base=base, cache=cache, usage=usage) if played else None
    if policy is None or config.calibrate:
        say("fitting tastes")
        tastes = taste_policy(config, dataset, parts)
    chosen, others = _users(config, dataset, parts.train)
    if isinstance(config.users, int) and config.users > len(chosen):
        say(f"there are only {len(chosen)} users, not {config.users}")
    experiment = Experiment(
        catalogue=dataset.catalogue_by(parts.train),
        arms=arms,
        users=chosen,
        policy=policy or tastes,
        seed=config.seed,
        layout=Layout(**config.layout.model_dump()),
        fatigue=Fatigue(**config.fatigue.model_dump()),
        visits=config.visits,
        stopping=Stopping(metric=config.primary, **config.stopping.model_dump()) if config.stopping else None,
        label=_label(config, parts.train),
        block=1 if played else BLOCK,
        concurrency=played.concurrency if played else 1,
    )
    extra: dict[str, Any] = {}
    if config.calibrate:
        say("calibrating fatigue")
        experiment, extra = _calibrated(config.calibrate, experiment, others, tastes)
    return Prepared(dataset=dataset, parts=parts, experiment=experiment, extra=extra, usage=usage)


def _label(config: Config, train: Ratings) -> str:
    """Data, split and arms, without what may be raised when a run goes on."""
    left_out = {
        number: {"budget", "prices", "timeout"} | ({"thinking_tokens"} if arm.thinking_tokens is None else set())
        for number, arm in enumerate(config.arms)
    }
    told = config.model_dump_json(include={"data", "split", "arms"}, exclude={"arms": left_out})
    return f"{told} {train.fingerprint()}"


def _arms(config: Config, training: Training, cache: Path | None, say: Say, usage: Usage) -> list[Arm]:
    arms: list[Arm] = []
    for arm in config.arms:
        say(f"training {arm.name or arm.kind}")
        made = arm_of(
            arm.kind,
            arm.parameters,
            training=training,
            name=arm.name,
            seed=arm.seed,
            cache=cache,
            model=ranking_models(arm, cache, usage),
        )
        arms.append(made)
    return arms


def run(config: Config, prepared: Prepared, folder: Path, *, say: Say) -> ExperimentReport:
    """Run, resuming what the folder holds, and compare."""
    experiment = prepared.experiment
    say(f"{len(experiment.users)} users in {len(experiment.arms)} arms")
    offline = {}
    with prepared.usage.spending():
        outcome, turned = _ran(config, experiment, folder, say, after=prepared.usage.note)
        if config.offline and len(prepared.parts.test):
            say("evaluating offline")
            offline = _offline(prepared)
    extra = dict(prepared.extra) | prepared.usage.facts()
    report = report_of(
        outcome,
        primary=config.primary,
        alpha=config.alpha,
        title=config.title,
        reversed_=turned,
        offline=offline,
        extra=extra,
    )
    if "agent" in extra:
        report = replace(report, limits=(*report.limits, *AGENT_LIMITS))
    if len(offline) > 1:
        simulated = [arm.metrics.get(config.primary, {}).get("mean", 0.0) for arm in report.arms]
        figures = [offline[arm.name]["ndcg@20"] for arm in report.arms]
        report = replace(report, extra={**extra, "kendall_tau": kendall_tau(figures, simulated)})
    if turned is not None:
        report = with_places(report, turned, run=folder / RUN, reversed_=folder / REVERSED)
    return report


def _ran(
    config: Config, experiment: Experiment, folder: Path, say: Say, *, after: Callable[[], None]
) -> tuple[Outcome, Outcome | None]:
    """The experiment, and with reversed pages if they were asked for."""
    outcome = experiment.run(folder / RUN, after=after)
    turned = None
    if config.position_check:
        say("the same with reversed pages")
        arms = [ReversedPages(arm, experiment.layout.page_size) for arm in experiment.arms]
        turned = replace(experiment, arms=arms, label=f"reversed {experiment.label}").run(
            folder / REVERSED, after=after
        )
    return outcome, turned


def load(data: Data, base: Path) -> Dataset:
    """The data set that a file names; raises InvalidInput when it does not say where it is."""
    if data.kind == "synthetic":
        return synthetic(users=data.size)
    if data.kind == "tables":
        if data.items is None or data.ratings is None:
            raise InvalidInput("tables need data.items and data.ratings", hint="name the files")
        users = base / data.users if data.users else None
        return load_tables(items=base / data.items, ratings=base / data.ratings, users=users)
    if data.path is None:
        raise InvalidInput(f"{data.kind} needs data.path", hint="name the folder with its own files")
    return (load_movielens_100k if data.kind == "ml-100k" else load_movielens_1m)(base / data.path)


def _users(config: Config, dataset: Dataset, train: Ratings) -> tuple[list[User], list[User]]:
    """Those who take part, and the others in a random order."""
    if isinstance(config.users, list):
        ids: Collection[str] = set(config.users)
        chosen = users_of(dataset, train, ids=config.users)
        return chosen, [user for user in users_of(dataset, train) if user.id not in ids]
    everybody = users_of(dataset, train)
    order = np.random.default_rng([config.seed, 43]).permutation(len(everybody)).tolist()
    mixed = [everybody[place] for place in order]
    return mixed[: config.users], mixed[config.users :]


def _calibrated(
    wanted: Calibrating, experiment: Experiment, others: list[User], policy: TastePolicy
) -> tuple[Experiment, dict[str, Any]]:
    """With visitors by ratings, whoever visits in the experiment: a calibration takes thousands of visits."""
    arm = next((arm for arm in experiment.arms if arm.name == wanted.arm), None)
    if arm is None:
        raise UnknownName(f"calibrate names the arm {wanted.arm!r}", hint="name an arm of the experiment")
    enough = len(others) >= wanted.users
    trial = Trial(
        catalogue=experiment.catalogue,
        arm=arm,
        users=(others if enough else list(experiment.users))[: wanted.users],
        policy=policy,
        seeds=wanted.seeds,
        layout=experiment.layout,
    )
    found = calibrate(trial, targets=wanted.targets, fatigue=experiment.fatigue)
    facts = {
        "arm": wanted.arm,
        "on": "users who are not in the experiment" if enough else "users of the experiment",
        "budgets": dict(found.fatigue.budgets),
        "targets": dict(found.targets),
        "reached": dict(found.reached),
        "users": dict(found.users),
    }
    return replace(experiment, fatigue=found.fatigue), {"calibration": facts}


def _offline(prepared: Prepared) -> dict[str, dict[str, float]]:
    """Recall and nDCG of each arm: over everybody, or over the users of the experiment where a model ranks."""
    parts, dataset = prepared.parts, prepared.dataset
    known = dataset.items_of(joined(parts.train, parts.validation))
    figures = {}
    arms, users = prepared.experiment.arms, None
    if any(isinstance(arm, LLMRanker) for arm in arms):  # each of its lists costs a call
        users = {user.id for user in prepared.experiment.users} & set(dataset.items_of(parts.test))
        if not users:
            return {}
    for arm in arms:
        found = evaluate(arm, dataset, parts.test, known=known, users=users)
        figures[arm.name] = {"recall@20": float(found.recall.mean()), "ndcg@20": float(found.ndcg.mean())}
    return figures
