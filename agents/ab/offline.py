"""The ranking of arms without users: recall and nDCG on held-out ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.ratings import Dataset, Ratings, by_user
from memagent.agents.ab.shelf import Shelf, shelf
from memagent.errors import ArmFailed, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from memagent.agents.ab.arms.port import Arm

K = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """Figures of an arm, one a user (float64, in the order of ``users``), and the faults of its lists."""

    users: tuple[str, ...]
    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    faults: int


def evaluate(
    arm: Arm,
    dataset: Dataset,
    test: Ratings,
    *,
    known: Mapping[str, Collection[str]],
    k: int = K,
    least: float = 0.0,
    users: Collection[str] | None = None,
) -> Offline:
    """Recall@k and nDCG@k over the users with relevant items.

    Relevant are a user's test items rated ``least`` or higher. Recall is hits / relevant; nDCG has gain 1 and discount
    1 / log2(rank + 1), over that of min(k, relevant) hits at the top. ``known`` items are not recommended. A user for
    whom the arm fails has 0, and counts as a fault. Raises InvalidInput when nobody has a relevant item.
    """
    ids = dataset.catalogue.ids
    names, recalls, ndcgs, faults = [], [], [], 0
    for code, rows in by_user(test.users):
        user = dataset.user_ids[code]
        relevant = {ids[item] for item in test.items[rows][test.ratings[rows] >= least]}
        if not relevant or (users is not None and user not in users):
            continue
        try:
            found = shelf(arm, user, k, known.get(user, ()), dataset.catalogue)
        except ArmFailed:
            found = Shelf(items=(), own={"failed": 1})
        names.append(user)
        faults += bool(found.faults)
        recall, ndcg = ranking_scores(found.items, relevant, k)
        recalls.append(recall)
        ndcgs.append(ndcg)
    if not names:
        raise InvalidInput("no user has a relevant test item", hint="split with a test part, or lower the least rating")
    return Offline(users=tuple(names), recall=np.asarray(recalls), ndcg=np.asarray(ndcgs), faults=faults)


def ranking_scores(ranked: Sequence[str], relevant: Collection[str], k: int) -> tuple[float, float]:
    """Recall@k and nDCG@k of one list."""
    gains = [1 / np.log2(rank + 1) for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return len(gains) / len(relevant), float(sum(gains) / ideal)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two gradings of the same arms; NaN where one of them is all ties."""
    a, b = np.asarray(first), np.asarray(second)
    upper = np.triu_indices(len(a), k=1)
    left = np.sign(a[:, None] - a[None, :])[upper]
    right = np.sign(b[:, None] - b[None, :])[upper]
    pairs = float(np.sqrt(np.count_nonzero(left) * np.count_nonzero(right)))
    return float(left @ right / pairs) if pairs else float("nan")
