"""The replies of models in a file, each there before anything is made of it, so that no reply is paid for twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from memagent.agents.lsrp.scores import mean_logprob
from memagent.errors import DataError, InvalidInput, MalformedReply
from memagent.files import claim, closing_file
from memagent.llm.reply import Reply, Usage
from memagent.prompts.prompt import Prompt

T = TypeVar("T")

_HEADER = json.dumps({"memagent": "lsrp calls", "schema": 1})


# No slots: with them Python 3.11 cannot make a Said[str](...).
@dataclass(frozen=True, kw_only=True)
class Said(Generic[T]):
    """What a model said to one prompt.

    ``fluency``: the mean natural-log probability of the reply's tokens; None where the model reports none. ``kept``:
    it came from the file or the reply cache, and nothing was sent.
    """

    value: T
    text: str
    fluency: float | None
    usage: Usage
    kept: bool


def said(reply: Reply[T]) -> Said[T]:
    """A model's reply without what nobody here needs (the probabilities of single tokens)."""
    return Said(
        value=reply.value,
        text=reply.text,
        fluency=mean_logprob(reply.logprobs),
        usage=reply.usage,
        kept=reply.cached,
    )


class CallLog:
    """Replies by the prompt and the model that was asked. Use :func:`open_call_log`. Safe from several threads.

    What a model replied in a form that cannot be read is kept as well: it has been paid for, and is not asked again.
    """

    def __init__(self, path: Path | None, file: IO[str] | None, calls: Mapping[str, dict[str, Any]]) -> None:
        self._path = path
        self._file = file
        self._lock = threading.Lock()
        self._calls = dict(calls)

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, prompt: Prompt[T], model: str) -> Said[T] | None:
        """What the model of this identity said to the prompt; None if it was not asked.

        Raises MalformedReply if it said nothing that can be read.
        """
        with self._lock:
            found = self._calls.get(call_key(prompt, model))
        if found is None:
            return None
        if found["malformed"] is not None:
            raise MalformedReply(found["malformed"], hint="the reply was kept", reason="kept", text=found["text"])
        return Said(
            value=_value(prompt, found["value"], self._path),
            text=found["text"],
            fluency=found["fluency"],
            usage=Usage(input=found["input"], output=found["output"]),
            kept=True,
        )

    def keep(self, case: str, prompt: Prompt[T], model: str, reply: Said[T]) -> None:
        """Keep a reply. Raises InvalidInput when the file cannot be written."""
        value = reply.value if isinstance(reply.value, str) else _plain(reply.value)
        self._append(case, prompt, model, reply, value=value, malformed=None)

    def keep_malformed(self, case: str, prompt: Prompt[T], model: str, error: MalformedReply) -> None:
        """Keep that a reply could not be read."""
        nothing: Said[str] = Said(value="", text=error.text, fluency=None, usage=Usage(), kept=False)
        self._append(case, prompt, model, nothing, value="", malformed=error.message)

    def _append(
        self, case: str, prompt: Prompt[Any], model: str, reply: Said[Any], *, value: Any, malformed: str | None
    ) -> None:
        key = call_key(prompt, model)
        call = {
            "text": reply.text,
            "value": value,
            "fluency": reply.fluency,
            "input": reply.usage.input,
            "output": reply.usage.output,
            "malformed": malformed,
        }
        line = json.dumps({"key": key, "case": case, "prompt": prompt.label, **call}, ensure_ascii=True)
        with self._lock:
            if self._file is not None:
                try:
                    self._file.write(line + "\n")
                    self._file.flush()
                except OSError as error:
                    raise _unwritable(self._path, error) from error
            self._calls[key] = call


@contextmanager
def open_call_log(path: Path | None) -> Iterator[CallLog]:
    """A log kept in the file at ``path``, or in memory only. The file is its owner's alone: it holds private answers.

    A file that is there is continued; a line that a kill has torn is asked again. Raises InvalidInput when the file
    cannot be written or is in use by another run, and DataError when it is something else or damaged: what is in it
    has been paid for.
    """
    if path is None:
        yield CallLog(None, None, {})
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error
    with closing_file(file, lambda error: _unwritable(path, error)):
        try:
            claim(path, file)
            calls = _continued(path, file)
        except OSError as error:
            raise _unwritable(path, error) from error
        yield CallLog(path, file, calls)


def _continued(path: Path, file: IO[str]) -> dict[str, dict[str, Any]]:
    """The calls kept so far; the file then ends with the last whole one. A kill may tear the last line, no other."""
    file.seek(0)
    content = file.read()
    if f"{_HEADER}\n".startswith(content):
        file.truncate(0)
        file.write(_HEADER + "\n")
        file.flush()
        return {}
    lines = content.split("\n")[:-1]
    if lines[:1] != [_HEADER]:
        raise DataError(f"{path.name} is no file of calls", hint="name another place")
    calls = dict(_read(line, f"{path.name}, line {number}") for number, line in enumerate(lines[1:], 2))
    file.truncate(sum(len(line) + 1 for line in lines))  # what was written is ASCII
    return calls


def _read(line: str, where: str) -> tuple[str, dict[str, Any]]:
    try:
        found = json.loads(line)
        call = {name: found[name] for name in ("text", "value", "fluency", "input", "output", "malformed")}
        return str(found["key"]), call
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: this is no call", hint="delete this line, which is then asked again, or the file"
        ) from error


def _value(prompt: Prompt[T], kept: Any, path: Path | None) -> T:
    """The answer again as the prompt's type."""
    if prompt.answer is None:
        found: T = kept
        return found
    try:
        made: T = prompt.answer.model_validate(kept)  # type: ignore[attr-defined]
    except ValueError as error:
        raise DataError(f"{path}: an answer to {prompt.label} is {kept!r}", hint="delete the file") from error
    return made


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json")


def call_key(prompt: Prompt[Any], model: str) -> str:
    """Stands for all that decides on a reply."""
    asked = {
        "model": model,
        "system": prompt.system,
        "user": prompt.user,
        "schema": prompt.schema(),
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "stop": prompt.stop,
        "logprobs": prompt.logprobs,
        "sample": prompt.sample,
    }
    if prompt.seed is not None:  # only then, so that replies kept before there were seeds are found
        asked["seed"] = prompt.seed
    return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _unwritable(path: Path | None, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be written: {error.strerror}", hint="choose another place for the calls")
