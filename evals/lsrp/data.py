"""The data sets of LSRP: CoGen (writing tasks, with what the user wrote before) and MovieExp (movie explanations).

Their form: ``conversations`` (the task, then the reference answer) and ``additional_profile`` (a line a field,
``Name: value`` in CoGen and ``name:value`` in MovieExp, where a value may go on over several lines); CoGen also
``profile``, the texts that the user wrote. MovieExp names records by ``id``, CoGen by ``tid``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.people import example_users
from memagent.agents.lsrp.ports import PrivateTask, Written
from memagent.agents.lsrp.scores import profile_text, udrr
from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.datasets.cases import DataFile
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import open_data

NAMES = ("bundled", "cogen", "movieexp", "population")
_USERS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How one data set writes its records."""

    task_type: TaskType
    id: str
    between: str
    line: re.Pattern[str]
    user: str
    """The field that tells people apart; empty where only the whole profile does."""


_FORMS = {
    "cogen": _Form(
        task_type=TaskType.WRITING, id="tid", between=": ", line=re.compile(r"([A-Z]\w*):[ \t]*(.*)"), user=""
    ),
    "movieexp": _Form(
        task_type=TaskType.EXPLANATION, id="id", between=":", line=re.compile(r"([a-z]\w*):(.*)"), user="username"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LsrpCase:
    """One task of a data set, and the answer that it gives.

    ``profile`` is the profile as the data set writes it, character by character: UDRR counts its tokens, separated by
    white space. ``user`` is the same for all profiles of one person.
    """

    id: str
    user: str
    task: PrivateTask
    profile: str
    reference: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """Profile and task: what a repeated record has in common with another."""
        return self.profile, self.task.text


@dataclass(frozen=True, slots=True, kw_only=True)
class LsrpSet:
    """Cases in the order of their files."""

    name: str
    cases: tuple[LsrpCase, ...]
    files: tuple[DataFile, ...] = ()
    between: str = ": "
    """What stands between name and value in a profile: see :func:`memagent.agents.lsrp.scores.profile_text`."""


def reference_udrr(cases: Sequence[LsrpCase]) -> float | None:
    """The mean UDRR of the reference answers, an anchor for that of a model's; None where there are none."""
    shares = [udrr(case.profile, case.reference) for case in cases if case.reference]
    return sum(shares) / len(shares) if shares else None


def load_lsrp(name: str, data: Sequence[str | Path]) -> LsrpSet:
    """The records of CoGen (``cogen``) or MovieExp (``movieexp``) in files of that data set, repeated ones among them.

    ``bundled`` (the example users) and ``population`` (:mod:`memagent.evals.lsrp.population`) are made up and have no
    files. Raises UnknownName, InvalidInput without files or records, and DataError naming file, record and field.
    """
    if name not in NAMES:
        raise UnknownName(f"unknown data set {name!r}", hint=f"use one of {', '.join(NAMES)}")
    if name not in _FORMS:
        if data:
            raise InvalidInput(f"the data set {name} has no files", hint="leave --data out")
        return _bundled() if name == "bundled" else _population()
    if not data:
        raise InvalidInput(f"the data set {name} needs its files", hint="name the data set's own JSON files")
    opened = [open_data(path) for path in data]
    cases = tuple(_case(record, _FORMS[name]) for source in opened for record in source.records)
    if not cases:
        raise InvalidInput(f"no records in {', '.join(one.file.name for one in opened)}", hint="name other files")
    twice = [found for found, count in Counter(case.id for case in cases).items() if count > 1]
    if twice:
        raise DataError(f"the record {twice[0]!r} occurs twice in {name}", hint="name each file once")
    return LsrpSet(name=name, files=tuple(one.file for one in opened), cases=cases, between=_FORMS[name].between)


def _population() -> LsrpSet:
    from memagent.evals.lsrp.population import make_population

    people = make_population(users=_USERS, tasks_each=2).people
    cases = tuple(case for person in people for case in _of_user(person.id, person.tasks))
    return LsrpSet(name="population", cases=cases)


def _bundled() -> LsrpSet:
    cases = tuple(case for user in example_users() for case in _of_user(user.id, user.tasks))
    return LsrpSet(name="bundled", cases=cases)


def _of_user(user: str, tasks: Sequence[PrivateTask]) -> Iterator[LsrpCase]:
    for number, task in enumerate(tasks):
        yield LsrpCase(id=f"{user}/{number}", user=user, task=task, profile=profile_text(task.profile))


def _case(record: Node, form: _Form) -> LsrpCase:
    task, reference = _turns(record.field("conversations"))
    node = record.field("additional_profile")
    fields = _fields(node, form)
    private = PrivateTask(
        text=task,
        task_type=form.task_type,
        profile=fields,
        history=_history(record) if form.task_type is TaskType.WRITING else (),
    )
    written = node.text()
    return LsrpCase(
        id=record.field(form.id).scalar(),
        user=fields.get(form.user) or written,
        task=private,
        profile=written,
        reference=reference,
    )


def _turns(node: Node) -> tuple[str, str]:
    turns = node.items()
    if len(turns) != 2:
        raise node.failure(f"has {len(turns)} turns where two belong, the task and the answer")
    for turn, who in zip(turns, ("user", "assistant"), strict=True):
        if (speaker := turn.field("from")).text() != who:
            raise speaker.failure(f"is {speaker.text()[:40]!r} where {who!r} belongs")
    task = turns[0].field("value")
    if not task.text().strip():
        raise task.failure("is empty: there is no task")
    return task.text(), turns[1].field("value").text()


def _fields(node: Node, form: _Form) -> dict[str, str]:
    """Field name to value; a line that begins no field belongs to the one before it."""
    found: dict[str, str] = {}
    last = ""
    for line in node.text().strip().split("\n"):
        begun = form.line.match(line)
        if begun and begun[1] not in found:
            last = begun[1]
            found[last] = begun[2].rstrip()
        elif last:
            found[last] += f"\n{line}"
        else:
            raise node.failure(f"begins with {line[:40]!r}, which is no field of a profile")
    return {name: value.strip() for name, value in found.items()}


def _history(record: Node) -> tuple[Written, ...]:
    return tuple(
        Written(title=one.field("title").text(), text=one.field("text").text())
        for one in record.field("profile").items()
    )
