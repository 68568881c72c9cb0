"""The angle "taste": lists with more of what a user likes must be clicked, watched and rated better."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.keys import key_of
from memagent.agents.ab.ratings import by_user
from memagent.agents.ab.validation.findings import Finding, unmeasured
from memagent.agents.ab.validation.setting import Setting, figures
from memagent.agents.ab.validation.trend_tables import said_of, trend_figures, trend_table, trends

if TYPE_CHECKING:
    from memagent.agents.ab.ratings import Ratings
    from memagent.agents.ab.users import User

EXPECTED = (
    "CTR, CVR and AR rise from lists with 1 liked item for 9 unrated ones over 1:4 to 1:1 (Page's test, within users)."
)
RATIOS = (9, 4, 1)
"""Negatives for each positive, in the order in which figures should rise."""
LIKED = 4.0
"""From this rating on an item is liked."""
_STREAM = 59


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedLists:
    """An arm that shows each user the list made for them."""

    name: str
    lists: Mapping[str, Sequence[str]]

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        """See :class:`~memagent.agents.ab.arms.port.Arm`."""
        return [item for item in self.lists[user] if item not in exclude][:k]


def liked_items(setting: Setting, part: Ratings, least: float = LIKED) -> dict[str, list[str]]:
    """The items of a part of the ratings that each user gave ``least`` or more, in the order of its rows."""
    ids = setting.dataset.catalogue.ids
    liked = part.rows(part.ratings >= least)
    return {
        setting.dataset.user_ids[user]: [ids[item] for item in liked.items[rows]] for user, rows in by_user(liked.users)
    }


def unrated_items(setting: Setting, user: str) -> list[str]:
    """The items that a user has no rating for in any part of the data, in the order of the catalogue."""
    if user not in setting.dataset.user_ids:
        return list(setting.dataset.catalogue.ids)
    rows = setting.dataset.ratings.users == setting.dataset.user_ids.index(user)
    rated = set(setting.dataset.ratings.items[rows].tolist())
    return [item for code, item in enumerate(setting.dataset.catalogue.ids) if code not in rated]


def taste(
    setting: Setting, part: str, rows: Ratings, *, items: int = 20, ratios: Sequence[int] = RATIOS, users: int
) -> Finding:
    """Lists of ``items``, positives from the held-out ``rows``, which ``part`` names.

    Up to ``users`` of all users take part: those who like enough for the richest list. The lists of a user differ only
    in the places where a positive stands in for a negative, and what is positive in one is so in the next. Not
    measured where nobody likes enough.
    """
    most = max(positives_of(items, ratio) for ratio in ratios)
    liked = liked_items(setting, rows)
    able = [user for user in setting.everybody if len(liked.get(user.id, ())) >= most]
    if not able:
        why = f"nobody likes {most} items of the {part} part; lists of fewer items may do"
        return unmeasured(f"taste: {part} part", EXPECTED, why)
    taking = _drawn(able, users, setting.seed)
    lists = {user.id: mixed(setting, user.id, liked[user.id], items, ratios) for user in taking}
    arms = [
        MixedLists(name=f"1:{ratio}", lists={user: made[place] for user, made in lists.items()})
        for place, ratio in enumerate(ratios)
    ]
    _, values = figures(setting.simulated(arms, test=f"taste-{part}", users=taking))
    found = trends(values, [arm.name for arm in arms], seed=setting.seed)
    return Finding(
        angle=f"taste: {part} part",
        expected=EXPECTED,
        came=f"{said_of(found)}.",
        holds=all(one.rises for one in found),
        tables=[trend_table(f"Lists of {items}, positives from the {part} part", found)],
        notes=[f"{len(able)} users like {most} or more items of the {part} part; {len(taking)} took part."],
        figures=trend_figures(found),
    )


def positives_of(items: int, ratio: int) -> int:
    """How many of so many items are positive at 1 to ``ratio``; at least one."""
    return max(1, round(items / (1 + ratio)))


def mixed(setting: Setting, user: str, liked: Sequence[str], items: int, ratios: Sequence[int]) -> list[list[str]]:
    """A list for each ratio: negatives in a drawn order, positives in the place of some of them."""
    random = np.random.default_rng([setting.seed, _STREAM, key_of(user)])
    unrated = unrated_items(setting, user)
    negatives = [unrated[place] for place in random.permutation(len(unrated))[:items]]
    places = random.permutation(len(negatives))
    positives = [liked[place] for place in random.permutation(len(liked))]
    made = []
    for ratio in ratios:
        shown = list(negatives)
        for place, item in zip(places[: positives_of(items, ratio)], positives, strict=False):
            shown[place] = item
        made.append(shown)
    return made


def _drawn(users: Sequence[User], number: int, seed: int) -> list[User]:
    order = np.random.default_rng([seed, _STREAM]).permutation(len(users))[:number]
    return [users[place] for place in order.tolist()]
