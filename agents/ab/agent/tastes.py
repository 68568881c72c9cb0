"""What each user likes, in words: counted from their ratings, or written by a model, once for each user."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING

from memagent.agents.ab.agent.asking import answered
from memagent.agents.ab.agent.histories import Histories, Rated, counted
from memagent.agents.ab.agent.settings import AgentSettings
from memagent.errors import MalformedReply, ModelDenied, ModelRefused, ModelTimeout, ModelUnavailable
from memagent.llm.flow import Steps, asked
from memagent.prompts.ab import summarise_taste

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memagent.agents.ab.users import User
    from memagent.llm.model import Model

_log = logging.getLogger("memagent")


class Tastes:
    """Summaries of users' histories, each made when it is first asked for. Safe from several threads.

    Where the model has no summary of a user (it refuses, or its reply cannot be used), the counted one takes its place;
    that is logged, and counted in ``kinds``.
    """

    def __init__(self, histories: Histories | None, settings: AgentSettings, model: Model) -> None:
        self._histories = histories
        self._settings = settings
        self._model = model
        self._known: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str | None:
        """Names the ratings."""
        return self._histories.fingerprint if self._histories else None

    @property
    def kinds(self) -> dict[str, int]:
        """How many summaries there are of which kind."""
        with self._lock:
            return dict(sorted(Counter(kind for _, kind in self._known.values()).items()))

    def history(self, user: User) -> tuple[Rated, ...]:
        """What a user rated, oldest first, the latest so many."""
        found = self._histories.of(user.id) if self._histories else ()
        return found[-self._settings.history :] if self._settings.history else ()

    def of(self, user: User) -> str:
        """The summary of a user; "" for one without history."""
        with self._lock:
            known = self._known.get(user.id)
        if known is None:
            known = self._made(user)
            with self._lock:
                self._known[user.id] = known
        return known[0]

    def _made(self, user: User) -> tuple[str, str]:
        everything = self._histories.of(user.id) if self._histories else ()
        statistics = counted(everything)
        if not statistics:
            return "", "no history"
        if self._settings.summary == "statistical":
            return statistics, "counted"
        try:
            return answered(_summary(user, self.history(user), statistics), self._model), "written by the model"
        except ModelDenied:
            raise
        except (MalformedReply, ModelRefused, ModelTimeout, ModelUnavailable) as error:
            _log.warning("the model has no summary of user %r, the counted one is used: %s", user.id, error)
            return statistics, "counted, as the model gave none"


def _summary(user: User, history: Sequence[Rated], statistics: str) -> Steps[str]:
    reply = yield from asked(summarise_taste(user.profile, [rated.line for rated in history], statistics))
    return reply.value.taste
