"""A model by script that takes questions of the made-up world apart rightly, but knows only what it has been shown.

It reads the question's grammar, asks for one relation after the other, and copies out of the passages the sentence
that states it; what it is not shown it cannot answer. What a system gets right with it is what the system has found.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from memagent.evals.multihop.vocabulary import RELATIONS, decomposed
from memagent.evals.qa.oracle import Scripted
from memagent.llm.reply import Raw, Usage
from memagent.prompts.reason_rag import ANSWER_LEAD, NO_EVIDENCE, QUERY_LEAD

if TYPE_CHECKING:
    from memagent.llm.request import Request
    from memagent.prompts.prompt import Prompt

UNKNOWN = "unknown"

_REFERENCE = re.compile(r"<reference[^>\n]*>\n(.*?)\n?</reference>", re.DOTALL)
_DETOUR = "year"


class WorldModel(Scripted):
    """The scripted model.

    ``detours``: where it samples (temperature above 0), it asks for something needless first in one of two samples,
    which costs two steps and does no harm: for tree search, which has to find the shorter way. At temperature 0 it
    always goes straight on.
    """

    def __init__(self, *, detours: bool = False) -> None:
        self.identity = f"world model 2{' with detours' if detours else ''}"
        self._detours = detours

    def send(self, request: Request, timeout: float | None) -> Raw:
        """See :class:`memagent.llm.wire.Wire`."""
        text = self.answer_to(request.prompt)
        return Raw(text=text, finish="stop", usage=Usage(input=len(request.text) // 4, output=len(text) // 4))

    def reply(self, system: str, user: str) -> str:
        """The answer of one who was shown ``user`` and asked for nothing but the answer."""
        return self._walked(_slot(user, "question"), user)[0] or UNKNOWN

    def answer_to(self, prompt: Prompt[str]) -> str:
        """The reply to a prompt of :mod:`memagent.prompts.reason_rag` or :mod:`memagent.prompts.multihop`.

        As from a server, the closing tag at which it stops is missing.
        """
        user = prompt.user
        question, thoughts = _slot(user, "question"), _slot(user, "thoughts")
        match prompt.name.removeprefix("reason-rag-").removesuffix("-personal"):
            case "first-reasoning" | "reasoning" | "multihop-search-reasoning":
                return self._reasoned(question, thoughts, prompt)
            case "evidence" | "multihop-search-reading":
                return self._evidence(_slot(user, "query"), user)
            case "forced-answer":
                return f"{ANSWER_LEAD} <answer>{self._walked(question, thoughts)[0] or UNKNOWN}"
            case "judge":
                return self._judged(question, _slot(user, "gold"), thoughts)
            case "multihop-chain":
                return self._chained(question, user)
        return f"{ANSWER_LEAD} <answer>{self._walked(question, user)[0] or UNKNOWN}"

    def _reasoned(self, question: str, thoughts: str, prompt: Prompt[str]) -> str:
        answer, query = self._walked(question, thoughts)
        if query is None:
            return f"Every part is known now. {ANSWER_LEAD} <answer>{answer or UNKNOWN}"
        if self._strays(question, thoughts, prompt):
            start = (decomposed(question) or ("", ()))[0]
            query = f"{_DETOUR} of {start}"
        elif f"<query>{query}</query>" in thoughts:
            query = f"Which is the {query}?"
        return f"The next part is not known yet. {QUERY_LEAD} <query>{query}"

    def _strays(self, question: str, thoughts: str, prompt: Prompt[str]) -> bool:
        if not self._detours or prompt.temperature == 0 or f"<query>{_DETOUR} of" in thoughts:
            return False
        digest = hashlib.sha256(f"{question}\n{thoughts}".encode()).digest()
        return (digest[0] + prompt.sample) % 2 == 1

    def _walked(self, question: str, shown: str) -> tuple[str | None, str | None]:
        """The answer, as far as ``shown`` states it, and what has to be asked next: one of them is None.

        A question that is no question of the made-up world has neither.
        """
        parts = decomposed(question)
        if parts is None:
            return None, None
        here, relations = parts
        for name in relations:
            found = RELATIONS[name].stated(shown, here)
            if found is None:
                return None, f"{name} of {here}"
            here = found[1]
        return here, None

    def _evidence(self, query: str, user: str) -> str:
        name, _, subject = query.removeprefix("Which is the ").removesuffix("?").partition(" of ")
        relation = RELATIONS.get(name)
        for text in _REFERENCE.findall(user) if relation else ():
            found = relation.stated(text, subject) if relation else None
            if found:
                return f"The relevant evidence is <evidence>{found[0]}"
        return f"The relevant evidence is <evidence>{NO_EVIDENCE}"

    def _judged(self, question: str, gold: str, thoughts: str) -> str:
        """Better the nearer the thoughts are to the right answer, and the fewer queries they took."""
        steps = thoughts.count("<query>")
        given = re.search(r"<answer>(.*?)</answer>", thoughts, re.DOTALL)
        if given:
            score = 100 - 10 * steps if given[1].strip() in gold.split(" or ") else 0
        else:
            relations = (decomposed(question) or ("", ()))[1]
            start = (decomposed(question) or ("", ()))[0]
            known, here = 0, start
            for name in relations:
                found = RELATIONS[name].stated(thoughts, here)
                if found is None:
                    break
                known, here = known + 1, found[1]
            score = 50 + 10 * known - 10 * max(0, steps - known)
        return f"The steps were compared with the answer.\nScore: {max(0, min(100, score))}"

    def _chained(self, question: str, user: str) -> str:
        answer, query = self._walked(question, user)
        if query is None:
            return f"{ANSWER_LEAD} <answer>{answer or UNKNOWN}"
        return f"Now I need the {query}."


def _slot(user: str, name: str) -> str:
    match = re.search(rf"<{name}>\n(.*?)\n?</{name}>", user, re.DOTALL)
    return match[1].strip() if match else ""
