"""The angle "alignment": does a simulated user tell what they liked from what they never rated?

Agent4Rec's test: a list of about 20 items, one that the user liked for m that they did not rate; the user says yes or
no to each. Here no arm, page or fatigue stands between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.agents.ab.keys import key_of
from memagent.agents.ab.validation.findings import Finding, Table, unmeasured, with_interval
from memagent.agents.ab.validation.judges import Grader
from memagent.agents.ab.validation.lists import liked_items, unrated_items
from memagent.intervals import Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.catalogue import Item
    from memagent.agents.ab.ratings import Ratings
    from memagent.agents.ab.users import User
    from memagent.agents.ab.validation.judges import Judge
    from memagent.agents.ab.validation.setting import Setting

RATIOS = (1, 2, 3, 9)
SCORES = ("accuracy", "precision", "recall", "f1", "above chance", "AUC")
EXPECTED = (
    "At every ratio liked items are taken more often than unrated ones (recall less false alarms above 0 with its "
    "interval), and at 1:1 accuracy is above 0.5."
)
PUBLISHED: Mapping[str, Mapping[int, tuple[float | None, ...]]] = {
    "Agent4Rec, as others report the paper": {1: (0.69, None, None, None)},
    "Agent4Rec's code, run again by an outsider (its issue 5)": {
        1: (0.599, 0.635, 0.453, 0.501),
        2: (0.630, 0.446, 0.437, 0.415),
        3: (0.663, 0.367, 0.436, 0.373),
        9: (0.705, 0.168, 0.431, 0.223),
    },
}
"""Accuracy, precision, recall and F1 by ratio; 1,000 users of MovieLens-1M, GPT models. Other users, other lists: they
stand beside ours to show the order of magnitude, not to be beaten."""
_STREAM = 73


class Case(NamedTuple):
    """A list, and which of its items the user liked."""

    user: User
    items: list[Item]
    liked: list[bool]


def alignment(
    setting: Setting,
    judge: Judge,
    parts: Mapping[str, Ratings],
    *,
    users: int,
    ratios: Sequence[int] = RATIOS,
    items: int = 20,
) -> Finding:
    """Ask ``judge`` for up to ``users`` of the experiment's users, with liked items of each part of the ratings.

    A user takes part at a ratio where they like enough; lists are drawn for each user. Not measured where nobody
    does.
    """
    found: dict[str, dict[int, NDArray[np.float64]]] = {}
    for part, rows in parts.items():
        liked = liked_items(setting, rows)
        found[part] = {}
        for ratio in ratios:
            made = cases(setting, liked, ratio=ratio, items=items, users=users)
            if not made:
                return unmeasured("alignment", EXPECTED, f"nobody likes enough items of the {part} part at 1:{ratio}")
            setting.say(f"alignment: {part} part, 1:{ratio}, {len(made)} lists")
            shown = [(case.user, case.items) for case in made]
            graded = judge.grade(shown) if isinstance(judge, Grader) else [None] * len(made)
            found[part][ratio] = np.asarray(
                [
                    [*scores(case.liked, yes), auc(case.liked, grades)]
                    for case, yes, grades in zip(made, judge.judge(shown), graded, strict=True)
                ]
            )
    return _finding(judge.name, found, setting.seed)


def cases(setting: Setting, liked: Mapping[str, list[str]], *, ratio: int, items: int, users: int) -> list[Case]:
    """About ``items`` items a list: round(items / (1 + ratio)) liked ones, ``ratio`` times as many unrated ones."""
    positives = max(1, round(items / (1 + ratio)))
    catalogue = setting.experiment.catalogue
    made: list[Case] = []
    for user in setting.everybody:
        own = liked.get(user.id, [])
        if len(own) < positives or len(made) == users:
            continue
        random = np.random.default_rng([setting.seed, _STREAM, ratio, key_of(user.id)])
        unrated = unrated_items(setting, user.id)
        shown = [(own[place], True) for place in random.permutation(len(own))[:positives]]
        shown += [(unrated[place], False) for place in random.permutation(len(unrated))[: positives * ratio]]
        mixed = [shown[place] for place in random.permutation(len(shown))]
        made.append(Case(user, [catalogue[item] for item, _ in mixed], [true for _, true in mixed]))
    return made


def scores(liked: Sequence[bool], said: Sequence[bool]) -> list[float]:
    """Accuracy, precision, recall, F1, and recall less the rate of false alarms (Youden's J), of one list.

    Precision is 0 where nothing was taken, F1 where nothing liked was.
    """
    truth, yes = np.asarray(liked), np.asarray(said)
    hits = float((truth & yes).sum())
    precision = hits / yes.sum() if yes.any() else 0.0
    recall = hits / truth.sum()
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    alarms = float(yes[~truth].mean()) if (~truth).any() else 0.0
    return [float((truth == yes).mean()), float(precision), float(recall), float(f1), float(recall - alarms)]


def auc(liked: Sequence[bool], grades: Sequence[float] | None) -> float:
    """How often a liked item has a higher grade than one that was not rated, ties counting half; NaN without grades."""
    if grades is None or all(liked):
        return math.nan
    truth, grade = np.asarray(liked), np.asarray(grades)
    apart = grade[truth][:, None] - grade[~truth][None, :]
    return float(np.mean((apart > 0) + 0.5 * (apart == 0)))


def _finding(judge: str, found: Mapping[str, Mapping[int, NDArray[np.float64]]], seed: int) -> Finding:
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    holds = True
    for part, by_ratio in found.items():
        rows = [["1:m", *SCORES, "users"]]
        figures[part] = {}
        for ratio, values in by_ratio.items():
            intervals = dict(zip(SCORES, bootstrap(values, seed=seed), strict=True))
            rows.append([f"1:{ratio}", *(with_interval(*one) for one in intervals.values()), str(len(values))])
            figures[part][f"1:{ratio}"] = {name: one._asdict() for name, one in intervals.items()}
            holds &= _better_than_chance(intervals, ratio)
        tables.append(Table(title=f"{judge}, liked items from the {part} part", rows=rows))
    said = [
        f"{part} part, 1:{ratio}: accuracy {values[:, 0].mean():.3f}, above chance {values[:, 4].mean():+.3f}"
        for part, by_ratio in found.items()
        for ratio, values in list(by_ratio.items())[:1]
    ]
    return Finding(
        angle="alignment",
        expected=EXPECTED,
        came="; ".join(said) + ".",
        holds=holds,
        tables=[*tables, *_published()],
        notes=[
            "Figures are means over users. `above chance` is recall less the rate of false alarms.",
            "`AUC`: how often a liked item is graded above an unrated one, whatever the threshold.",
            "At 1:m saying no to everything has an accuracy of m / (m + 1).",
        ],
        figures=figures,
    )


def _better_than_chance(intervals: Mapping[str, Interval], ratio: int) -> bool:
    return intervals["above chance"].low > 0 and (ratio != 1 or intervals["accuracy"].low > 0.5)


def _published() -> list[Table]:
    rows = [["published", "1:m", *SCORES[:4]]]
    for source, by_ratio in PUBLISHED.items():
        for ratio, values in by_ratio.items():
            rows.append([source, f"1:{ratio}", *("-" if value is None else f"{value:.3f}" for value in values)])
    return [Table(title="Published figures, of other users and lists", rows=rows)]
