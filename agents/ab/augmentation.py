"""Data augmentation: simulated clicks and views as training rows, and a filter that drops those of little fidelity.

What the paper adds to the training of click models is 2,518 clicks and 1,884 views (arXiv 2601.04554, as reported by a
third party's notes on it; the filter and its limit here are ours). Nothing of a test part may come in: the arms and the
reference learn from training rows, and visitors of :class:`~memagent.agents.ab.taste.TastePolicy` have their tastes
from validation rows, which is then all that such rows can teach.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from memagent.agents.ab.ratings import Ratings, by_user
from memagent.agents.ab.shelf import shelf
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.arms.scoring import Training
    from memagent.agents.ab.events import Event

RANK_LIMIT = 100
"""The worst rank that the reference may give a simulated interaction that is kept. Ours."""

LIKED = 4.0
"""From this rating on, of 1 to 5, a row is labelled as liked."""

_STREAM = 47  # of random numbers: no other use of a seed and a user has it

Kind = Literal["clicks", "views"]


def simulated(events: Iterable[Event], training: Training, *, kind: Kind, liked: float = LIKED) -> Ratings:
    """The clicks, or the views (what was watched), of a log as rows without times.

    A click says that an item is liked: its rating is ``liked``. So does a view, unless the visitor rated it. What arms
    or visits have in common is one row, the last rating counts; pairs that have a training row are left out, and so are
    users and items that the data set does not have. Raises InvalidInput for another kind.
    """
    if kind not in ("clicks", "views"):
        raise InvalidInput(f"there are no simulated {kind}", hint="clicks or views")
    dataset = training.dataset
    code_of = {user: code for code, user in enumerate(dataset.user_ids)}
    known = set(zip(training.ratings.users.tolist(), training.ratings.items.tolist(), strict=True))
    wanted = {"clicks": ("click",), "views": ("watch", "rate")}[kind]
    found: dict[tuple[int, int], float] = {}
    for event in events:
        if event.event not in wanted or event.user not in code_of or event.item not in dataset.catalogue:
            continue
        pair = code_of[event.user], dataset.catalogue.code(str(event.item))
        if pair not in known:
            found.setdefault(pair, liked)
            if event.rating is not None:
                found[pair] = float(event.rating)
    pairs = np.asarray(list(found), dtype=np.int64).reshape(-1, 2)
    return Ratings(users=pairs[:, 0], items=pairs[:, 1], ratings=np.asarray(list(found.values()), dtype=np.float64))


def faithful(rows: Ratings, reference: Arm, training: Training, *, limit: int = RANK_LIMIT) -> NDArray[np.bool_]:
    """For each row whether ``reference`` ranks its item among the ``limit`` best for its user, of the items without a
    training row.

    The reference should be none of the arms whose lists were shown, or it agrees with itself. Raises InvalidInput for a
    limit below 1, ArmFailed when the reference fails.
    """
    if limit < 1:
        raise InvalidInput(f"a rank limit of {limit}", hint="from 1")
    dataset = training.dataset
    known = dataset.items_of(training.ratings)
    kept = np.zeros(len(rows), dtype=np.bool_)
    for code, places in by_user(rows.users):
        user = dataset.user_ids[code]
        best = shelf(reference, user, limit, known.get(user, frozenset()), dataset.catalogue)
        kept[places] = np.isin(rows.items[places], dataset.catalogue.codes(best.items))
    return kept


def drawn_like(rows: Ratings, training: Training, *, seed: int) -> Ratings:
    """The control: each user gets as many rows, with the same ratings, but of items drawn at random from those without
    a training row of theirs.
    """
    known = {user: training.ratings.items[places] for user, places in by_user(training.ratings.users)}
    items = np.empty(len(rows), dtype=np.int64)
    for user, places in by_user(rows.users):
        random = np.random.default_rng([seed, _STREAM, user])
        others = np.setdiff1d(np.arange(training.items), known.get(user, np.empty(0, dtype=np.int64)))
        items[places] = random.choice(others, size=len(places), replace=False)
    return Ratings(users=rows.users, items=items, ratings=rows.ratings)


def augmented(ratings: Ratings, rows: Ratings) -> Ratings:
    """Training rows for any arm: those given, and ``rows`` after them.

    Where the first have times, each of the others comes after everything that its user did before.
    """
    times = ratings.times
    if times is not None:
        latest = {user: int(times[places].max()) for user, places in by_user(ratings.users)}
        start = int(times.max()) if len(times) else 0
        after = np.empty(len(rows), dtype=np.int64)
        for user, places in by_user(rows.users):
            after[places] = latest.get(user, start) + 1 + np.arange(len(places))
        times = np.concatenate([times, after])
    return Ratings(
        users=np.concatenate([ratings.users, rows.users]),
        items=np.concatenate([ratings.items, rows.items]),
        ratings=np.concatenate([ratings.ratings, rows.ratings]),
        times=times,
    )
