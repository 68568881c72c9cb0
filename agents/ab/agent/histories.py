"""What users rated, as an agent is told of it: items with their ratings, and a summary by counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.ratings import Dataset, Ratings, by_user

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""When the first rating was given, where nobody wrote down when."""

LIKED, DISLIKED = 4.0, 2.0
"""From and up to this rating; ours."""

_GENRES, _TITLES = 5, 3  # named in a summary
_FEW = 3  # ratings of a genre that say something


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """An item that a user rated, 1 to 5, and when."""

    item: Item
    rating: float
    rated_at: datetime

    @property
    def line(self) -> str:
        """In words, as it is remembered."""
        opinion = (
            "liked it" if self.rating >= LIKED else "did not like it" if self.rating <= DISLIKED else "it was so-so"
        )
        return f"Watched {named(self.item)} before: {opinion}, {self.rating:g} of 5."


class Histories:
    """The rated items of each user of a data set. Holds the rows, and makes the items when they are asked for.

    What others think of an item is the mean of ``ratings`` too, and of no others.
    """

    def __init__(self, dataset: Dataset, ratings: Ratings) -> None:
        self._items = dataset.catalogue_by(ratings).items
        self._ratings = ratings
        rows = dict(by_user(ratings.users))
        self._rows: dict[str, NDArray[np.intp]] = {
            user: rows[code] for code, user in enumerate(dataset.user_ids) if code in rows
        }
        self.fingerprint = ratings.fingerprint()

    def of(self, user: str) -> tuple[Rated, ...]:
        """What a user rated, oldest first; nothing for one who is not known."""
        found = []
        for place, row in enumerate(self._rows.get(user, ())):
            times = self._ratings.times
            at = BEGINNING + timedelta(minutes=place) if times is None else datetime.fromtimestamp(int(times[row]), UTC)
            item = self._items[int(self._ratings.items[row])]
            found.append(Rated(item=item, rating=float(self._ratings.ratings[row]), rated_at=at))
        return tuple(sorted(found, key=lambda rated: rated.rated_at))


def named(item: Item) -> str:
    """An item by title and genres."""
    return f'"{item.title}" ({", ".join(item.genres)})' if item.genres else f'"{item.title}"'


def counted(history: Sequence[Rated]) -> str:
    """A summary without a model: how many, how severe, the genres, the best and the worst; "" for no history."""
    if not history:
        return ""
    ratings = [rated.rating for rated in history]
    crowd = [rated.rating - rated.item.rating for rated in history if rated.item.rating is not None]
    said = [f"Has rated {len(history)} items, {fmean(ratings):.1f} of 5 in the mean{_severity(crowd)}."]
    of_genre: dict[str, list[float]] = {}
    for rated in history:
        for genre in rated.item.genres:
            of_genre.setdefault(genre, []).append(rated.rating)
    often = Counter({genre: len(given) for genre, given in of_genre.items()}).most_common(_GENRES)
    if often:
        said.append(f"Mostly {', '.join(f'{genre} ({n / len(history):.0%})' for genre, n in often)}.")
    means = {genre: fmean(given) for genre, given in of_genre.items() if len(given) >= _FEW}
    if len(means) > 1:
        best, worst = max(means, key=lambda g: (means[g], g)), min(means, key=lambda g: (means[g], g))
        said.append(f"Rates {best} highest ({means[best]:.1f}) and {worst} lowest ({means[worst]:.1f}).")
    said += _extremes(history)
    return " ".join(said)


def _severity(crowd: Sequence[float]) -> str:
    """How a user's ratings lie to everybody's, in words."""
    if not crowd:
        return ""
    apart = fmean(crowd)
    return ", milder than most" if apart > 0.3 else ", more severe than most" if apart < -0.3 else ""


def _extremes(history: Sequence[Rated]) -> list[str]:
    """The latest of what was rated highest, and of what was not liked."""
    newest = sorted(history, key=lambda rated: rated.rated_at, reverse=True)
    top = [rated for rated in sorted(newest, key=lambda rated: -rated.rating) if rated.rating >= LIKED][:_TITLES]
    bottom = [rated for rated in sorted(newest, key=lambda rated: rated.rating) if rated.rating <= DISLIKED][:_TITLES]
    said = [f"Loved {', '.join(named(rated.item) for rated in top)}."] if top else []
    return said + ([f"Disliked {', '.join(named(rated.item) for rated in bottom)}."] if bottom else [])
