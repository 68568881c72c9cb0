"""One call of a chat model, as a value: what is sent, and the key under which its reply is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from memagent.errors import MalformedReply
from memagent.llm.reply import Usage
from memagent.prompts.prompt import Prompt

if TYPE_CHECKING:
    from memagent.llm.reply import Raw

PICTURE_TOKENS = 1_000
"""What a picture takes, about: providers and models differ from some 100 to some 2,000."""

_BYTES_PER_TOKEN = 4
_SHOWN = 2_000  # characters of a malformed reply that the model is shown again

_AGAIN = """Your reply cannot be used: {problem}
Reply once more, {form}, and with nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one call sends.

    ``turns`` are (role, text) pairs; the first turn of the user carries ``images``. ``schema`` is None unless the
    server is to hold the model to it.
    """

    prompt: Prompt[Any]
    turns: tuple[tuple[str, str], ...]
    schema: dict[str, Any] | None
    max_tokens: int

    @property
    def text(self) -> str:
        """All that is sent, as one text, for estimates."""
        return "\n".join(text for _, text in self.turns)

    def key(self, model: str) -> bytes:
        """32 bytes that stand for this call of this model: its reply is the same whenever they are."""
        prompt = self.prompt
        content = {
            "model": model,
            "turns": self.turns,
            "images": prompt.images,
            "schema": self.schema,
            "max_tokens": self.max_tokens,
            "temperature": prompt.temperature,
            "stop": prompt.stop,
            "logprobs": prompt.logprobs,
            "sample": prompt.sample,
        }
        # Only where they are wanted, so that replies kept before there were such settings are found.
        given = {"top_p": prompt.top_p, "top_k": prompt.top_k, "seed": prompt.seed}
        content |= {name: value for name, value in given.items() if value is not None}
        # ensure_ascii: a lone surrogate has no UTF-8.
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).digest()


def first_request(prompt: Prompt[Any], *, guided: bool, thinking: int = 0) -> Request:
    """The call that asks a prompt.

    ``guided``: the server holds the model to the schema of the answer. ``thinking``: tokens for thoughts beside those
    of the answer.
    """
    system = prompt.system_for(guided=guided)
    turns = (("system", system), ("user", prompt.user)) if system else (("user", prompt.user),)
    schema = prompt.schema() if guided else None
    return Request(prompt=prompt, turns=turns, schema=schema, max_tokens=prompt.max_tokens + thinking)


def estimated(request: Request, text: str) -> Usage:
    """The tokens of a call and its reply by their texts and pictures, where nobody says how many there were."""

    def tokens(said: str) -> int:
        return len(said.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 1

    pictures = PICTURE_TOKENS * len(request.prompt.images)
    return Usage(input=tokens(request.text) + pictures, output=tokens(text), estimated=True)


def second_request(first: Request, raw: Raw, problem: MalformedReply) -> Request:
    """The call that shows the model its malformed reply and what is wrong with it.

    After a truncated reply there is room for twice the tokens.
    """
    shown = raw.text if len(raw.text) <= _SHOWN else f"{raw.text[:_SHOWN]} [...]"
    if first.schema is None:
        form = f"as one JSON object between <{first.prompt.tag}> and </{first.prompt.tag}>"
    else:  # the model has not seen the schema yet, and the server may not have held it to it
        form = f"as one JSON object that fits the JSON schema {json.dumps(first.schema, ensure_ascii=False)}"
    again = _AGAIN.format(problem=problem.message, form=form)
    return replace(
        first,
        turns=(*first.turns, ("assistant", shown or "(nothing)"), ("user", again)),
        max_tokens=first.max_tokens * (2 if problem.reason == "truncated" else 1),
    )
