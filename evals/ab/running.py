"""From the file of an experiment to its report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.reversed_pages import ReversedPages
from memagent.agents.ab.arms.scoring import ScoringArm, Training
from memagent.agents.ab.calibration import Trial, calibrate
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.offline import evaluate, kendall_tau
from memagent.agents.ab.ratings import Dataset, Ratings, Split, split
from memagent.agents.ab.report import ExperimentReport, report_of
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_tables
from memagent.agents.ab.taste import Habits, TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.ab.config import Calibrating, Config, Data

Say = Callable[[str], None]
"""Told what is being done."""

RUN, REVERSED = "run", "run-reversed"
"""The folders, in that of the results, with the logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that an experiment needs, trained and calibrated."""

    dataset: Dataset
    parts: Split
    experiment: Experiment
    extra: dict[str, Any]


def prepare(config: Config, *, base: Path, cache: Path | None, say: Say) -> Prepared:
    """Load, split, train and calibrate. ``base``: what paths of the file are relative to."""
    say(f"reading {config.data.kind}")
    dataset = load(config.data, base)
    parts = split(dataset.ratings, by=config.split.by, seed=config.split.seed, data_share=config.split.data_share)
    training = Training(dataset=dataset, ratings=parts.train)
    arms: list[ScoringArm] = []
    for arm in config.arms:
        say(f"training {arm.name or arm.kind}")
        recipe = recipe_of(arm.kind, arm.parameters)
        arms.append(trained(recipe, training, name=arm.name, seed=arm.seed, cache=cache))
    say("fitting tastes")
    policy = TastePolicy.fitted(dataset, parts.validation, habits=_habits(config), seed=config.seed)
    chosen, others = _users(config, dataset, parts.train)
    experiment = Experiment(
        catalogue=dataset.catalogue,
        arms=arms,
        users=chosen,
        policy=policy,
        seed=config.seed,
        layout=Layout(**config.layout.model_dump()),
        fatigue=Fatigue(**config.fatigue.model_dump()),
        visits=config.visits,
        stopping=Stopping(metric=config.primary, **config.stopping.model_dump()) if config.stopping else None,
        label=config.model_dump_json(include={"data", "split", "arms"}),
    )
    extra: dict[str, Any] = {}
    if config.calibrate:
        say("calibrating fatigue")
        experiment, extra = _calibrated(config.calibrate, experiment, others)
    return Prepared(dataset=dataset, parts=parts, experiment=experiment, extra=extra)


def run(config: Config, prepared: Prepared, folder: Path, *, say: Say) -> ExperimentReport:
    """Run, resuming what the folder holds, and compare."""
    experiment = prepared.experiment
    say(f"{len(experiment.users)} users in {len(experiment.arms)} arms")
    outcome = experiment.run(folder / RUN)
    turned = None
    if config.position_check:
        say("the same with reversed pages")
        arms = [ReversedPages(arm, experiment.layout.page_size) for arm in experiment.arms]
        turned = replace(experiment, arms=arms, label=f"reversed {experiment.label}").run(folder / REVERSED)
    extra = dict(prepared.extra)
    offline = {}
    if config.offline and len(prepared.parts.test):
        say("evaluating offline")
        offline = _offline(prepared)
    report = report_of(
        outcome,
        primary=config.primary,
        alpha=config.alpha,
        title=config.title,
        reversed_=turned,
        offline=offline,
        extra=extra,
    )
    if len(offline) > 1:
        simulated = [arm.metrics.get(config.primary, {}).get("mean", 0.0) for arm in report.arms]
        figures = [offline[arm.name]["ndcg@20"] for arm in report.arms]
        report = replace(report, extra={**extra, "kendall_tau": kendall_tau(figures, simulated)})
    return report


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


def joined(*parts: Ratings) -> Ratings:
    """The rows of several parts."""
    timed = [part.times for part in parts if part.times is not None]
    return Ratings(
        users=np.concatenate([part.users for part in parts]),
        items=np.concatenate([part.items for part in parts]),
        ratings=np.concatenate([part.ratings for part in parts]),
        times=np.concatenate(timed) if len(timed) == len(parts) else None,
    )


def _habits(config: Config) -> Habits:
    known = set(Habits.__dataclass_fields__)
    unknown = sorted(set(config.policy.habits) - known)
    if unknown:
        raise UnknownName(f"there is no habit {unknown[0]!r}", hint=f"one of {', '.join(sorted(known))}")
    values: dict[str, Any] = dict(config.policy.habits)
    if "factors" in values:
        values["factors"] = int(values["factors"])
    return Habits(**values)


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


def _calibrated(wanted: Calibrating, experiment: Experiment, others: list[User]) -> tuple[Experiment, dict[str, Any]]:
    arm = next((arm for arm in experiment.arms if arm.name == wanted.arm), None)
    if arm is None:
        raise UnknownName(f"calibrate names the arm {wanted.arm!r}", hint="name an arm of the experiment")
    enough = len(others) >= wanted.users
    trial = Trial(
        catalogue=experiment.catalogue,
        arm=arm,
        users=(others if enough else list(experiment.users))[: wanted.users],
        policy=experiment.policy,
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
    parts, dataset = prepared.parts, prepared.dataset
    known = dataset.items_of(joined(parts.train, parts.validation))
    figures = {}
    for arm in prepared.experiment.arms:
        found = evaluate(arm, dataset, parts.test, known=known)
        figures[arm.name] = {"recall@20": float(found.recall.mean()), "ndcg@20": float(found.ndcg.mean())}
    return figures
