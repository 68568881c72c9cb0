"""Answers of the kinds that prompts ask for."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator


class Verdict(BaseModel):
    reasoning: str
    label: Literal["CORRECT", "WRONG"]


class YesNo(BaseModel):
    verdict: Literal["yes", "no"]


class Choice(BaseModel):
    option: Literal["a", "b", "c", "d"]


class Score(BaseModel):
    score: int = Field(ge=0, le=10)
    is_relevant: bool = False
    note: str = ""


class Keywords(BaseModel):
    keywords: list[str]


class Fact(BaseModel):
    text: str = Field(min_length=1)
    messages: list[int] = Field(default_factory=list)
    confidence: float | None = None

    @field_validator("text")
    @classmethod
    def _said(cls, value: str) -> str:
        if value == "?":
            raise ValueError("a fact says something")
        return value


class Facts(BaseModel):
    facts: list[Fact]


class Summary(BaseModel):
    summary: str


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Feeling(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mood: Mood
    why: str | None = None


class Ids(RootModel[list[str]]):
    pass


class Tree(BaseModel):
    name: str
    children: list[Tree] = Field(default_factory=list)


class Options(BaseModel):
    limit: int = 5
    strict: bool = True


class Reply(BaseModel):
    """Has a field of the name of the tag around it."""

    why: str
    answer: Literal["yes", "no"]
