"""What is compared between arms: figures of each user, from the counts of their visits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.events import Visit
from memagent.errors import UnknownName

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of one user's visits to one arm; NaN where it is not defined for them.

    ``label`` is what reports call it; a ``share`` lies between 0 and 1 and is shown in per cent.
    """

    name: str
    label: str
    about: str
    of: Callable[[Sequence[Visit], int], float]
    """The user's visits, and how many they could have made."""
    share: bool = False


def _ratio(above: float, below: float, none: float = math.nan) -> float:
    return above / below if below else none


def _total(visits: Sequence[Visit], name: str) -> float:
    return float(sum(getattr(visit, name) for visit in visits))


def _ctr(visits: Sequence[Visit], possible: int) -> float:
    return _ratio(_total(visits, "clicks"), _total(visits, "impressions"), 0.0)


def _ctr_page(visits: Sequence[Visit], possible: int) -> float:
    return _ratio(_total(visits, "clicks"), _total(visits, "views"), 0.0)


def _cvr(visits: Sequence[Visit], possible: int) -> float:
    return _ratio(_total(visits, "watches"), _total(visits, "clicks"))


def _ar(visits: Sequence[Visit], possible: int) -> float:
    ratings = [rating for visit in visits for rating in visit.ratings]
    return _ratio(float(sum(ratings)), len(ratings))


def _clicks(visits: Sequence[Visit], possible: int) -> float:
    return _total(visits, "clicks") / len(visits)


def _watches(visits: Sequence[Visit], possible: int) -> float:
    return _total(visits, "watches") / len(visits)


def _depth(visits: Sequence[Visit], possible: int) -> float:
    return _total(visits, "pages") / len(visits)


def _satisfaction(visits: Sequence[Visit], possible: int) -> float:
    said = [visit.satisfaction for visit in visits if visit.satisfaction is not None]
    return _ratio(float(sum(said)), len(said))


def _retention(visits: Sequence[Visit], possible: int) -> float:
    came_back = len(visits) - 1 + (1 if visits[-1].returns else 0)
    return came_back / possible


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="ctr", label="Click-through rate", share=True,
               about="clicks per item seen; 0 for users who saw nothing", of=_ctr),
        Metric(name="ctr_page", label="Clicks per page",
               about="clicks per list page opened; 0 for users who saw nothing", of=_ctr_page),
        Metric(name="cvr", label="Conversion rate", share=True,
               about="watches per item opened; users who opened something in both arms", of=_cvr),
        Metric(name="ar", label="Average rating",
               about="mean rating given, 1 to 5; users who rated something in both arms", of=_ar),
        Metric(name="clicks", label="Clicks", about="clicks per visit", of=_clicks),
        Metric(name="watches", label="Watches", about="watches per visit", of=_watches),
        Metric(name="depth", label="Pages seen", about="different list pages seen per visit", of=_depth),
        Metric(name="satisfaction", label="Satisfaction",
               about="answer in the interview, 1 to 10; users asked in both", of=_satisfaction),
        Metric(name="retention", label="Retention", share=True,
               about="visits after which the user came, or would come, again, of those possible", of=_retention),
    )
}  # fmt: skip


def metric_named(name: str) -> Metric:
    """Raises UnknownName."""
    if name not in METRICS:
        raise UnknownName(f"there is no metric {name!r}", hint=f"one of {', '.join(METRICS)}")
    return METRICS[name]


def table(
    visits: Iterable[Visit], *, arms: Sequence[str], metrics: Sequence[str], possible: int
) -> tuple[list[str], NDArray[np.float64]]:
    """The users, in order of appearance, and their figures (users, arms, metrics)."""
    groups: dict[str, dict[str, list[Visit]]] = {}
    for visit in visits:
        groups.setdefault(visit.user, {}).setdefault(visit.arm, []).append(visit)
    chosen = [metric_named(name) for name in metrics]
    values = np.full((len(groups), len(arms), len(chosen)), np.nan)
    for row, of_user in enumerate(groups.values()):
        for column, arm in enumerate(arms):
            values[row, column] = [metric.of(of_user[arm], possible) for metric in chosen]
    return list(groups), values
