"""Who says yes or no to single items: the port of the alignment test, the parametric user and the language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.users import User
from memagent.errors import MalformedReply, ModelDenied, ModelRefused
from memagent.llm.flow import Steps, asked_at_once, drive
from memagent.prompts.ab_judging import Offered, Taken, choose_items

if TYPE_CHECKING:
    from memagent.agents.ab.taste import TastePolicy
    from memagent.llm.model import Model
    from memagent.prompts.prompt import Prompt


_HALF = 0.5  # chance of a click, at the threshold


class Judge(Protocol):
    """A simulated user who looks through a list."""

    @property
    def name(self) -> str:
        """Shown in reports."""

    def judge(self, cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[bool]]:
        """For each user and list: whether the user would take each of the items. All cases may be asked at once."""


@runtime_checkable
class Grader(Protocol):
    """A judge who also says how much a user likes each item: then no threshold stands between taste and answer."""

    def grade(self, cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[float]]:
        """For each user and list, a number for each item, higher for what the user likes more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasteJudge:
    """A user of :class:`~memagent.agents.ab.taste.TastePolicy` says yes where utility is above the click threshold.

    There the chance of a click, once looked at, is above a half. Nothing is drawn.
    """

    policy: TastePolicy

    @property
    def name(self) -> str:
        """That of the policy."""
        return self.policy.name

    def judge(self, cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[bool]]:
        """See :class:`Judge`."""
        return [[grade > _HALF for grade in grades] for grades in self.grade(cases)]

    def grade(self, cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[float]]:
        """The chance of a click, see :class:`Grader`."""
        grades = []
        for user, items in cases:
            attraction, _ = self.policy.taste(user)
            grades.append([float(attraction[self.policy.item_codes[item.id]]) for item in items])
        return grades


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A user in words, as :func:`~memagent.prompts.ab_judging.choose_items` wants them."""

    profile: dict[str, str] = field(default_factory=dict)
    habits: tuple[str, ...] = ()
    taste: str = ""


_AT_ONCE = 64  # lists; how many of them are under way together is the model's own limit


class ModelJudge:
    """A language model says for a user which of the items they would take: one call for a list.

    ``describe`` tells who the user is. A list for which the model has no usable answer, or refuses one, counts as taken
    nothing of, and in ``failures``. ``after`` is called after some lists each.
    """

    def __init__(
        self,
        model: Model,
        describe: Callable[[User], Described],
        *,
        name: str = "agent",
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._after = after
        self.failures = 0
        self._model = model
        self._describe = describe

    def judge(self, cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[bool]]:
        """See :class:`Judge`. Raises what the model raises where no list could be answered."""
        said: list[list[bool]] = []
        for first in range(0, len(cases), _AT_ONCE):
            some = cases[first : first + _AT_ONCE]
            prompts = [self._prompt(user, items) for user, items in some]
            try:
                taken: list[Taken | None] = list(drive(_all(prompts), self._model))
            except ModelDenied:
                raise
            except (MalformedReply, ModelRefused):  # of one of them: it is found by asking them in turn
                taken = [self._one(prompt) for prompt in prompts]
            said += [_marked(one, len(items)) for one, (_, items) in zip(taken, some, strict=True)]
            self._after()
        return said

    def _one(self, prompt: Prompt[Taken]) -> Taken | None:
        try:
            return drive(_all([prompt]), self._model)[0]
        except ModelDenied:
            raise
        except (MalformedReply, ModelRefused):
            self.failures += 1
            return None

    def _prompt(self, user: User, items: Sequence[Item]) -> Prompt[Taken]:
        who = self._describe(user)
        offered = [
            Offered(title=item.title, genres=item.genres, rating=item.rating, overview=item.overview) for item in items
        ]
        return choose_items(profile=who.profile, habits=who.habits, taste=who.taste, items=offered)


def _all(prompts: Sequence[Prompt[Taken]]) -> Steps[list[Taken]]:
    replies = yield from asked_at_once(prompts)
    return [reply.value for reply in replies]


def _marked(taken: Taken | None, items: int) -> list[bool]:
    """Numbers that no item has are passed over."""
    chosen = set(taken.taken) if taken else set()
    return [number in chosen for number in range(1, items + 1)]
