"""How far the A/B sandbox keeps what it promises, on MovieLens, with users who have tastes and no language model.

    python benchmarks/ab_validity.py --data ml-1m --path FOLDER --cache FOLDER [--arms random,svd] [--users 1000]

Prints, as JSON: what ``memagent eval ab-validate`` finds of the order of arms, of calibration, and of false alarms and
power (its angles model, activity and errors); processor time and memory of 1,000 users in two arms; whether a run that
was cut off ends with the same bytes. With ``--checks offline``: Recall@20 and nDCG@20 alone, for ``--split time``
(7:2:1 at two moments for everybody) too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import ScoringArm, Training
from memagent.agents.ab.experiment import BLOCK, Experiment
from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.offline import evaluate
from memagent.agents.ab.ratings import Dataset, Split, joined, split
from memagent.agents.ab.storing import Block
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.agents.ab.validation.activity import activity
from memagent.agents.ab.validation.errors import errors
from memagent.agents.ab.validation.order import order
from memagent.agents.ab.validation.setting import Setting

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
    parser.add_argument("--split", choices=["user-time", "user-random", "time"], help="default: by each user's time")
    given = parser.parse_args()
    dataset = (load_movielens_1m if given.data == "ml-1m" else load_movielens_100k)(given.path)
    parts = split(dataset.ratings, by=given.split)
    training = Training(dataset=dataset, ratings=parts.train)
    arms = []
    for kind in given.arms.split(","):
        epochs = EPOCHS[given.data].get(kind)
        recipe = recipe_of(kind, {"epochs": epochs} if epochs else None)
        arms.append(trained(recipe, training, cache=given.cache))
    policy = TastePolicy.fitted(dataset, parts.validation)
    everybody = users_of(dataset, parts.train)
    mixed = np.random.default_rng(7).permutation(len(everybody)).tolist()
    users = [everybody[place] for place in mixed]
    experiment = Experiment(
        catalogue=dataset.catalogue_by(parts.train), arms=arms, users=users[: given.users], policy=policy
    )
    setting = Setting(dataset=dataset, parts=parts, experiment=experiment, everybody=users)
    best = arms[-1] if len(arms) == 1 else max(arms[1:], key=lambda arm: _ndcg(arm, dataset, parts, users[:300]).mean())
    checks: dict[str, Callable[[], Any]] = {
        "offline": lambda: offline(arms, dataset, parts),
        "order": lambda: order(setting, {arm.name: arm.name for arm in arms}).figures,
        "calibration": lambda: activity(setting, best)[0].figures,
        "false-alarms": lambda: errors(setting, best).figures,
        "speed": lambda: speed(experiment, best),
        "resume": lambda: resume(experiment),
    }
    for name in given.checks.split(","):
        print(json.dumps({name: checks[name]()}, indent=1), flush=True)


def _ndcg(arm: ScoringArm, dataset: Dataset, parts: Split, users: Sequence[User]) -> np.ndarray[Any, Any]:
    known = dataset.items_of(joined(parts.train, parts.validation))
    return evaluate(arm, dataset, parts.test, known=known, users={user.id for user in users}).ndcg


def offline(arms: Sequence[ScoringArm], dataset: Dataset, parts: Split) -> dict[str, Any]:
    """Recall@20 and nDCG@20 on the test part: of everybody in it, and of those who have training rows.

    What is known and not recommended is all that came before. ``coverage``: the part of the test rows whose item has a
    training row, which is what learned arms can reach at most.
    """
    known = dataset.items_of(joined(parts.train, parts.validation))
    warm = frozenset(dataset.items_of(parts.train))
    found: dict[str, Any] = {
        "rows": {name: len(part) for name, part in parts._asdict().items()},
        "coverage": round(float(np.isin(parts.test.items, parts.train.items).mean()), 4),
    }
    for arm in arms:
        everybody = evaluate(arm, dataset, parts.test, known=known)
        some = evaluate(arm, dataset, parts.test, known=known, users=warm)
        found[arm.name] = {
            f"{name}, {len(of.users)} users": {
                "recall@20": round(float(of.recall.mean()), 4),
                "ndcg@20": round(float(of.ndcg.mean()), 4),
            }
            for name, of in (("all", everybody), ("with history", some))
        }
    return found


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
