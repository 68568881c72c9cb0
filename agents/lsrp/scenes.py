"""What labelling, feedback and evaluation are made of: what may leave, the answer to a guideline, its rating."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memagent.agents.lsrp.calls import Said
from memagent.agents.lsrp.cast import Cast, Scene, one
from memagent.agents.lsrp.ports import Checked, Guard, PrivateTask, Verdict
from memagent.agents.lsrp.writing import WriteSettings, fitted
from memagent.errors import InvalidInput, MalformedReply, ModelDenied, ModelRefused

if TYPE_CHECKING:
    from memagent.prompts.lsrp_judges import Rating
    from memagent.prompts.prompt import Prompt

REFUSED = "the guard did not let the task leave"


def what_may_leave(task: PrivateTask, guard: Guard | None) -> Checked:
    """What the guard says of a task; without a guard all of it may leave, as published."""
    return Checked(verdict=Verdict.PASSED, text=task.text) if guard is None else guard.check(task)


def restored(text: str, checked: Checked, guard: Guard | None) -> str:
    """A text of the leader's with the private pieces back in their places."""
    return text if guard is None else guard.restored(text, checked)


def answer_to(guideline: str, task: PrivateTask, cast: Cast) -> Scene[Said[str]]:
    """The subordinate's answer to a guideline in which nothing is missing, with its fluency if it reports one.

    As on the device, the last of the user's earlier texts are left out where not all fit the model. Raises ModelRefused
    where task, profile and guideline alone do not.
    """
    settings = WriteSettings(max_tokens=cast.text_tokens).within(cast.subordinate.window)
    try:
        prompt, _, _ = fitted(task, guideline, (), settings)
    except InvalidInput as error:  # as its server would: of this task, and no other
        raise ModelRefused(error.message, hint=error.hint) from error
    return (yield from one(replace(prompt, logprobs=cast.logprobs)))


def rating(prompt: Prompt[Rating], cast: Cast) -> Scene[float | None]:
    """What the judge says; None without a judge, and where its reply cannot be read or it refuses this answer."""
    if cast.judge is None:
        return None
    try:
        judged = yield from one(prompt)
    except ModelDenied:
        raise
    except (ModelRefused, MalformedReply):
        return None
    return float(judged.value.score)


def why_not(error: ModelRefused | MalformedReply) -> str:
    """Why a model gave no answer to one prompt; raises what concerns all prompts."""
    if isinstance(error, ModelDenied):
        raise error
    return f"{type(error).__name__}: {error.message}"
