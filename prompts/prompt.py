"""What is asked of a language model: a prompt as a value.

A prompt is written by a function of this package and sent by :mod:`memagent.llm`. Nothing is added to it on the way
but what :meth:`Prompt.system_for` shows.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")

_FORMAT = """

Reply with one JSON object between <{tag}> and </{tag}>, and with nothing else. It must fit this JSON schema:
{schema}"""


@cache  # pydantic makes it anew each time, which takes longer than all else that is done with a prompt
def _schema(answer: type) -> dict[str, object]:
    made: dict[str, object] = answer.model_json_schema()  # type: ignore[attr-defined]
    return made


# No slots: with them Python 3.11 cannot make a Prompt[str](...).
@dataclass(frozen=True, kw_only=True)
class Prompt(Generic[T]):
    """One question to a language model, and the type of its answer.

    ``system`` is the same for every call of one prompt function, and comes first, so that a server's prefix cache
    serves it; all that differs is in ``user``. ``name`` and ``version`` travel with results: raise the version when
    the text changes. ``answer`` is the pydantic model of the answer, or None where plain text is wanted (``T`` is
    then ``str``). ``temperature`` 0 is greedy; ``max_tokens`` bounds the answer; it ends before any of ``stop``.
    """

    name: str
    version: int
    system: str
    user: str
    answer: type[T] | None = None
    tag: str = "answer"
    """Stands around the answer when the server cannot hold the model to a JSON schema."""
    max_tokens: int = 512
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    top_p: float | None = None
    """At a temperature above 0: draw among the likeliest tokens that hold this share of the probability."""
    top_k: int | None = None
    """Draw among so many tokens. Both reach OpenAI-compatible models only, this one only those of a server by URL."""
    images: tuple[str, ...] = ()
    """Pictures that belong to ``user``, as ``data:`` or ``http(s):`` URLs."""
    choices: tuple[str, ...] = ()
    """The answers possible, for those who show or count them; what holds the model to them is ``answer``."""
    logprobs: int | None = None
    """Report each token's log probability, and those of so many alternatives (up to 20); None: do not. Reaches
    OpenAI-compatible models (chat completions)."""
    sample: int = 0
    """Numbers repeated askings at a temperature above 0, so that a reply cache tells them apart."""
    seed: int | None = None
    """At a temperature above 0: what the server's draws begin from, so that they can be repeated on the same server.
    Reaches OpenAI-compatible models (chat completions) and the embedded one."""

    @property
    def label(self) -> str:
        """Name and version, as they stand beside results: ``session-summary/2``."""
        return f"{self.name}/{self.version}"

    def schema(self) -> dict[str, object] | None:
        """The JSON schema of the answer; None for plain text."""
        if self.answer is None:
            return None
        return deepcopy(_schema(self.answer))  # type: ignore[arg-type]

    def system_for(self, *, guided: bool) -> str:
        """The system text that is sent.

        ``guided``: the server itself holds the model to the schema. Otherwise the schema and the tags are asked for
        below ``system``.
        """
        schema = self.schema()
        if guided or schema is None:
            return self.system
        shown = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        return self.system + _FORMAT.format(tag=self.tag, schema=shown)
