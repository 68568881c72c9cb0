"""A reader and a judge without a model, which check the whole run.

The reader knows every answer, but gives it only if all of the question's evidence stands in the prompt it is sent: the
share of right answers is then the share of questions whose evidence was retrieved, and anything else is a fault between
the store and the judge. The judge compares texts.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, NamedTuple

from memagent.llm.reply import Raw, Usage
from memagent.llm.wire import Capabilities
from memagent.prompts.quoting import quoted

if TYPE_CHECKING:
    from memagent.evals.datasets.cases import Dataset, EvalSession, History, Question
    from memagent.llm.request import Request

UNKNOWN = "I do not know."

_MEMORY = re.compile(r'<memory id="([^"]*)"[^>\n]*>\n(.*?)\n?</memory>', re.DOTALL)
_TELLING = 20  # characters from which a message is taken to stand for its session


class Known(NamedTuple):
    """What the reader knows of a question: the answer, and for each piece of evidence the texts any of which shows
    it.
    """

    answer: str
    evidence: tuple[frozenset[str], ...]


class Scripted(ABC):
    """What reader and judge have in common: a reply worked out from what is sent."""

    identity = "scripted"
    capabilities = Capabilities(json_schema=False, logprobs=False, lora=False, vision=False)

    @abstractmethod
    def reply(self, system: str, user: str) -> str:
        """The reply to a prompt."""

    def send(self, request: Request, timeout: float | None) -> Raw:
        """See :class:`memagent.llm.wire.Wire`."""
        turns = dict(reversed(request.turns))
        text = self.reply(turns.get("system", ""), turns.get("user", ""))
        return Raw(text=text, finish="stop", usage=Usage(input=len(request.text) // 4, output=len(text) // 4))

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """See :class:`memagent.llm.wire.Wire`."""
        return self.send(request, timeout)

    def stream(self, request: Request, timeout: float | None) -> Generator[str | Raw, None, None]:
        """See :class:`memagent.llm.wire.Wire`."""
        raw = self.send(request, timeout)
        yield raw.text
        yield raw

    async def astream(self, request: Request, timeout: float | None) -> AsyncGenerator[str | Raw, None]:
        """See :class:`memagent.llm.wire.Wire`."""
        for part in self.stream(request, timeout):
            yield part


class OracleReader(Scripted):
    """Answers, filters and chooses from what it is shown; what it is not shown it does not know.

    ``granularity`` says what counts as shown: a whole session, or the turns that hold the gold messages (any turn of a
    gold session where the data set names none).
    """

    def __init__(self, dataset: Dataset, granularity: str) -> None:
        # A cached reply holds as long as the data and this reading of it are the same.
        self.identity = f"scripted reader 1, {granularity}, {' '.join(file.sha256 for file in dataset.files)}"
        histories = {history.user_id: history for history in dataset.histories}
        self._known: dict[str, list[Known]] = {}
        for question in dataset.questions:
            if not question.no_gold:
                known = _known(question, histories[question.user_id], granularity)
                self._known.setdefault(_quoted(question.text), []).append(known)

    def reply(self, system: str, user: str) -> str:
        """The reply to a prompt of :mod:`memagent.prompts.answering` or :mod:`memagent.prompts.evidence`."""
        memories = dict(_MEMORY.findall(user))
        if "<options>" in user:
            return "(a)"  # no data set with options says what the evidence is
        if '"excerpts"' in system:
            excerpts = [{"memory": label, "text": text} for label, text in memories.items()]
            return _tagged({"excerpts": excerpts})
        answer, cited = self._answer(_slot(user, "question"), memories)
        if '"known"' in system:
            return _tagged({"citations": cited, "known": bool(cited), "answer": answer})
        return f"{answer} [{', '.join(cited)}]" if cited else f"[unknown] {answer}"

    def _answer(self, question: str, memories: dict[str, str]) -> tuple[str, list[str]]:
        for known in self._known.get(question, []):
            holding = [
                [label for label, text in memories.items() if any(piece in text for piece in pieces)]
                for pieces in known.evidence
            ]
            if all(holding):
                return known.answer, list(dict.fromkeys(labels[0] for labels in holding))
        return UNKNOWN, []


class OracleJudge(Scripted):
    """Right is a response that holds the correct answer, or that of the reader which does not know, where that is
    it.
    """

    identity = "scripted judge 1"

    def reply(self, system: str, user: str) -> str:
        """The reply to a prompt of :mod:`memagent.prompts.judges`."""
        response = _slot(user, "response")
        if "<explanation>" in user:
            right = response.startswith(UNKNOWN.rstrip("."))  # the reader, or whoever had nothing to ask it from
        else:
            right = _slot(user, "rubric" if "<rubric>" in user else "correct_answer") in response
        if '"label"' in system:
            return _tagged({"reasoning": "The texts were compared.", "label": "CORRECT" if right else "WRONG"})
        word = "yes" if right else "no"
        return f"[{word}]" if "[yes]" in system else word


def _known(question: Question, history: History, granularity: str) -> Known:
    if granularity == "turn" and question.gold_messages:
        messages = {message.id: message for session in history.sessions for message in session.messages}
        evidence = [frozenset({_quoted(messages[name].content)}) for name in question.gold_messages]
    else:
        sessions = {session.id: session for session in history.sessions}
        evidence = [_shows(sessions[name], granularity) for name in question.gold_sessions]
    return Known(answer=question.answer, evidence=tuple(evidence))


def _shows(session: EvalSession, granularity: str) -> frozenset[str]:
    """Texts any of which shows that the session, or a turn of it, is there: short ones stand in other sessions too."""
    texts = sorted((_quoted(message.content) for message in session.messages), key=len)
    telling = [text for text in texts if len(text) >= _TELLING] if granularity == "turn" else []
    return frozenset(telling or texts[-1:])


def _quoted(text: str) -> str:
    return quoted(text).strip()


def _slot(user: str, name: str) -> str:
    match = re.search(rf"<{name}>\n(.*?)\n?</{name}>", user, re.DOTALL)
    return match[1].strip() if match else ""


def _tagged(value: object) -> str:
    return f"<answer>{json.dumps(value, ensure_ascii=False)}</answer>"
