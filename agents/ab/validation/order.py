"""The angle "model": do simulated users put arms of known quality in their order?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.offline import evaluate
from memagent.agents.ab.ratings import joined
from memagent.agents.ab.statistics import ALPHA, Difference, compare, holm
from memagent.agents.ab.validation.findings import Finding, Table, p_text, with_interval
from memagent.agents.ab.validation.setting import METRICS, Setting, figures
from memagent.agents.ab.validation.trends import Agreement, agreement
from memagent.errors import InvalidInput
from memagent.intervals import bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPECTED = (
    "Kendall's tau between the arms' offline order (nDCG@20) and their simulated order is above 0 with its interval, "
    "and random < popularity < the arm with the highest nDCG@20, each step significant."
)
CHAIN = ("random", "popularity")


def order(setting: Setting, kinds: Mapping[str, str]) -> Finding:
    """Compare the experiment's arms, on its users; ``kinds`` says of what kind each arm is, by name.

    Raises InvalidInput unless there are three arms, a random and a popularity arm among them.
    """
    arms = setting.experiment.arms
    names = [arm.name for arm in arms]
    ends = [next((name for name in names if kinds.get(name) == kind), None) for kind in CHAIN]
    lowest, middle = ends
    if lowest is None or middle is None or len(arms) < 3:
        raise InvalidInput("the order of arms needs random, popularity and a learned arm", hint="add them to arms")
    known = setting.dataset.items_of(joined(setting.parts.train, setting.parts.validation))
    taking = {user.id for user in setting.experiment.users}
    offline = [evaluate(arm, setting.dataset, setting.parts.test, known=known, users=taking) for arm in arms]
    ndcg = np.stack([found.ndcg for found in offline], axis=1)
    outcome = setting.simulated(arms, test="model")
    users, values = figures(outcome)
    learned = [name for name in names if name not in ends]  # in their order: of equal ones the first is the best
    best = max(learned, key=lambda name: float(ndcg[:, names.index(name)].mean()))
    taus = {
        metric: agreement((offline[0].users, ndcg), (users, values[:, :, place]), seed=setting.seed)
        for place, metric in enumerate(METRICS)
    }
    steps = _steps(values[:, :, 0], names, [lowest, middle, best], setting.seed)
    return _finding(names, ndcg, np.stack([f.recall for f in offline], axis=1), values, taus, steps, len(users))


def _steps(ctr: NDArray[np.float64], names: Sequence[str], chain: Sequence[str], seed: int) -> dict[str, Difference]:
    found = {}
    for low, high in pairwise(chain):
        pair = ctr[:, [names.index(low), names.index(high)], None]
        found[f"{low} < {high}"] = compare(pair, arms=[low, high], metrics=["ctr"], primary="ctr", seed=seed)[0]
    return found


def _finding(
    names: Sequence[str],
    ndcg: NDArray[np.float64],
    recall: NDArray[np.float64],
    values: NDArray[np.float64],
    taus: Mapping[str, Agreement],
    steps: Mapping[str, Difference],
    users: int,
) -> Finding:
    corrected = dict(zip(steps, holm([step.p for step in steps.values()]), strict=True))
    rises = all(step.difference > 0 and corrected[name] <= ALPHA for name, step in steps.items())
    tau = taus["ctr"]
    chain = "; ".join(f"{name} in CTR: p {p_text(p)}" for name, p in corrected.items())
    arms = [["arm", "recall@20", "nDCG@20", *METRICS]]
    for place in np.argsort(ndcg.mean(axis=0)).tolist():
        cells = [f"{recall[:, place].mean():.3f}", f"{ndcg[:, place].mean():.3f}"]
        for metric in range(len(METRICS)):
            column = values[:, place, metric]
            defined = column[~np.isnan(column)]
            cells.append(with_interval(*bootstrap(defined[:, None])[0]) if len(defined) else "-")
        arms.append([names[place], *cells])
    orders = [["metric", "tau with nDCG@20 [95 %]"]]
    orders += [[metric, with_interval(found.tau, found.low, found.high, digits=2)] for metric, found in taus.items()]
    stepped = [["step", "difference in CTR", "p (Holm)"]]
    for name, step in steps.items():
        shown = with_interval(step.difference, step.low, step.high, sign=True)
        stepped.append([name, shown, p_text(corrected[name])])
    return Finding(
        angle="model",
        expected=EXPECTED,
        came=f"tau of CTR {with_interval(tau.tau, tau.low, tau.high, digits=2)} over {len(names)} arms; {chain}.",
        holds=tau.low > 0 and rises,
        tables=[Table(title="Arms, worst offline first", rows=arms), Table(title="Orders", rows=orders),
                Table(title="Steps", rows=stepped)],
        notes=[f"{users} simulated users; nDCG@20 over the {len(ndcg)} of them with test ratings."],
        figures={
            "ndcg@20": dict(zip(names, ndcg.mean(axis=0).tolist(), strict=True)),
            "recall@20": dict(zip(names, recall.mean(axis=0).tolist(), strict=True)),
            **{metric: dict(zip(names, np.nanmean(values[:, :, place], axis=0).tolist(), strict=True))
               for place, metric in enumerate(METRICS)},
            "tau": {metric: {"tau": t.tau, "low": t.low, "high": t.high} for metric, t in taus.items()},
            "steps": {name: {"difference": s.difference, "low": s.low, "high": s.high, "p_holm": corrected[name]}
                      for name, s in steps.items()},
        },
    )  # fmt: skip
