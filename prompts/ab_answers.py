"""What a simulated visitor answers, read leniently: what is out of its range is left for the sandbox to refuse."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import BaseModel, Field, field_validator

_REASON = 240  # characters kept of a reason
_ASKED: dict[str, Any] = {
    "maxLength": 120
}  # of a reason, for servers that hold a model to it: a small one might never stop
_SUMMARY: dict[str, Any] = {"maxLength": 700}
_LARGEST = 2**53  # of whole numbers: one with hundreds of digits is no float
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _number(value: Any) -> Any:
    """The number in what a model gave as one; NaN if there is none."""
    if isinstance(value, str):
        found = _NUMBER.search(value)
        return float(found[0]) if found else math.nan
    if isinstance(value, int) and abs(value) > _LARGEST:
        return math.nan
    return value if isinstance(value, int | float) else math.nan


def _whole(value: Any) -> int | None:
    number = _number(value)
    return round(number) if math.isfinite(number) else None


def _levels(low: int, high: int) -> dict[str, Any]:
    """The schema of a whole number: shown to the model, and not enforced here, so that the sandbox can answer to it."""
    return {"type": "integer", "minimum": low, "maximum": high}


def _optional(low: int, high: int | None) -> dict[str, Any]:
    bounds = {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})
    return {"anyOf": [bounds, {"type": "null"}]}


class _Said(BaseModel):
    """A decision; what is no number is NaN or None, and what is no action stays as it is."""

    reason: str = Field(description="Why, in one short sentence.", json_schema_extra=_ASKED)
    interest: float = Field(
        description="1 (none) to 5 (great): the interest in what is opened, seen or left.",
        json_schema_extra=_levels(1, 5),
    )

    @field_validator("reason", mode="before", check_fields=False)
    @classmethod
    def _short(cls, value: Any) -> str:
        return one_line(str(value or ""), _REASON)

    @field_validator("interest", mode="before", check_fields=False)
    @classmethod
    def _level(cls, value: Any) -> Any:
        return _number(value)

    @field_validator("action", mode="before", check_fields=False)
    @classmethod
    def _word(cls, value: Any) -> str:
        return str(value or "").strip(" \t\r\n[]().\"'<>*").lower()


class ListDecision(_Said):
    """What is done on a page of the list."""

    action: str = Field(json_schema_extra={"enum": ["click", "next", "previous", "exit"]})
    position: int | None = Field(
        default=None, description="For click: the position of the item.", json_schema_extra=_optional(1, None)
    )

    @field_validator("position", mode="before")
    @classmethod
    def _place(cls, value: Any) -> int | None:
        return _whole(value)


class ItemDecision(_Said):
    """What is done on the page of an item."""

    action: str = Field(json_schema_extra={"enum": ["watch", "rate", "back"]})
    rating: int | None = Field(default=None, description="For rate: 1 to 5.", json_schema_extra=_optional(1, 5))

    @field_validator("rating", mode="before")
    @classmethod
    def _stars(cls, value: Any) -> int | None:
        return _whole(value)


class VisitOpinion(BaseModel):
    """What is thought of a visit."""

    reason: str = Field(description="Why, in one short sentence.", json_schema_extra=_ASKED)
    satisfaction: float = Field(description="1 to 10.", json_schema_extra=_levels(1, 10))
    returns: bool = Field(description="Whether they would come again.")

    @field_validator("reason", mode="before")
    @classmethod
    def _short(cls, value: Any) -> str:
        return one_line(str(value or ""), _REASON)

    @field_validator("satisfaction", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        number = _number(value)
        if not math.isfinite(number):
            raise ValueError("satisfaction is no number")
        return number


class TasteSummary(BaseModel):
    """What somebody likes."""

    taste: str = Field(min_length=1, description="At most 80 words.", json_schema_extra=_SUMMARY)


def one_line(text: str, most: int) -> str:
    """One line of a text, so that nothing in it passes for the next one; cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most].rstrip()} ..."
