"""Leader, small model and judge of the made-up population, as models by script: the offline path without a server.

The leader knows the task and the style alone and signs its guideline with the style; the small model knows its user by
the profile, and writes an answer that holds as many of the profile's tokens, and whose tokens are as probable, as the
population says; the judge says what the population says. Scored through the prompts, parsers and logs of a real run,
such answers have the population's own scores.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.scores import profile_text
from memagent.agents.lsrp.strategies import STYLES
from memagent.evals.lsrp.population import Population
from memagent.evals.qa.oracle import Scripted
from memagent.llm.model import Model
from memagent.llm.reply import Raw, TokenLogprob, Usage
from memagent.llm.wire import Capabilities
from memagent.prompts.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memagent.llm.request import Request

_SIGNED = re.compile(r"in-the-(\w+)-way")
_TOKENS = 12


class PopulationModel(Scripted):
    """Plays all three parts, told apart by what each is sent. ``calls`` counts what was sent."""

    identity = "population 1"
    capabilities = Capabilities(json_schema=False, logprobs=True, lora=False, vision=False)

    def __init__(self, population: Population) -> None:
        self.calls = 0
        self._rows = {_key(task.text, task.profile): row for row, task in enumerate(population.tasks)}
        self._cells = population.cells
        self._tokens = [sorted(set(profile_text(task.profile).split())) for task in population.tasks]

    def send(self, request: Request, timeout: float | None) -> Raw:
        """See :class:`memagent.llm.wire.Wire`."""
        self.calls += 1
        name, user = request.prompt.name, request.prompt.user
        if found := re.match(r"lsrp-leader-(?:bare-)?(\w+)-", name):
            return self._said(f"Work in-the-{found[1]}-way.")
        if name.startswith("judge-"):
            return self._said(self.reply("", user))
        return self._answer(*self._place(user))

    def reply(self, system: str, user: str) -> str:
        """What the judge says of the answer in ``user``."""
        row, column = self._place(user)
        return f"Score: {int(self._cells[row, column, 2])}"

    def _place(self, user: str) -> tuple[int, int]:
        profile, task = _slot(user, "profile"), _slot(user, "task")
        signed = _SIGNED.search(user)
        return self._rows[f"{task}\n{profile}"], STYLES.index(signed[1] if signed else "")

    def _answer(self, row: int, column: int) -> Raw:
        share, fluency = self._cells[row, column, 0], self._cells[row, column, 1]
        tokens = self._tokens[row]
        words = [f"(in-the-{STYLES[column]}-way)", *tokens[: round(float(share) * len(tokens))]]
        logprobs = tuple(TokenLogprob(token="·", logprob=float(fluency)) for _ in range(_TOKENS))
        return Raw(text=" ".join(words), finish="stop", usage=Usage(input=1, output=_TOKENS), logprobs=logprobs)

    @staticmethod
    def _said(text: str) -> Raw:
        return Raw(text=text, finish="stop", usage=Usage(input=1, output=1))


def population_cast(population: Population) -> tuple[Cast, PopulationModel]:
    """The three models of a population, and the wire behind them all."""
    wire = PopulationModel(population)
    return Cast(leader=Model(wire), subordinate=Model(wire), judge=Model(wire)), wire


def _key(text: str, profile: Mapping[str, str]) -> str:
    """Task and profile as prompts show them. (See :func:`memagent.prompts.lsrp.subordinate`.)"""
    return f"{quoted(text)}\n{quoted(profile_text(profile))}"


def _slot(user: str, name: str) -> str:
    found = re.search(rf"<{name}>\n(.*?)\n</{name}>", user, re.DOTALL)
    return found[1] if found else ""
