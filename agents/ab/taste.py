"""A user without a language model: taste from ratings that no arm has seen, position bias, and chance.

All constants are ours: no paper gives them. What a run with this policy shows is how a site with such users would
answer; it is evidence about arms only as far as the held-out ratings are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.agents.ab.factors import latent_factors
from memagent.agents.ab.pages import Action, DetailPage, HomePage, Kind
from memagent.agents.ab.policy import Decision, Draw, Interview, Observation, Summary, Visitor
from memagent.agents.ab.ratings import Dataset, Ratings, by_user
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.users import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How taste becomes action. The utility of an item is in standard deviations over the catalogue.

    ``latent``, ``appeal``, ``quality``: weights of the factor model, of log popularity and of the mean rating, all of
    the held-out ratings; the latter two times 0.5, 1, 1.5 for conformity 1, 2, 3. ``chosen``: added for an item that
    the user did choose. ``threshold``, ``steepness``: of the chance that a seen item is clicked, a logistic function of
    its utility. ``position_bias``: an item at place p of a page is looked at with chance p^-bias (the position-based
    model; Craswell et al., WSDM 2008). ``leaving``: the chance to leave after a page on which nothing appeals.
    Raises InvalidInput for a habit that is not finite, no factors, or a chance that is none.
    """

    latent: float = 0.7
    appeal: float = 0.35
    quality: float = 0.25
    chosen: float = 1.0
    threshold: float = 2.0
    steepness: float = 1.3
    position_bias: float = 0.3
    leaving: float = 0.12
    watching: float = 3.4
    rating: float = 0.8
    rating_noise: float = 0.5
    factors: int = 24

    def __post_init__(self) -> None:
        given = asdict(self)
        bad = [name for name, value in given.items() if not math.isfinite(value)]
        bad += [name for name in ("leaving", "rating") if not 0 <= given[name] <= 1]
        bad += [name for name, least in (("rating_noise", 0), ("factors", 1)) if given[name] < least]
        bad += ["factors"] if self.factors % 1 else []
        if bad:
            raise InvalidInput(
                f"the habit {bad[0]} is {given[bad[0]]!r}",
                hint="finite; leaving and rating from 0 to 1, rating_noise from 0, factors whole, from 1",
            )


_STREAM = 37  # of random numbers: no other use of a seed and a user has it
_CONFORMITY = {1: 0.5, 2: 1.0, 3: 1.5}
_SHRINK = 5.0  # ratings at the mean of all that an item's mean is shrunk by
_SPREAD = 0.6  # points of interest for a standard deviation of utility


class _Crowd(NamedTuple):
    """What the held-out ratings say of items, standardised: how often, and how well rated."""

    appeal: NDArray[np.float64]
    quality: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TastePolicy:
    """Visitors whose taste comes from held-out ratings; make one with :meth:`fitted`."""

    name: str = "taste"
    fingerprint: str
    habits: Habits
    codes: Mapping[str, int] = field(repr=False)
    item_codes: Mapping[str, int] = field(repr=False)
    user_factors: NDArray[np.float64] = field(repr=False)
    item_factors: NDArray[np.float64] = field(repr=False)
    crowd: _Crowd = field(repr=False)
    own: Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = field(repr=False)

    @classmethod
    def fitted(cls, dataset: Dataset, held_out: Ratings, *, habits: Habits | None = None, seed: int = 0) -> TastePolicy:
        """Taste from ``held_out``, which no arm should have been trained on. Raises InvalidInput when it is empty."""
        if not len(held_out):
            raise InvalidInput("no held-out ratings to take taste from", hint="split with a validation part")
        chosen = habits or Habits()
        users, items = len(dataset.user_ids), len(dataset.catalogue)
        counts = np.bincount(held_out.items, minlength=items)
        mean = held_out.ratings.mean()
        sums = np.bincount(held_out.items, weights=held_out.ratings, minlength=items)
        crowd = _Crowd(
            appeal=_standardised(np.log1p(counts)),
            quality=_standardised((sums + _SHRINK * mean) / (counts + _SHRINK)),
        )
        user_factors, item_factors = latent_factors(held_out, users, items, factors=chosen.factors, seed=seed)
        facts = [asdict(chosen), seed, dataset.catalogue.fingerprint, dataset.user_ids, held_out.fingerprint()]
        return cls(
            fingerprint=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
            habits=chosen,
            codes={user: code for code, user in enumerate(dataset.user_ids)},
            item_codes={item: code for code, item in enumerate(dataset.catalogue.ids)},
            user_factors=user_factors,
            item_factors=item_factors,
            crowd=crowd,
            own={user: (held_out.items[rows], held_out.ratings[rows]) for user, rows in by_user(held_out.users)},
        )

    def visitor(self, user: User, draw: Draw) -> Visitor:
        """See :class:`~memagent.agents.ab.policy.Policy`. Without held-out ratings a user likes what many like."""
        attraction, interest = self.taste(user)
        return _Visitor(self, attraction, interest, draw)

    def taste(self, user: User) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each item of the catalogue: the chance that it is clicked when looked at, and the interest, 1 to 5."""
        habits = self.habits
        weight = _CONFORMITY[user.traits.conformity]
        utility = weight * (habits.appeal * self.crowd.appeal + habits.quality * self.crowd.quality)
        code = self.codes.get(user.id, -1)
        if code in self.own:
            utility = utility + habits.latent * _standardised(self.item_factors @ self.user_factors[code])
        interest = np.clip(3.0 + _SPREAD * utility, 1.0, 5.0)
        if code in self.own:
            items, ratings = self.own[code]
            utility[items] += habits.chosen * (1 + (ratings - 3.0) / 2)
            interest[items] = ratings
        attraction = 1 / (1 + np.exp(-habits.steepness * (utility - habits.threshold)))
        return attraction, interest


class _Visitor:
    """Decides from the page alone and from numbers drawn by item and page: the way there does not matter."""

    def __init__(
        self, policy: TastePolicy, attraction: NDArray[np.float64], interest: NDArray[np.float64], draw: Draw
    ) -> None:
        self._policy = policy
        self._attraction, self._interest = attraction, interest
        self._draw = draw
        self._visit = 0
        self._begin()

    def _begin(self) -> None:
        random = np.random.default_rng([self._draw.seed, _STREAM, *self._draw.key, self._visit])
        self._click, self._watch, self._rate = random.random((3, len(self._interest)))
        self._heard = random.normal(0, self._policy.habits.rating_noise, len(self._interest))
        self._leave = random.random(1000)
        self._return = random.random()

    def decide(self, observation: Observation) -> Decision:
        page = observation.page
        action = self._of_item(page) if isinstance(page, DetailPage) else self._of_list(page)
        return Decision(action=action)

    def interview(self, summary: Summary) -> Interview:
        """Half of it is the share of clicks (all of it from one half), half the interest stated."""
        clicked = min(1.0, 2 * summary.clicks / max(1, summary.impressions))
        pleased = (clicked + (summary.mean_interest - 1) / 4) / 2
        returns = bool(self._return < pleased + 0.25)
        self._visit += 1
        self._begin()
        return Interview(satisfaction=round(1 + 9 * pleased), returns=returns)

    def _code(self, item: str) -> int:
        if item not in self._policy.item_codes:
            raise InvalidInput(f"no taste for item {item!r}", hint="fit the policy to the experiment's own catalogue")
        return self._policy.item_codes[item]

    def _of_list(self, page: HomePage) -> Action:
        habits = self._policy.habits
        codes = [self._code(entry.item.id) for entry in page.entries]
        for entry, code in zip(page.entries, codes, strict=True):
            looked_at = entry.position**-habits.position_bias
            if not entry.opened and self._click[code] < looked_at * self._attraction[code]:
                return Action(kind=Kind.CLICK, position=entry.position, interest=float(self._interest[code]))
        interest = float(np.mean(self._interest[codes]))
        bored = habits.leaving * (1 - float(np.max(self._attraction[codes])))
        if page.number == page.of or self._leave[page.number % len(self._leave)] < bored:
            return Action(kind=Kind.EXIT, interest=interest)
        return Action(kind=Kind.NEXT, interest=interest)

    def _of_item(self, page: DetailPage) -> Action:
        habits = self._policy.habits
        code = self._code(page.entry.item.id)
        interest = float(self._interest[code])
        if not page.watched and self._watch[code] < 1 / (1 + np.exp(-(interest - habits.watching))):
            return Action(kind=Kind.WATCH, interest=interest)
        if page.watched and page.rated is None and self._rate[code] < habits.rating:
            rating = int(np.clip(round(interest + self._heard[code]), 1, 5))
            return Action(kind=Kind.RATE, rating=rating, interest=interest)
        return Action(kind=Kind.BACK, interest=interest)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))
