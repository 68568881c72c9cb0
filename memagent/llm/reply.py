"""What comes back from a language model, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or several calls: sent (of them read from the server's prefix cache) and received.

    ``estimated``: the server did not say; the numbers come from the length of the texts.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One token of a reply, its natural-log probability, and the likeliest tokens in its place, likeliest first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One reply as the server gave it. ``finish``: why it ended (``stop``, ``length``, ``filter`` or ``unknown``)."""

    text: str
    finish: str = "unknown"
    usage: Usage = field(default_factory=Usage)
    logprobs: tuple[TokenLogprob, ...] | None = None


# No slots: with them Python 3.11 cannot make a Reply[str](...).
@dataclass(frozen=True, kw_only=True)
class Reply(Generic[T]):
    """The answer to one prompt.

    ``value`` is the answer itself, ``text`` the reply it was read from, ``usage`` the tokens of all ``attempts`` (2
    when the first reply was malformed). ``cached``: nothing was sent, all of it came from the reply cache.
    ``truncated``: a plain text was cut off at ``max_tokens`` (an answer with a schema is never returned cut off).
    ``repairs`` names what had to be mended to read the answer.
    """

    value: T
    text: str
    usage: Usage
    cached: bool
    attempts: int
    logprobs: tuple[TokenLogprob, ...] | None = None
    truncated: bool = False
    repairs: tuple[str, ...] = ()
