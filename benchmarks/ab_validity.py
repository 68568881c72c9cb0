"""How far the A/B sandbox keeps what it promises, on MovieLens, with users who have tastes and no language model.

    python benchmarks/ab_validity.py --data ml-1m --path FOLDER --cache FOLDER [--arms random,svd] [--users 1000]

Prints, as JSON: the order of the arms offline (nDCG@20 on the test part) and simulated (CTR; taste from the validation
part), Kendall's tau between them with its interval; the clicks that calibrated budgets reach on other users and seeds;
how often A/A tests reject, and how often planted differences are found, against the power that was promised; processor
time and memory of 1,000 users in two arms; whether a run that was cut off ends with the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import ScoringArm, Training
from memagent.agents.ab.calibration import TARGETS, Trial, calibrate, mean_clicks
from memagent.agents.ab.experiment import BLOCK, Experiment
from memagent.agents.ab.metrics import table
from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.offline import evaluate, kendall_tau
from memagent.agents.ab.ratings import Dataset, Split, split
from memagent.agents.ab.statistics import compare, power_of, rejection_rate
from memagent.agents.ab.storing import Block
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.evals.ab.running import joined

EPOCHS = {"ml-1m": {"fm": 8, "deepfm": 8}, "ml-100k": {}}
"""Ten times the rows take fewer rounds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", choices=["ml-1m", "ml-100k"], required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--arms", default="random,popularity,item-knn,svd,mf,fm,deepfm")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--checks", default="order,calibration,false-alarms,speed,resume")
    given = parser.parse_args()
    dataset = (load_movielens_1m if given.data == "ml-1m" else load_movielens_100k)(given.path)
    parts = split(dataset.ratings)
    training = Training(dataset=dataset, ratings=parts.train)
    arms = []
    for kind in given.arms.split(","):
        epochs = EPOCHS[given.data].get(kind)
        recipe = recipe_of(kind, {"epochs": epochs} if epochs else None)
        arms.append(trained(recipe, training, cache=given.cache))
    policy = TastePolicy.fitted(dataset, parts.validation)
    everybody = users_of(dataset, parts.train)
    order = np.random.default_rng(7).permutation(len(everybody)).tolist()
    users = [everybody[place] for place in order]
    experiment = Experiment(catalogue=dataset.catalogue, arms=arms, users=users[: given.users], policy=policy)
    best = arms[-1] if len(arms) == 1 else max(arms[1:], key=lambda arm: _ndcg(arm, dataset, parts, users[:300]).mean())
    checks = {
        "order": lambda: order_of(experiment, dataset, parts),
        "calibration": lambda: calibration(experiment, best, users),
        "false-alarms": lambda: false_alarms(experiment, best, users),
        "speed": lambda: speed(experiment, best),
        "resume": lambda: resume(experiment),
    }
    for name in given.checks.split(","):
        print(json.dumps({name: checks[name]()}, indent=1), flush=True)


def _ndcg(arm: ScoringArm, dataset: Dataset, parts: Split, users: Sequence[User]) -> np.ndarray[Any, Any]:
    known = dataset.items_of(joined(parts.train, parts.validation))
    return evaluate(arm, dataset, parts.test, known=known, users={user.id for user in users}).ndcg


def order_of(experiment: Experiment, dataset: Dataset, parts: Split) -> dict[str, Any]:
    """Offline against simulated, the neighbours in the simulated order tested, and tau over resampled users."""
    outcome = experiment.run()
    names, values = table(outcome.visits, arms=outcome.arms, metrics=["ctr"], possible=1)
    ctr = values[:, :, 0]
    known = dataset.items_of(joined(parts.train, parts.validation))
    found = [evaluate(arm, dataset, parts.test, known=known) for arm in experiment.arms]
    ndcg = np.stack([figures.ndcg for figures in found], axis=1)
    random = np.random.default_rng(0)
    taus = []
    for _ in range(2000):
        seen = random.integers(0, len(ctr), len(ctr))
        tested = random.integers(0, len(ndcg), len(ndcg))
        taus.append(kendall_tau(ndcg[tested].mean(axis=0), ctr[seen].mean(axis=0)))
    ranked = np.argsort(ctr.mean(axis=0))
    steps = {}
    for lower, upper in pairwise(ranked.tolist()):
        pair = [outcome.arms[lower], outcome.arms[upper]]
        step = compare(values[:, [lower, upper]], arms=pair, metrics=["ctr"], primary="ctr")[0]
        steps[" < ".join(pair)] = {"difference": step.difference, "low": step.low, "high": step.high, "p": step.p}
    return {
        "users": len(names),
        "ndcg@20": dict(zip(outcome.arms, ndcg.mean(axis=0).round(4).tolist(), strict=True)),
        "recall@20": {arm: round(float(f.recall.mean()), 4) for arm, f in zip(outcome.arms, found, strict=True)},
        "ctr": dict(zip(outcome.arms, ctr.mean(axis=0).round(4).tolist(), strict=True)),
        "tau": kendall_tau(ndcg.mean(axis=0), ctr.mean(axis=0)),
        "tau_95": np.quantile(taus, [0.025, 0.975]).round(3).tolist(),
        "steps": steps,
    }


def calibration(experiment: Experiment, arm: ScoringArm, users: Sequence[User]) -> dict[str, Any]:
    """Budgets from one half of the users, clicks on the other half with other seeds."""
    half = len(users) // 2
    trial = Trial(catalogue=experiment.catalogue, arm=arm, users=users[:half][:1500], policy=experiment.policy)
    fitted = calibrate(trial)
    other = replace(trial, users=users[half:], seeds=(101, 102, 103))
    visits = other.visits(fitted.fatigue)
    reached = mean_clicks(visits)
    spread = {level: float(np.std([v.clicks for v in visits if v.activity == level])) for level in TARGETS}
    return {
        "arm": arm.name,
        "budgets": dict(fitted.fatigue.budgets),
        "fitted": dict(fitted.reached),
        "elsewhere": reached,
        "off_by": {level: round(reached[level] / target - 1, 4) for level, target in TARGETS.items()},
        "users": {level: sum(user.traits.activity == level for user in users[half:]) for level in TARGETS},
        "spread": spread,
    }


def false_alarms(experiment: Experiment, arm: ScoringArm, users: Sequence[User]) -> dict[str, Any]:
    """2,000 experiments of 200 users from stored sessions of two runs of an arm; then with planted differences."""
    twin = Named(arm, "twin")
    pool = replace(experiment, arms=[arm, twin], users=users, common_random_numbers=False).run()
    _, values = table(pool.visits, arms=pool.arms, metrics=["ctr"], possible=1)
    each = values[:, 1, 0] - values[:, 0, 0]
    spread = float(each.std(ddof=1))
    rates: dict[str, Any] = {"pool": len(each), "false_alarms": rejection_rate(each, users=200, repetitions=2000)}
    for share in (0.1, 0.15, 0.2, 0.25, 0.3):
        planted = share * spread
        promised = power_of(200, spread=spread, difference=planted)
        rates[f"planted_{planted:.4f}"] = {
            "promised": round(promised, 4),
            "found": rejection_rate(each, users=200, repetitions=1000, planted=planted, seed=1),
        }
    return rates


class Named:
    """An arm by another name."""

    def __init__(self, arm: ScoringArm, name: str) -> None:
        self._arm = arm
        self.name = name

    def recommend(self, user: str, k: int, exclude: Any) -> list[str]:
        """See :class:`~memagent.agents.ab.arms.port.Arm`."""
        return self._arm.recommend(user, k, exclude)


def speed(experiment: Experiment, arm: ScoringArm) -> dict[str, Any]:
    """Two arms, with the log written to disk."""
    pair = replace(experiment, arms=[experiment.arms[0], arm])
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        visits = len(pair.run(folder).visits)
        return {
            "users": len(pair.users),
            "visits": visits,
            "cpu_s": round(time.process_time() - cpu, 2),
            "wall_s": round(time.perf_counter() - wall, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


class _Cut(Exception):
    """Stands for a kill."""


def resume(experiment: Experiment) -> dict[str, Any]:
    """A run that is cut off in its third block and run again, against one that is not."""
    small = replace(experiment, users=experiment.users[: 5 * BLOCK])
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        small.run(whole)
        with suppress(_Cut):
            cut_off(small, after=3 * BLOCK - 5).run(cut)
        small.run(cut)
        names = sorted(path.name for path in whole.iterdir())
        same = {name: _digest(whole / name) == _digest(cut / name) for name in names}
        return {"files": names, "same": same}


def cut_off(experiment: Experiment, *, after: int) -> Experiment:
    class Cut(Experiment):
        def sessions(self, user: User, number: int) -> Block:
            if number == after:
                raise _Cut
            return Experiment.sessions(self, user, number)

    return Cut(catalogue=experiment.catalogue, arms=experiment.arms, users=experiment.users, policy=experiment.policy)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
