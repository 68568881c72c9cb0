"""The guard of the device: checks a task's text against what is private, by rules, facts and further detectors."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from memagent.agents.lsrp.guard import placeholders
from memagent.agents.lsrp.guard.detectors import Detector
from memagent.agents.lsrp.guard.facts import PrivateFacts, private_facts
from memagent.agents.lsrp.guard.folding import squeezed
from memagent.agents.lsrp.guard.matching import SUSPICIOUS, private_places
from memagent.agents.lsrp.guard.public import public_words
from memagent.agents.lsrp.ports import Checked, Finding, PrivateTask, Verdict
from memagent.agents.lsrp.private import profile_in
from memagent.errors import InvalidInput, UnknownName, UnknownUser

if TYPE_CHECKING:
    from memagent.memory import Memory

Policy: TypeAlias = Literal["redact", "refuse", "pass"]
"""What is done with a finding: a placeholder takes its place, nothing leaves, or it is only written down."""

_Rank: TypeAlias = "Callable[[Finding], tuple[int, int, int]]"
_STRICTNESS: dict[Policy, int] = {"pass": 0, "redact": 1, "refuse": 2}
_VAGUE = (SUSPICIOUS, "word", "profile", "number")
"""Kinds that say less than others, the least first: where findings overlap, the other's kind is kept."""

_KEPT = 32
"""Users' facts (of a profile and texts) that are kept prepared."""


class ProfileGuard:
    """Finds in a task's text what its profile and history hold, and personal data by rules.

    ``policy`` holds for all kinds that ``policies`` does not name (name, place, number, date, email, phone, card,
    account, id, network, address, profile, word, passage, suspicious, and the kinds of further ``detectors``). With
    ``memory`` and ``user_id`` all turns of that user's memory are private too, and the profile facts among them as
    those of the task; they are read anew at each check.
    ``public`` are the words that say nothing about a user (default: :func:`public_words`); words of a profile's value
    are compared with it, the value as a whole is private whatever it is.

    May be used by several threads. Raises :class:`UnknownName` for a policy that does not exist.
    """

    def __init__(
        self,
        *,
        policy: Policy = "redact",
        policies: Mapping[str, Policy] | None = None,
        memory: Memory | None = None,
        user_id: str | None = None,
        public: Collection[str] | None = None,
        detectors: Sequence[Detector] = (),
    ) -> None:
        for given in (policy, *(policies or {}).values()):
            if given not in _STRICTNESS:
                raise UnknownName(f"unknown policy {given!r}", hint=f"use one of {', '.join(get_args(Policy))}")
        if (memory is None) != (user_id is None):
            raise InvalidInput("a memory is looked into for one user", hint="give memory and user_id together")
        self._policy = policy
        self._policies = dict(policies or {})
        self._memory = memory
        self._user_id = user_id or ""
        self._public = None if public is None else frozenset(form for word in public for form in squeezed(word))
        self._detectors = tuple(detectors)
        self._prepared: OrderedDict[object, PrivateFacts] = OrderedDict()
        self._lock = threading.Lock()

    def knowing(self, memory: Memory, user_id: str) -> ProfileGuard:
        """The same guard with a user's memory; itself if it has a memory already."""
        if self._memory is not None:
            return self
        made = copy(self)  # what is kept prepared may be shared: it is found by what it was made of
        made._memory, made._user_id = memory, user_id
        return made

    def check(self, task: PrivateTask) -> Checked:
        """What may leave of ``task.text``; its findings name places and kinds, never the text."""
        facts = self._facts(task)
        findings = self._findings(task, facts)
        strictest = max((_STRICTNESS[self._policy_of(finding.kind)] for finding in findings), default=0)
        if strictest == _STRICTNESS["refuse"]:
            return Checked(verdict=Verdict.REFUSED, text="", findings=tuple(findings))
        if strictest == _STRICTNESS["pass"]:
            return Checked(verdict=Verdict.PASSED, text=task.text, findings=tuple(findings))
        hidden = [finding for finding in findings if self._policy_of(finding.kind) == "redact"]
        text, made = placeholders.redacted(task.text, hidden, facts.kinds, facts.numbers)
        return Checked(verdict=Verdict.REDACTED, text=text, placeholders=made, findings=tuple(findings))

    def restored(self, text: str, checked: Checked) -> str:
        """``text`` with the private pieces in place of the placeholders, however a model has changed these."""
        return placeholders.restored(text, checked.placeholders)

    def _findings(self, task: PrivateTask, facts: PrivateFacts) -> list[Finding]:
        """All findings, those that overlap made one. What is left is looked through again: pieces may meet in it."""
        found = [finding for detector in self._detectors for finding in detector(task.text, task)]
        found = _merged([*_inside(found, len(task.text)), *private_places(task.text, facts)], self._rank)
        while hidden := [finding for finding in found if self._policy_of(finding.kind) != "pass"]:
            again = _merged([*found, *private_places(_blanked(task.text, hidden), facts)], self._rank)
            if [(each.start, each.end) for each in again] == [(each.start, each.end) for each in found]:
                break
            found = again
        return found

    def _policy_of(self, kind: str) -> Policy:
        return self._policies.get(kind, self._policy)

    def _rank(self, finding: Finding) -> tuple[int, int, int]:
        """Which of two overlapping findings gives its kind: the more strictly treated, the clearer, the longer."""
        clear = _VAGUE.index(finding.kind) if finding.kind in _VAGUE else len(_VAGUE)
        return _STRICTNESS[self._policy_of(finding.kind)], clear, finding.end - finding.start

    def _facts(self, task: PrivateTask) -> PrivateFacts:
        texts = tuple(text for written in task.history for text in (written.title, written.text)) + self._remembered()
        values = tuple(task.profile.items()) + self._remembered_profile()
        key = (values, texts)
        with self._lock:
            if key in self._prepared:
                self._prepared.move_to_end(key)
                return self._prepared[key]
        public = public_words() if self._public is None else self._public
        made = private_facts(values, texts, public)
        with self._lock:
            self._prepared[key] = made
            while len(self._prepared) > _KEPT:
                self._prepared.popitem(last=False)
        return made

    def _remembered_profile(self) -> tuple[tuple[str, str], ...]:
        if self._memory is None:
            return ()
        return tuple(profile_in(self._memory, user_id=self._user_id).items())

    def _remembered(self) -> tuple[str, ...]:
        if self._memory is None:
            return ()
        try:
            reply = self._memory.get_all(user_id=self._user_id, top_k=None)
        except UnknownUser:
            return ()
        return tuple(item["memory"] for item in reply["results"])


def _inside(findings: Sequence[Finding], length: int) -> list[Finding]:
    """Findings of a detector, if they are places in the text; raises InvalidInput for others."""
    wrong = next((each for each in findings if not 0 <= each.start < each.end <= length), None)
    if wrong is not None:
        raise InvalidInput(
            f"a detector ({wrong.found_by}) found characters {wrong.start} to {wrong.end} of {length}",
            hint="places are half open and count characters of the text as given",
        )
    return list(findings)


def _merged(findings: Sequence[Finding], rank: _Rank) -> list[Finding]:
    """The findings in order, those that overlap as one with the highest ranked one's kind."""
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda each: (each.start, -each.end)):
        if not merged or finding.start >= merged[-1].end:
            merged.append(finding)
            continue
        last = merged[-1]
        best = max(last, finding, key=rank)
        end = max(last.end, finding.end)
        merged[-1] = Finding(start=last.start, end=end, kind=best.kind, found_by=best.found_by)
    return merged


def _blanked(text: str, findings: Sequence[Finding]) -> str:
    pieces: list[str] = []
    written = 0
    for finding in findings:
        pieces += [text[written : finding.start], " " * (finding.end - finding.start)]
        written = finding.end
    return "".join([*pieces, text[written:]])
