"""Models and guard from the options of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memagent.agents.lsrp.cast import Cast
from memagent.errors import InvalidInput
from memagent.evals.lsrp.scripted import SCRIPTED, ScriptedCast
from memagent.evals.measuring import reply_cache
from memagent.llm.model import Model

if TYPE_CHECKING:
    from memagent.agents.lsrp.ports import Guard
    from memagent.llm.meter import Meter


class Casting(Protocol):
    """The options that say who plays which role."""

    @property
    def leader(self) -> str: ...  # noqa: D102
    @property
    def device_model(self) -> str | None: ...  # noqa: D102
    @property
    def judge(self) -> str | None: ...  # noqa: D102
    @property
    def guideline_tokens(self) -> int: ...  # noqa: D102
    @property
    def text_tokens(self) -> int: ...  # noqa: D102
    @property
    def concurrency(self) -> int: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102


def role_names(options: Casting) -> dict[str, str | None]:
    """Who plays which role, by name; raises InvalidInput where there is nobody for the device."""
    if options.leader == SCRIPTED and options.device_model in (None, SCRIPTED):
        return {"leader": SCRIPTED, "device": SCRIPTED, "judge": options.judge or SCRIPTED}
    if options.device_model is None:
        raise InvalidInput(
            "there is no model for the device",
            hint="name the small model with --device-model, or use --leader scripted",
        )
    return {"leader": options.leader, "device": options.device_model, "judge": options.judge}


@contextmanager
def cast_of(options: Casting, meter: Meter, *, folder: Path | None = None) -> Iterator[Cast]:
    """The models by role, under one budget; two roles of one name are one model. ``folder``: of the reply cache."""
    named = role_names(options)
    judge = named["judge"]
    with reply_cache(folder) as cache:
        how: dict[str, Any] = {
            "meter": meter,
            "cache": cache,
            "concurrency": options.concurrency,
            "timeout": options.timeout,
        }
        made = {name: Model(ScriptedCast() if name == SCRIPTED else name, **how) for name in named.values() if name}
        yield Cast(
            leader=made[named["leader"] or ""],
            subordinate=made[named["device"] or ""],
            judge=made[judge] if judge else None,
            guideline_tokens=options.guideline_tokens,
            text_tokens=options.text_tokens,
        )


def guard_of(policy: str) -> Guard | None:
    """The guard of a policy; None where it is ``off``."""
    from memagent.agents.lsrp.guard import ProfileGuard

    if policy == "off":
        return None
    return ProfileGuard(policy=policy)  # type: ignore[arg-type]  # which refuses what is no policy
