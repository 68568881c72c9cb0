"""The settings of a LangGraph store; what is not supported is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, UnknownName
from memagent.integrations.langgraph_values import as_lifetime, as_paths
from memagent.records import Granularity

if TYPE_CHECKING:
    from langgraph.store.base import TTLConfig

    from memagent.retrievers.port import Retriever

_INDEX = {
    "fields": "",
    "embed": "pass encoder= to MemagentStore, or a Memory made with it",
    "dims": "the encoder knows the width of its vectors; leave it out",
}
_TTL = {"refresh_on_read": "", "default_ttl": "", "sweep_interval_minutes": "", "omit_expired": ""}


def default_paths(index: object) -> tuple[str, ...] | None:
    """The paths of the fields that items are found by; None: by nothing. Raises InvalidInput, UnknownName."""
    if index is False:
        return None
    fields = _checked(index, _INDEX, "index").get("fields")
    return ("$",) if fields is None else as_paths(fields, "the fields of index")


def checked_ttl(ttl: object) -> TTLConfig:
    """The settings of lifetimes; raises InvalidInput, UnknownName."""
    options: TTLConfig = _checked(ttl, _TTL, "ttl")  # type: ignore[assignment]
    as_lifetime(options.get("default_ttl"))
    if not isinstance(options.get("refresh_on_read", True), bool):
        raise InvalidInput(f"refresh_on_read is {options['refresh_on_read']!r:.100}", hint="it is True or False")
    if options.get("omit_expired") not in (None, True):
        raise InvalidInput("omit_expired=False is not supported", hint="expired items are never returned; leave it out")
    return options


def ranking_documents(retriever: Retriever) -> Retriever:
    """A retriever that can rank items; raises InvalidInput."""
    ranked = getattr(retriever, "granularities", None)
    if ranked is not None and Granularity.DOCUMENT not in ranked:
        raise InvalidInput(f"the retriever {retriever.name!r} ranks no items", hint="use 'dense', 'hybrid' or 'bm25'")
    return retriever


def _checked(options: object, known: Mapping[str, str], what: str) -> dict[str, Any]:
    """Options given as a dict; ``known``: those there are, with what to do instead of those that are refused."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidInput(f"{what} is {type(options).__name__}", hint="pass a dict, or leave it out")
    for name in options:
        if name not in known:
            raise UnknownName(f"{what} has no option {name!r:.100}", hint=f"use one of {', '.join(known)}")
        if known[name]:
            raise InvalidInput(f"{name!r} in {what} is not supported", hint=known[name])
    return dict(options)
