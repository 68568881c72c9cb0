"""Strategies by name: the general one, the four styles, and those that are registered.

Device and cloud know strategies by name, and only the name crosses. A strategy of one's own has to be registered on
both sides, under one name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memagent.errors import DataError, DuplicateId, MemagentError, UnknownName
from memagent.files import as_path
from memagent.prompts.lsrp_examples import Example
from memagent.prompts.lsrp_strategies import GENERAL as _GENERAL
from memagent.prompts.lsrp_strategies import STYLES as _STYLES
from memagent.prompts.lsrp_strategies import Strategy, Worded

GENERAL = _GENERAL.name
"""The strategy without a style: for everything about which nothing is known."""
STYLES: tuple[str, ...] = tuple(style.name for style in _STYLES)
"""The four styles, in the order of the published index."""

_known: dict[str, Strategy] = {strategy.name: strategy for strategy in (*_STYLES, _GENERAL)}


def register(strategy: Strategy) -> None:
    """Make a strategy known by its name. Raises DuplicateId if another one has it."""
    if _known.setdefault(strategy.name, strategy) != strategy:
        raise DuplicateId(f"a strategy is called {strategy.name!r} already", hint="choose another name")


def strategy_names() -> tuple[str, ...]:
    """All names: the styles, the general one, then the others as they were registered."""
    return tuple(_known)


def strategy(name: str) -> Strategy:
    """The strategy of a name; raises UnknownName with the valid ones."""
    found = _known.get(name)
    if found is None:
        raise UnknownName(f"unknown strategy {name!r}", hint=f"use one of {', '.join(strategy_names())}")
    return found


def load_strategies(path: str | Path) -> tuple[Strategy, ...]:
    """The strategies in a JSON file, not yet registered; raises DataError for what is none.

    It holds a list of ``{"name", "summary", "writing", "explanation"}``; the last two are
    ``{"instructions", "examples": [{"task", "guideline"}, ...]}``, where ``examples`` may be left out.
    """
    place = as_path(path, "the file of strategies")
    try:
        found: Any = json.loads(place.read_bytes())
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}", hint="name a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: {error}", hint="a JSON list of strategies") from None
    if not isinstance(found, list):
        raise DataError(f"{place}: not a list", hint="a JSON list of strategies")
    return tuple(_read(one, f"{place}, strategy {number}") for number, one in enumerate(found, start=1))


def _read(value: Any, where: str) -> Strategy:
    try:
        return Strategy(
            name=value["name"],
            summary=value["summary"],
            writing=_worded(value["writing"]),
            explanation=_worded(value["explanation"]),
        )
    except KeyError as error:
        raise DataError(f"{where}: {error.args[0]} is missing", hint="see load_strategies") from None
    except (TypeError, AttributeError) as error:
        raise DataError(f"{where}: {error}", hint="see load_strategies") from None
    except MemagentError as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint) from None


def _worded(value: Any) -> Worded:
    examples = value.get("examples", ())
    return Worded(
        instructions=value["instructions"],
        examples=tuple(Example(task=one["task"], guideline=one["guideline"]) for one in examples),
    )


__all__ = [
    "GENERAL",
    "STYLES",
    "Example",
    "Strategy",
    "Worded",
    "load_strategies",
    "register",
    "strategy",
    "strategy_names",
]
