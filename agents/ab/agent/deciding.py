"""What a visitor is asked, and what becomes of the reply: flows (see :mod:`memagent.llm.flow`) without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.ab.agent.settings import AgentSettings
from memagent.agents.ab.pages import Action, DetailPage, HomePage, Kind, Page
from memagent.agents.ab.policy import Decision, Interview, Summary
from memagent.llm.flow import Steps, asked
from memagent.prompts.ab import (
    Persona,
    Shown,
    Situation,
    decide_on_item,
    decide_on_list,
    interview,
)
from memagent.prompts.ab_answers import ItemDecision, ListDecision

if TYPE_CHECKING:
    from memagent.agents.ab.agent.posters import PosterSource
    from memagent.agents.ab.catalogue import Item

_QUERY = 300  # characters of an overview that are searched with

ENDINGS = {
    "chose": "They left when they wanted to.",
    "end_of_list": "They saw the list to its end, and left.",
    "fatigue": "They were too tired to go on.",
    "step_limit": "They were interrupted.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How items look to the visitors: posters, and how they are shown."""

    posters: PosterSource | None
    settings: AgentSettings

    def shown(self, items: Sequence[tuple[Item, int | None, bool]], *, large: bool) -> tuple[list[Shown], list[str]]:
        """Items (each with its position and whether it was opened) as prompts show them, and the pictures they name."""
        found: list[Shown] = []
        pictures: list[str] = []
        for item, position, opened in items:
            picture, caption = None, None
            if self.posters is not None and self.settings.visuals == "image":
                image = self.posters.image(item, large=large)
                if image is not None:
                    pictures.append(image)
                    picture = len(pictures)
            elif self.posters is not None and self.settings.visuals == "caption":
                caption = self.posters.caption(item)
            found.append(
                Shown(
                    title=item.title,
                    genres=item.genres,
                    rating=item.rating,
                    votes=item.votes,
                    position=position,
                    opened=opened,
                    caption=caption,
                    picture=picture,
                    overview=item.overview if large else "",
                    details=item.details if large else {},
                )
            )
        return found, pictures


def deciding(page: Page, situation: Situation, sight: Sight, *, sample: int = 0) -> Steps[Decision]:
    """The decision on a page. What is no action of it comes back as a decision with a problem."""
    possible = sorted(page.actions)
    asking = sight.settings.asking(sample)
    if isinstance(page, DetailPage):
        items, images = sight.shown([(page.entry.item, None, False)], large=True)
        of_item = yield from asked(
            decide_on_item(
                situation,
                items[0],
                watched=page.watched,
                rated=page.rated,
                possible=possible,
                images=images,
                **asking,
            )
        )
        return decision_on_item(of_item.value, page)
    items, images = sight.shown([(entry.item, entry.position, entry.opened) for entry in page.entries], large=False)
    of_list = yield from asked(
        decide_on_list(
            situation,
            items,
            number=page.number,
            of=page.of,
            possible=possible,
            images=images,
            **asking,
        )
    )
    return decision_on_list(of_list.value, page)


def decision_on_list(said: ListDecision, page: HomePage) -> Decision:
    """What was said of a page of the list, as a decision."""
    return _decision(said, page, position=said.position if said.action == Kind.CLICK else None)


def decision_on_item(said: ItemDecision, page: DetailPage) -> Decision:
    """What was said of an item's page, as a decision."""
    return _decision(said, page, rating=said.rating if said.action == Kind.RATE else None)


def _decision(
    said: ListDecision | ItemDecision, page: Page, *, position: int | None = None, rating: int | None = None
) -> Decision:
    try:
        kind = Kind(said.action)
    except ValueError:
        possible = ", ".join(sorted(page.actions))
        # From an action of the other page, the nearest possible one is the way on.
        elsewhere = Kind.NEXT if isinstance(page, DetailPage) else Kind.BACK
        return Decision(
            action=Action(kind=elsewhere, interest=said.interest),
            reason=said.reason,
            problem=f"{said.action[:40]!r} is no action; possible are {possible}",
        )
    action = Action(kind=kind, position=position, rating=rating, interest=said.interest)
    return Decision(action=action, reason=said.reason)


def interviewing(
    who: Persona, journal: Sequence[str], summary: Summary, settings: AgentSettings, *, sample: int = 0
) -> Steps[Interview]:
    """The interview after a visit."""
    reply = yield from asked(interview(who, journal, outcome_of(summary), **settings.asking(sample)))
    said = reply.value
    return Interview(satisfaction=round(said.satisfaction), returns=said.returns, reason=said.reason)


def outcome_of(summary: Summary) -> str:
    """A visit in sentences."""
    stars = f" and gave {', '.join(map(str, summary.ratings))} of 5" if summary.ratings else ""
    return (
        f"They saw {summary.impressions} items on {summary.pages} pages, opened {summary.clicks}, watched "
        f"{summary.watches}{stars}; their interest was {summary.mean_interest:.1f} of 5 in the mean. "
        f"{ENDINGS.get(summary.ending, '')}".strip()
    )


def question_of(page: Page) -> tuple[str, list[Item]]:
    """What is searched for in memory on a page, and the items that it describes: those not opened yet."""
    if isinstance(page, DetailPage):
        item = page.entry.item
        return f"{item.title}. {', '.join(item.genres)}. {item.overview[:_QUERY]}".strip(), [item]
    items = [entry.item for entry in page.entries if not entry.opened] or [entry.item for entry in page.entries]
    return "; ".join(f"{item.title} ({', '.join(item.genres)})" for item in items), items
