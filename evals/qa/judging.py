"""Which judge asks what, and how its reply is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from memagent.errors import InvalidInput, UnknownName
from memagent.llm.flow import Steps, asked
from memagent.prompts.judges import (
    LONGMEMEVAL_TYPES,
    Verdict,
    judge_locomo,
    judge_longmemeval,
    judge_memgas,
    says_bracketed_yes,
    says_yes,
)

if TYPE_CHECKING:
    from memagent.evals.datasets.cases import Dataset, Question
    from memagent.prompts.prompt import Prompt

Criteria = Literal["longmemeval", "locomo", "memgas"]
CRITERIA: tuple[Criteria, ...] = get_args(Criteria)

_USUAL: dict[str, Criteria] = {"longmemeval": "longmemeval", "demo": "longmemeval", "locomo": "locomo"}
_NOT_SAID = "The conversation does not say. An answer that sounds right and is wrong: {answer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an answer is right; ``right`` None: the judge's reply says neither. ``reply`` is that reply."""

    right: bool | None
    reply: str


def criteria_for(dataset: Dataset, wanted: Criteria | None) -> Criteria:
    """The criteria to judge by: those wanted, else the data set's own.

    Raises :class:`UnknownName` for criteria that do not exist, InvalidInput where the data set does not fit.
    """
    if wanted is None:
        return _USUAL.get(dataset.name, "memgas")
    if wanted not in CRITERIA:
        raise UnknownName(f"no judge has the criteria {wanted!r}", hint=f"use one of {', '.join(CRITERIA)}")
    if wanted == "longmemeval":
        strange = sorted({question.type for question in dataset.questions} - set(LONGMEMEVAL_TYPES))
        if strange:
            raise InvalidInput(
                f"LongMemEval's criteria go by its types of questions, {dataset.name} has {', '.join(strange)}",
                hint="use the criteria locomo or memgas",
            )
    return wanted


def judge_steps(question: Question, response: str, criteria: Criteria, *, unanswerable: bool) -> Steps[Judgement]:
    """Ask a judge. ``unanswerable``: right is to say that it is not known.

    MemGAS's judge has no criterion for that, and compares with LongMemEval's explanation as with any answer; a trap is
    no answer to compare with, and what is not to fall into it is judged by LongMemEval's criterion, whatever the
    criteria.
    """
    prompt = _prompt(question, response, criteria, unanswerable=unanswerable)
    reply = yield from asked(prompt)
    return Judgement(right=_right(prompt, reply.value), reply=reply.text.strip())


def _prompt(question: Question, response: str, criteria: Criteria, *, unanswerable: bool) -> Prompt[Any]:
    trap = unanswerable and not question.abstention  # LoCoMo's adversarial answers; LongMemEval's say why there is none
    if criteria == "memgas" and not trap:
        return judge_memgas(question.text, question.answer, response)
    if unanswerable:
        gold = _NOT_SAID.format(answer=question.answer) if trap else question.answer
        return judge_longmemeval(question.text, gold, response, kind=question.type, abstention=True)
    if criteria == "locomo":
        return judge_locomo(question.text, question.answer, response)
    return judge_longmemeval(question.text, question.answer, response, kind=question.type)


def _right(prompt: Prompt[Any], value: object) -> bool | None:
    if isinstance(value, Verdict):
        return value.label == "CORRECT"
    text = str(value)
    return says_bracketed_yes(text) if prompt.name == "judge-memgas" else says_yes(text)
