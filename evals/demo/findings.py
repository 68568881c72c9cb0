"""What the figures of a demo say, in words: for the terminal and for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memagent.evals.demo.asking import RETRIEVERS, separation

if TYPE_CHECKING:
    from memagent.evals.demo.running import DemoRun

METRIC = "recall_all@5"


def comparisons(demo: DemoRun) -> list[str]:
    """For each retriever but the first how it differs from it, and whether the questions suffice to tell."""
    sentences = []
    for row in demo.result["rows"]:
        if row["paired"] is None:
            continue
        figure = row["paired"][METRIC]
        unsure = figure["low"] <= 0 <= figure["high"]
        against = row["paired"]["against"]
        sentences.append(
            f"{row['retriever']} differs from {against} by {signed(figure['diff'])} points of {METRIC} "
            f"[{signed(figure['low'])}, {signed(figure['high'])}]"
            + (": the interval holds zero, so these questions cannot tell them apart." if unsure else ".")
        )
    return sentences


def by_language(demo: DemoRun) -> str:
    """How the retrievers fare with each user: the encoder knows English only."""
    parts = []
    for user_id, figures in demo.by_user.items():
        means = ", ".join(f"{name} {percent(figures[name].mean)}" for name in RETRIEVERS)
        parts.append(f"{user_id} ({demo.people[user_id].language}): {means}")
    return f"{METRIC} by user: " + "; ".join(parts) + "."


def about_abstention(demo: DemoRun) -> str:
    """Whether a low score gives away that there is no answer."""
    shares = ", ".join(f"{separation(demo.scores, name):.2f} for {name}" for name in RETRIEVERS)
    return (
        f"{len(demo.unanswerable)} questions have no answer in the history; they are not counted in recall. The chance "
        f"that an answerable question's best score is above one of theirs is {shares} (0.5: no use, 1: always)."
    )


def percent(share: float) -> str:
    """A share as per cent, one decimal."""
    return f"{share * 100:.1f}"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{share * 100:+.1f}".replace("-", "−")


def interval(figure: dict[str, Any]) -> str:
    """The ends of an interval in whole per cent."""
    return f"[{figure['low'] * 100:.0f}, {figure['high'] * 100:.0f}]"


def clip(text: str, length: int) -> str:
    """``text``, cut between words if it is longer than ``length`` characters."""
    if len(text) <= length:
        return text
    return text[:length].rsplit(" ", 1)[0].rstrip(" ,.;:") + " …"
