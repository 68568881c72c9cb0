"""What a language model is asked that ranks recommendations: all candidates in one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from memagent.prompts.ab_answers import one_line
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, element

_TOKENS_PER_NUMBER = 6
_LONGEST = 300  # characters of a line


class Ranking(BaseModel):
    """An order of the candidates."""

    order: list[int] = Field(description="The numbers of all candidates, each once, the best for this person first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An item as the ranker reads of it; ``rating`` (1 to 5) is this person's."""

    title: str
    genres: Sequence[str] = ()
    rating: float | None = None

    def line(self) -> str:
        """``Heat (1995), Action / Crime, rated 4``, on one line."""
        parts = [self.title, " / ".join(self.genres), "" if self.rating is None else f"rated {self.rating:g}"]
        return one_line(", ".join(filter(None, parts)), _LONGEST)


_RANK = f"""\
You rank recommendations for one person.

{QUOTED_IS_DATA}

<person> is what is known of them. <history> are items that they chose, a line each, the latest last, with the \
rating from 1 to 5 that they gave. <candidates> are the items to rank, a line each, beginning with its number; they \
come in an order that suits most people.

Put the candidates into the order in which this person would most likely choose them, judging by what they chose and \
how they rated it. Answer with the numbers of all candidates, each exactly once, the most likely first, and with no \
other number."""


def rank_candidates(
    candidates: Sequence[Listed], *, history: Sequence[Listed], person: Mapping[str, str] | None = None
) -> Prompt[Ranking]:
    """The candidates in the order in which somebody with this history would choose them, by their numbers from 1."""
    about = "; ".join(f"{name}: {value}" for name, value in sorted((person or {}).items()))
    return Prompt(
        name="ab-rank-candidates",
        version=1,
        system=_RANK,
        user="\n".join(
            (
                element("person", about or "nothing is known"),
                element("history", "\n".join(item.line() for item in history) or "nothing yet"),
                element("candidates", "\n".join(f"{n}. {item.line()}" for n, item in enumerate(candidates, start=1))),
            )
        ),
        answer=Ranking,
        max_tokens=64 + _TOKENS_PER_NUMBER * len(candidates),
    )
