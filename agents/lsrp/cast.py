"""Who is asked what: the models of one experiment, and many tasks driven against them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from memagent.agents.lsrp.calls import CallLog, Said, call_key, open_call_log, said
from memagent.errors import (
    BudgetExceeded,
    InvalidInput,
    MalformedReply,
    MemagentError,
    ModelDenied,
    ModelError,
    ModelRefused,
    Stopped,
)
from memagent.prompts.prompt import Prompt

if TYPE_CHECKING:
    from memagent.llm.model import Model

R = TypeVar("R")
T = TypeVar("T")

Scene: TypeAlias = Generator["Prompt[Any] | Sequence[Prompt[Any]]", Any, R]
"""A flow as in :mod:`memagent.llm.flow`, but it is sent :class:`~memagent.agents.lsrp.calls.Said`."""

Progress = Callable[[int, int], None]
"""Told the tasks finished so far and in all."""

_OF_LEADER = ("lsrp-leader-", "lsrp-sketch-")
_WHOLE_TEXT = ("lsrp-leader-alone-",)
_OF_JUDGE = ("judge-",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The models: the leader in the cloud, the subordinate on the device, and a judge (None: nothing is judged).

    A prompt goes where its name says. Only those that cannot hold private data are the leader's; the judge is shown
    profile and answer, so it is a party to be trusted, or has to run on the device too. ``guideline_tokens`` and
    ``text_tokens`` are the longest guideline and the longest text (512 and 768 as published).
    """

    leader: Model
    subordinate: Model
    judge: Model | None = None
    guideline_tokens: int = 512
    text_tokens: int = 768

    def __post_init__(self) -> None:
        if min(self.guideline_tokens, self.text_tokens) < 1:
            raise InvalidInput(
                f"guideline_tokens {self.guideline_tokens}, text_tokens {self.text_tokens}", hint="both are 1 or more"
            )

    def model(self, prompt: Prompt[Any]) -> Model:
        """Who is asked this prompt. Raises InvalidInput for a judgement where there is no judge."""
        if prompt.name.startswith(_OF_LEADER):
            return self.leader
        if not prompt.name.startswith(_OF_JUDGE):
            return self.subordinate
        if self.judge is None:
            raise InvalidInput(f"there is no judge for {prompt.label}", hint="name a judge, or do not judge")
        return self.judge

    def bounded(self, prompt: Prompt[T]) -> Prompt[T]:
        """The prompt as it is asked: with no more tokens for its reply than this cast allows."""
        if prompt.name.startswith(_OF_JUDGE):
            return prompt
        guideline = prompt.name.startswith(_OF_LEADER) and not prompt.name.startswith(_WHOLE_TEXT)
        most = self.guideline_tokens if guideline else self.text_tokens
        return prompt if prompt.max_tokens <= most else replace(prompt, max_tokens=most)

    @property
    def logprobs(self) -> int | None:
        """What a prompt's ``logprobs`` is to be so that the subordinate reports fluency: 0, or None if it cannot."""
        return None if self.subordinate.capabilities.logprobs is False else 0


def one(prompt: Prompt[T]) -> Scene[Said[T]]:
    """Yield one prompt, and have the type of its answer: ``reply = yield from ...``."""
    reply: Said[T] = yield prompt
    return reply


def play(
    scenes: Mapping[str, Scene[R]],
    cast: Cast,
    *,
    calls: Path | None = None,
    concurrency: int = 16,
    progress: Progress | None = None,
) -> dict[str, R | MemagentError]:
    """What each scene returns, by name, or the error of a model that it did not catch. See :func:`aplay`."""
    try:
        return asyncio.run(aplay(scenes, cast, calls=calls, concurrency=concurrency, progress=progress))
    except KeyboardInterrupt:
        hint = "run the same command to resume" if calls else "nothing was kept"
        raise Stopped("stopped", hint=hint) from None


async def aplay(
    scenes: Mapping[str, Scene[R]],
    cast: Cast,
    *,
    calls: Path | None = None,
    concurrency: int = 16,
    progress: Progress | None = None,
) -> dict[str, R | MemagentError]:
    """What each scene returns, by name; ``concurrency`` scenes are under way at once.

    Every reply is kept in the file ``calls`` before anything is made of it, so that the same call goes on after a stop
    of any kind and pays for none of them again. A reply that cannot be read and a refusal are raised in the scene;
    where it does not catch them they take the place of what it returns.

    Raises :class:`Stopped` when a budget is spent or a model cannot be reached (replies under way are kept first),
    ModelDenied where a model serves nothing at all, the first refusal if no scene gets to its end, and what
    :func:`~memagent.agents.lsrp.calls.open_call_log` raises.
    """
    if concurrency < 1:
        raise InvalidInput(f"concurrency is {concurrency}", hint="it is 1 or more")
    # Asked for here, in a thread: a model may connect for it, and an event loop must not wait.
    identities = await asyncio.to_thread(_identities, cast)
    with open_call_log(calls) as log:
        stage = _Stage(cast, identities, log, concurrency, progress, len(scenes))
        return await stage.all(scenes)


def _identities(cast: Cast) -> dict[int, str]:
    return {id(model): model.identity for model in (cast.leader, cast.subordinate, cast.judge) if model is not None}


class _Stage:
    def __init__(
        self,
        cast: Cast,
        identities: Mapping[int, str],
        log: CallLog,
        concurrency: int,
        progress: Progress | None,
        total: int,
    ) -> None:
        self._cast = cast
        self._identities = identities
        self._log = log
        self._slots = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._total = total
        self._done = 0
        self._ended: MemagentError | None = None
        self._asking: dict[str, asyncio.Lock] = {}

    async def all(self, scenes: Mapping[str, Scene[R]]) -> dict[str, R | MemagentError]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {name: group.create_task(self._one(name, scene)) for name, scene in scenes.items()}
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        if self._ended is not None:
            raise self._why(self._ended)
        found = {name: result for name, task in tasks.items() if (result := task.result()) is not None}
        refusals = [result for result in found.values() if isinstance(result, ModelRefused)]
        if refusals and len(refusals) == len(found):
            raise refusals[0]  # no matter of single tasks
        return found

    async def _one(self, name: str, scene: Scene[R]) -> R | MemagentError | None:
        """What a scene returns; None if the run has ended before it did."""
        async with self._slots:
            try:
                return await self._played(name, scene)
            except (ModelRefused, MalformedReply) as error:
                if isinstance(error, ModelDenied):
                    self._end(error)
                    return None
                return error
            except ModelError as error:  # spent, or not to be reached
                self._end(error)
                return None
            finally:
                scene.close()
                self._tell()

    async def _played(self, name: str, scene: Scene[R]) -> R | None:
        try:
            wanted = next(scene) if self._going_on() else None
            while wanted is not None and self._going_on():
                try:
                    got = await self._asked(name, wanted)
                except ModelDenied:
                    raise
                except (ModelRefused, MalformedReply) as error:
                    wanted = scene.throw(error)
                else:
                    wanted = scene.send(got)
        except StopIteration as stop:
            value: R = stop.value
            return value
        return None

    async def _asked(self, name: str, wanted: Prompt[Any] | Sequence[Prompt[Any]]) -> Any:
        if isinstance(wanted, Prompt):
            return await self._said(name, wanted)
        several = await asyncio.gather(*(self._said(name, prompt) for prompt in wanted), return_exceptions=True)
        for reply in several:  # all are kept before the first error is raised
            if isinstance(reply, BaseException):
                raise reply
        return several

    async def _said(self, name: str, prompt: Prompt[Any]) -> Said[Any]:
        model, prompt = self._cast.model(prompt), self._cast.bounded(prompt)
        identity = self._identities[id(model)]
        # Two scenes that ask the same share one reply.
        async with self._asking.setdefault(call_key(prompt, identity), asyncio.Lock()):
            if (found := self._log.find(prompt, identity)) is not None:
                return found
            try:
                reply = said(await model.aask(prompt))
            except MalformedReply as error:
                self._log.keep_malformed(name, prompt, identity, error)
                raise
            self._log.keep(name, prompt, identity, reply)
            return reply

    def _going_on(self) -> bool:
        return self._ended is None

    def _end(self, error: MemagentError) -> None:
        """Let no scene go on behind its next reply."""
        if self._ended is None:
            self._ended = error

    def _tell(self) -> None:
        if self._ended is not None:
            return
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)

    def _why(self, error: MemagentError) -> MemagentError:
        """A model that cannot be reached and a spent budget are stops; all else is what it is."""
        if not isinstance(error, BudgetExceeded) and not error.retryable:
            return error
        then = "raise the budget" if isinstance(error, BudgetExceeded) else "see to the model"
        return Stopped(
            f"stopped after {self._done} of {self._total} tasks: {error.message}",
            hint=f"{then}, and run the same command to resume",
        )
