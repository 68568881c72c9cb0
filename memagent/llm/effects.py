"""What asking a model needs from the outside: the steps between which the logic of :mod:`memagent.llm.asking` runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from memagent.llm.reply import Raw
from memagent.llm.request import Request


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look a reply up in the cache; answered by it or None."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a reply in the cache."""

    key: bytes
    raw: Raw


@dataclass(frozen=True, slots=True)
class Send:
    """Make one call; answered by its reply. A failure is thrown in as CallFailed."""

    request: Request


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


Effect: TypeAlias = LookUp | Keep | Send | Sleep
