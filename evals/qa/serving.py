"""What the servers behind the models of a run did for it, from their own counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, ModelError

if TYPE_CHECKING:
    from memagent.llm.server import ServerMetrics


class Served:
    """Looks at the counters of model servers when it is made, and again when the run is over.

    ``models``: names or URLs by role (``reader``, ``judge``); what is no URL, or has no ``/metrics`` page of vLLM's,
    counts nothing.
    """

    def __init__(self, models: Mapping[str, str | None]) -> None:
        roles: dict[str, list[str]] = {}
        for role, name in models.items():
            if name and name.startswith(("http://", "https://")):
                roles.setdefault(name, []).append(role)
        self._begun: dict[str, tuple[str, ServerMetrics]] = {}
        for url, together in roles.items():
            if (found := _counted(url)) is not None:
                self._begun[" and ".join(together)] = url, found

    def prefix_cache(self) -> dict[str, dict[str, Any]]:
        """By role, the prompt tokens since the beginning, and those that the prefix cache served.

        All that the server was sent counts, so that other clients of it spoil the figure. A server that was asked
        nothing, or was started anew, is left out.
        """
        found = {}
        for role, (url, before) in self._begun.items():
            now = _counted(url)
            spent = now.since(before) if now else None
            if spent and spent.prefix_queries > 0 and spent.prefix_hits >= 0:
                found[role] = {
                    "prompt_tokens": spent.prefix_queries,
                    "hit_tokens": spent.prefix_hits,
                    "hit_rate": round(spent.prefix_hit_rate, 6),
                }
        return found


def _counted(url: str) -> ServerMetrics | None:
    from memagent.llm.server import Server

    try:
        return Server(url).metrics()
    except (ModelError, InvalidInput):  # the run itself tells what is wrong with a server
        return None
