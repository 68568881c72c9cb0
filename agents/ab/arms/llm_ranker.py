"""A language model as a recommender: it puts another arm's candidates into an order."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memagent.agents.ab.agent.asking import answered
from memagent.agents.ab.arms.port import Arm, Ranked
from memagent.agents.ab.ratings import by_user
from memagent.errors import ArmFailed, BudgetExceeded, InvalidInput, ModelDenied, ModelError
from memagent.llm.flow import asked
from memagent.llm.model import as_model
from memagent.prompts.ab_ranker import Listed, rank_candidates

if TYPE_CHECKING:
    from memagent.agents.ab.arms.scoring import Training
    from memagent.agents.ab.catalogue import Item
    from memagent.llm.model import Model, ModelLike

_KEPT = 10_000  # orders in memory
_LOCKS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMRanking:
    """The settings of an :class:`LLMRanker`.

    ``model``: a name or URL, as :class:`~memagent.llm.model.Model` takes it, and ``base``: the kind of arm whose first
    ``candidates`` are put into an order; both for configurations, for the class is given a model and an arm.
    ``history``: how many of a user's latest items the model reads of. ``failure``: what becomes of a list that the
    model does not answer for: the order of ``base``, or "raise".
    """

    model: str = ""
    base: str = "popularity"
    candidates: int = 20
    history: int = 30
    failure: str = "base"

    kind: ClassVar[str] = "llm-ranker"

    def __post_init__(self) -> None:
        if self.candidates < 2 or self.history < 0 or self.failure not in ("base", "raise"):
            raise InvalidInput(
                f"the arm {self.kind} cannot be {self}", hint="2 candidates or more, failure 'base' or 'raise'"
            )


class LLMRanker:
    """Ranks the first candidates of ``base`` with one listwise prompt; what ``base`` has after them follows.

    A number that the model repeats or makes up is dropped, and candidates that it leaves out follow in the order of
    ``base``. Each is a fault of the list (``reranked_repeated``, ``reranked_unknown``, ``reranked_missing``: how many),
    as is an answer that did not come (``rerank_failed``), so all of it is in the log. The same candidates for the same
    user are asked about once in the life of this object, and with a reply cache in the model once at all. No money
    left, a wrong key and a model that has ceased to answer at all are raised: they end the run, which can be resumed.
    Safe from several threads as far as ``base`` is.
    """

    def __init__(
        self,
        model: ModelLike,
        base: Arm,
        training: Training,
        settings: LLMRanking | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self._settings = settings or LLMRanking()
        self.name = name or LLMRanking.kind
        self._model = as_model(model)
        self._base = base
        self._dataset = training.dataset
        self._history = _histories(training, self._settings.history)
        self._orders: OrderedDict[tuple[str, tuple[str, ...]], Ranked] = OrderedDict()
        self._lock = threading.Lock()
        self._asking = [threading.Lock() for _ in range(_LOCKS)]

    @property
    def model(self) -> Model:
        """Who ranks; its meter tells what was used."""
        return self._model

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Ranked:
        """See :class:`~memagent.agents.ab.arms.port.Arm`. Raises ArmFailed when told to rather than fall back."""
        most = self._settings.candidates
        listed = [str(item) for item in self._base.recommend(user, max(k, most), exclude)]
        first = tuple(item for item in dict.fromkeys(listed[:most]) if item in self._dataset.catalogue)
        if len(first) < 2:
            return Ranked(listed[:k])
        order = self._order(user, first)
        chosen = set(order)
        rest = [item for item in listed if item not in chosen]
        return Ranked([*order, *rest][:k], faults=order.faults)

    def _order(self, user: str, candidates: tuple[str, ...]) -> Ranked:
        key = (user, candidates)
        with self._asking[hash(key) % _LOCKS]:
            with self._lock:
                if key in self._orders:
                    return self._orders[key]
            order = self._asked(user, candidates)
            if "rerank_failed" not in order.faults:
                with self._lock:
                    self._orders[key] = order
                    while len(self._orders) > _KEPT:
                        self._orders.popitem(last=False)
            return order

    def _asked(self, user: str, candidates: tuple[str, ...]) -> Ranked:
        prompt = rank_candidates(
            [_listed(self._dataset.catalogue[item]) for item in candidates],
            history=self._history.get(user, ()),
            person=self._dataset.profiles.get(user),
        )
        try:
            numbers = answered(asked(prompt), self._model).value.order
        except (BudgetExceeded, ModelDenied):
            raise
        except ModelError as error:
            if self._settings.failure == "raise":
                raise ArmFailed(f"the model gave no order: {error.message}", hint=error.hint) from error
            return Ranked(candidates, faults={"rerank_failed": 1})
        return mended(numbers, candidates)


def mended(numbers: Sequence[int], candidates: Sequence[str]) -> Ranked:
    """The candidates in the order of their numbers from 1, with what had to be done to make it an order of all."""
    known = [number for number in numbers if 1 <= number <= len(candidates)]
    order = list(dict.fromkeys(known))
    missing = [number for number in range(1, len(candidates) + 1) if number not in set(order)]
    faults = {
        "reranked_unknown": len(numbers) - len(known),
        "reranked_repeated": len(known) - len(order),
        "reranked_missing": len(missing),
    }
    return Ranked(
        (candidates[number - 1] for number in [*order, *missing]),
        faults={name: count for name, count in faults.items() if count},
    )


def _histories(training: Training, most: int) -> dict[str, list[Listed]]:
    """The latest items of each user, the latest last (in the order of the rows where there are no times)."""
    ratings, dataset = training.ratings, training.dataset
    found = {}
    for user, rows in by_user(ratings.users):
        if ratings.times is not None:
            rows = rows[np.argsort(ratings.times[rows], kind="stable")]  # noqa: PLW2901
        latest = rows[max(0, len(rows) - most) :]
        found[dataset.user_ids[user]] = [
            _listed(dataset.catalogue.items[int(ratings.items[row])], float(ratings.ratings[row])) for row in latest
        ]
    return found


def _listed(item: Item, rating: float | None = None) -> Listed:
    return Listed(title=item.title, genres=item.genres, rating=rating)
