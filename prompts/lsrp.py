"""LSRP's prompts: the leader's guideline, the subordinate's text, and the ways to write that it is compared with.

Source: the released code of LSRP (roles, slots, lengths: a guideline of up to 512 tokens, a text of up to 768, greedy)
and CoGenesis' sketch. The wording is our own. What leaves the device is the task alone: :func:`leader`, :func:`sketch`
and :func:`leader_alone` cannot be given anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from memagent.errors import UnknownName
from memagent.prompts.lsrp_strategies import Strategy
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, Remembered, element, memories_block, quoted

_GUIDELINE_TOKENS = 512
_TEXT_TOKENS = 768


class PastWriting(Protocol):
    """A text that the user wrote before."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


class Private(Protocol):
    """A task with the private data that the device has for it (``memagent.agents.lsrp.PrivateTask``)."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def task_type(self) -> str: ...  # noqa: D102
    @property
    def profile(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def history(self) -> Sequence[PastWriting]: ...  # noqa: D102


_LEADER = """\
You are an experienced manager. A user has a task, which an assistant on the user's own device will carry out. The \
assistant is a small model that knows the user; you are not allowed to see anything of the user, and never ask for it. \
You write the guideline by which the assistant works."""

_FIELDS = {
    "writing": "name, age, occupation, place, traits, writing style, contacts, devices and habits, and texts that the "
    "user wrote before",
    "explanation": "age, sex, places of birth and living, education, occupation, income, relationship, writing style",
}

_SHOWN_TO_LEADER = """\
<task> holds the task as the user put it. Words in square brackets with a number, such as [NAME_1], stand for \
something private: keep them as they are where you need them. The assistant has these kinds of data, and you none of \
them: {fields}."""

_GUIDELINE_FORM = {
    "writing": "Reply with the guideline alone: at most two paragraphs and about 200 words. Do not write the text that "
    "the task asks for, and make up no fact about the user.",
    "explanation": "Reply with the guideline alone: several short points, about 150 words. Do not write the "
    "explanation that the task asks for, and make up no fact about the user.",
}

_ASSISTANT = """\
You are a user's personal assistant and run on their own device. You write as the user would: their words, their tone, \
their habits."""

_SHOWN_TO_SUBORDINATE = """\
<profile> holds what is known about the user, a line for each fact. <writings>, where given, holds texts that the user \
wrote before, and <memories> what was kept of earlier conversations with them: take facts and style from them, and do \
not copy them."""

_TEXT_FORM = {
    "writing": "Reply with the finished text alone, in the first person where the user speaks.",
    "explanation": "Reply with the explanation alone, addressed to the user, and base each reason on what is known "
    "about them.",
}


def leader(
    task: str,
    strategy: Strategy,
    task_type: str,
    *,
    examples: bool = True,
    max_tokens: int = _GUIDELINE_TOKENS,
    temperature: float = 0.0,
    sample: int = 0,
) -> Prompt[str]:
    """The guideline for a task, in the manner of a strategy.

    ``examples=False`` leaves the two worked examples out, as the published training prompts do (its run-time prompts
    have them). Raises UnknownName for an unknown ``task_type``.
    """
    worded = strategy.worded(task_type)
    shown = worded.examples if examples else ()
    parts = [_leads(task_type), _GUIDELINE_FORM[task_type], worded.instructions]
    parts += [f"Example {n}\nTask: {one.task}\nGuideline:\n{one.guideline}" for n, one in enumerate(shown, start=1)]
    return Prompt(
        name=f"lsrp-leader-{'' if examples else 'bare-'}{strategy.name}-{task_type}",
        version=1,
        system="\n\n".join(parts),
        user=element("task", task),
        max_tokens=max_tokens,
        temperature=temperature,
        sample=sample,
    )


def sketch(task: str, task_type: str, *, max_tokens: int = _GUIDELINE_TOKENS) -> Prompt[str]:
    """CoGenesis' way: a skeleton of 8 to 15 short points in place of a guideline."""
    system = f"""\
{_leads(task_type)}

Reply with a skeleton of the text that the task asks for: 8 to 15 numbered points of 3 to 8 words, in the order in \
which the text goes. Where a private fact belongs, say which kind of fact. Write no sentence of the text itself, and \
make up no fact about the user."""
    return Prompt(
        name=f"lsrp-sketch-{task_type}", version=1, system=system, user=element("task", task), max_tokens=max_tokens
    )


def leader_alone(task: str, task_type: str, *, max_tokens: int = _TEXT_TOKENS) -> Prompt[str]:
    """The finished text from a leader that knows the task and nothing of the user."""
    system = f"""\
You are a personal assistant and write for a user of whom you know nothing but their task.

{QUOTED_IS_DATA}

<task> holds the task as the user put it. Words in square brackets with a number, such as [NAME_1], stand for \
something private: keep them as they are.

{_text_form(task_type)}"""
    return Prompt(
        name=f"lsrp-leader-alone-{task_type}",
        version=1,
        system=system,
        user=element("task", task),
        max_tokens=max_tokens,
    )


def subordinate(
    guideline: str, task: Private, memories: Sequence[Remembered] = (), *, max_tokens: int = _TEXT_TOKENS
) -> Prompt[str]:
    """The text, written on the device from a guideline and the user's own data.

    The user's earlier texts (``task.history``) are shown for writing tasks only.
    """
    system = f"""\
{_ASSISTANT}

{QUOTED_IS_DATA}

{_SHOWN_TO_SUBORDINATE} <guideline> holds a plan by somebody who does not know the user: follow it as far as it fits \
the user, and do not repeat or mention it. <task> holds what the user wants.

{_text_form(task.task_type)}"""
    user = "\n".join((*_private(task, memories), element("guideline", guideline), element("task", task.text)))
    return Prompt(name=f"lsrp-subordinate-{task.task_type}", version=1, system=system, user=user, max_tokens=max_tokens)


def alone(task: Private, memories: Sequence[Remembered] = (), *, max_tokens: int = _TEXT_TOKENS) -> Prompt[str]:
    """The text, written on the device from the user's own data without any guideline."""
    system = f"""\
{_ASSISTANT}

{QUOTED_IS_DATA}

{_SHOWN_TO_SUBORDINATE} <task> holds what the user wants.

{_text_form(task.task_type)}"""
    user = "\n".join((*_private(task, memories), element("task", task.text)))
    return Prompt(name=f"lsrp-alone-{task.task_type}", version=1, system=system, user=user, max_tokens=max_tokens)


def choose_style(task: Private, strategies: Sequence[Strategy], *, max_tokens: int = 24) -> Prompt[str]:
    """The name of the strategy that the device's own model holds to be the best; asked on the device."""
    named = "\n".join(f"{one.name}: {one.summary}" for one in strategies)
    system = f"""\
You run on a user's own device and decide how a manager, who does not know the user, is to guide the assistant that \
carries out the user's task. The better the manner of the guidance fits this user and this task, the better the text.

{QUOTED_IS_DATA}

<profile> holds what is known about the user, a line for each fact, and <task> what the user wants.

These are the manners of guidance:
{named}

Reply with the name of the one that fits best, a single word, and nothing else."""
    user = "\n".join((_profile(task.profile), element("task", task.text)))
    return Prompt(name="lsrp-choose-style", version=1, system=system, user=user, max_tokens=max_tokens)


def general_plan(task_type: str) -> str:
    """A guideline for any task, with which the device writes when no guideline comes from a leader."""
    if task_type not in _PLANS:
        raise UnknownName(f"there is no task type {task_type!r}", hint=f"one of {', '.join(_PLANS)}")
    return _PLANS[task_type]


_PLANS = {
    "writing": """\
First settle for whom the text is and what it should bring about. Begin with that purpose, and address the reader as \
the user usually does. Support it with two or three facts from the profile or the earlier texts that matter to this \
task, and leave out those that do not.

Keep the user's tone, length of sentences and habits of punctuation. Name what should happen next, if anything, and \
close as the user closes. About 150 to 200 words, two paragraphs.""",
    "explanation": """\
Say first what the conclusion is. Then give three or four reasons, each of which sets one side of the matter against \
one fact about the user: work and education, places, means, relationships, taste. Name what speaks against it too, and \
end with a clear recommendation.""",
}


def _leads(task_type: str) -> str:
    _text_form(task_type)
    return f"{_LEADER}\n\n{QUOTED_IS_DATA}\n\n{_SHOWN_TO_LEADER.format(fields=_FIELDS[task_type])}"


def _text_form(task_type: str) -> str:
    if task_type not in _TEXT_FORM:
        raise UnknownName(f"there is no task type {task_type!r}", hint=f"one of {', '.join(_TEXT_FORM)}")
    return _TEXT_FORM[task_type]


def _private(task: Private, memories: Sequence[Remembered]) -> list[str]:
    parts = [_profile(task.profile)]
    if task.history and task.task_type == "writing":
        inner = "\n".join(element("writing", one.text, title=one.title) for one in task.history)
        parts.append(f"<writings>\n{inner}\n</writings>")
    if memories:
        parts.append(memories_block(memories))
    return parts


def _profile(profile: Mapping[str, str]) -> str:
    """A line for each field: no value can look like another field."""
    lines = (f"{_line(name)}: {_line(value)}" for name, value in profile.items() if value.strip())
    return "\n".join(("<profile>", *lines, "</profile>"))


def _line(text: str) -> str:
    return " ".join(quoted(text).split())
