"""Leader, small model and judge without a language model: they check the whole run.

The leader says in whose manner its guideline is. The small model does best with one style, which depends on the user's
occupation (of the made-up population: on the group), and the better it does the more of the profile it repeats and the
surer it is of itself; the judge counts how much of the profile came back. So the best style is known, users with like
profiles share it, and a chooser that finds them is worth more than the general strategy.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from memagent.agents.lsrp.strategies import GENERAL, STYLES
from memagent.evals.lsrp.population_words import CIRCLES
from memagent.evals.qa.oracle import Scripted
from memagent.llm.reply import Raw, TokenLogprob, Usage
from memagent.llm.wire import Capabilities

if TYPE_CHECKING:
    from memagent.llm.request import Request
    from memagent.prompts.prompt import Prompt

SCRIPTED = "scripted"
"""Its name where models are named."""

_BEST, _GENERAL, _OTHER, _NO_STRATEGY = 0.9, 0.5, 0.3, 0.4
_NOISE = 0.05
_MANNER = re.compile(r"in the manner (\S+?):")
_LEADER = re.compile(r"lsrp-leader-(?:bare-)?(\S+)-(?:writing|explanation)\Z")
_GROUP = {work: number for number, circle in enumerate(CIRCLES) for work in circle.occupations}


class ScriptedCast(Scripted):
    """Plays all three roles, told apart by the prompts' names; the same prompt gets the same reply."""

    identity = "scripted LSRP 1"
    capabilities = Capabilities(json_schema=False, logprobs=True, lora=False, vision=False)

    def send(self, request: Request, timeout: float | None) -> Raw:
        """See :class:`memagent.llm.wire.Wire`."""
        text, sureness = self.answer_to(request.prompt)
        usage = Usage(input=len(request.text) // 4, output=len(text) // 4 + 1)
        return Raw(text=text, finish="stop", usage=usage, logprobs=(TokenLogprob(token=text[:8], logprob=sureness),))

    def reply(self, system: str, user: str) -> str:
        """What the small model writes when it is shown ``user`` and asked for nothing in particular."""
        return self._written(user)[0]

    def answer_to(self, prompt: Prompt[str]) -> tuple[str, float]:
        """The reply to a prompt of :mod:`memagent.prompts.lsrp` or its judges, and its mean log probability."""
        name = prompt.name
        if name.startswith("judge-"):
            return self._judged(prompt.user), -0.1
        if name == "lsrp-choose-style":
            return STYLES[_hashed(prompt.user) % len(STYLES)], -0.1
        if name.startswith(("lsrp-leader-alone", "lsrp-sketch")):
            return f"1. Greet. 2. Say what it is about: {_slot(prompt.user, 'task')} 3. Close.", -0.1
        if led := _LEADER.match(name):
            drawn = f" Take variant {prompt.sample}." if prompt.sample else ""
            return f"Write in the manner {led[1]}: {_slot(prompt.user, 'task')}{drawn}", -0.1
        return self._written(prompt.user)

    def _written(self, user: str) -> tuple[str, float]:
        profile = _slot(user, "profile")
        manner = _MANNER.search(_slot(user, "guideline"))
        quality = _quality(profile, manner[1] if manner else "")
        quality += _NOISE * (_hashed(user) % 201 - 100) / 100
        tokens = list(dict.fromkeys(profile.split()))
        kept = tokens[: max(1, round(quality * len(tokens) / 2))]
        return f"{_slot(user, 'task')} {' '.join(kept)}", -2.0 + 1.5 * quality

    def _judged(self, user: str) -> str:
        tokens = set(_slot(user, "profile").split())
        share = len(tokens & set(_slot(user, "response").split())) / max(1, len(tokens))
        return f'<answer>{{"score": {min(10, round(20 * share))}}}</answer>'


def best_style(profile: str) -> str:
    """The style with which the small model does best for the user of a profile."""
    work = re.search(r"^occupation: (.*)$", profile, re.MULTILINE | re.IGNORECASE)
    told = work[1] if work else profile
    return STYLES[_GROUP.get(told, _hashed(told)) % len(STYLES)]


def _quality(profile: str, manner: str) -> float:
    if manner == GENERAL:
        return _GENERAL
    if manner not in STYLES:
        return _NO_STRATEGY
    return _BEST if manner == best_style(profile) else _OTHER


def _slot(user: str, name: str) -> str:
    found = re.search(rf"<{name}>\n(.*?)\n?</{name}>", user, re.DOTALL)
    return found[1] if found else ""


def _hashed(text: str) -> int:
    return int.from_bytes(sha256(text.encode("utf-8", "replace")).digest()[:4], "big")
