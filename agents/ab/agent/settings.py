"""How visitors that are language models see, remember and decide. No paper gives these constants: they are ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from memagent.agents.ab.agent.posters import Visuals
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.prompts.ab import Asking

Summarising: TypeAlias = Literal["statistical", "llm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How a visitor is simulated.

    ``visuals``: posters as pictures (for a vision model), as captions, or not at all. ``summary``: what they like,
    counted from their ratings or written by the model. ``history``: so many of their latest ratings are remembered;
    ``recalled``: so many memories are shown with a page; ``journal``: so many of the latest actions of the visit are.
    ``max_tokens`` bounds a reply; ``temperature`` 0 is greedy, above it the experiment's seed tells runs apart.
    """

    visuals: Visuals = "none"
    summary: Summarising = "statistical"
    history: int = 50
    recalled: int = 5
    journal: int = 12
    max_tokens: int = 160
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.visuals not in ("image", "caption", "none") or self.summary not in ("statistical", "llm"):
            raise InvalidInput(
                f"visuals {self.visuals!r}, summary {self.summary!r}",
                hint="visuals are image, caption or none; a summary is statistical or llm",
            )
        if min(self.history, self.recalled) < 0 or min(self.journal, self.max_tokens) < 1:
            raise InvalidInput(f"{self}", hint="history and recalled are 0 or more, journal and max_tokens 1 or more")
        if not 0 <= self.temperature <= 2:
            raise InvalidInput(f"temperature is {self.temperature!r}", hint="temperature lies between 0 and 2")

    def asking(self, sample: int) -> Asking:
        """How prompts are asked."""
        return {"max_tokens": self.max_tokens, "temperature": self.temperature, "sample": sample}
