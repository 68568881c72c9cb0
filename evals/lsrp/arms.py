"""The ways of writing that are run: under each strategy, by a sketch, on the device alone, by the leader alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.calls import Said
from memagent.agents.lsrp.cast import Cast, Progress, Scene, one, play
from memagent.agents.lsrp.messages import GuidelineRequest
from memagent.agents.lsrp.ports import Checked, Guard, Verdict
from memagent.agents.lsrp.scenes import REFUSED, answer_to, rating, restored, what_may_leave, why_not
from memagent.agents.lsrp.scores import Scores, udrr
from memagent.agents.lsrp.strategies import GENERAL, STYLES, strategy
from memagent.errors import InvalidInput, MalformedReply, ModelRefused
from memagent.evals.lsrp.data import LsrpCase
from memagent.evals.lsrp.leakage import leakage
from memagent.prompts.lsrp import alone, general_plan, leader, leader_alone, sketch
from memagent.prompts.lsrp_judges import judge_personalization, judge_relevance

if TYPE_CHECKING:
    from memagent.prompts.prompt import Prompt

ALONE, LEADER_ALONE, SKETCH = "alone", "leader-alone", "sketch"
STRATEGIES = (*STYLES, GENERAL)
ARMS = (*STRATEGIES, ALONE, LEADER_ALONE, SKETCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one way of writing made of one case.

    ``sent``: the bodies of the messages that left the device; ``crossed`` of the user's ``private`` facts can be read
    from them. ``fluency`` is the small model's; None for the leader's own text. ``relevance`` and ``personalization``,
    0 to 10, are None where nobody judged or the reply could not be read. ``tokens``: sent and received, by role.
    ``failed`` says why there is no answer; what was sent before is told then too.
    """

    case: str
    arm: str
    answer: str = ""
    guideline: str = ""
    verdict: str = ""
    sent: tuple[str, ...] = ()
    crossed: int = 0
    private: int = 0
    udrr: float = 0.0
    fluency: float | None = None
    relevance: float | None = None
    personalization: float | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    failed: str = ""

    @property
    def scores(self) -> Scores:
        """The scores by which styles are chosen."""
        return Scores(udrr=self.udrr, fluency=self.fluency, relevance=self.relevance)

    @property
    def leaked(self) -> float:
        """The share of the private facts that crossed; 0 where nothing is private."""
        return self.crossed / self.private if self.private else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def run_arms(
    cases: Sequence[LsrpCase],
    arms: Iterable[str],
    cast: Cast,
    *,
    guard: Guard | None = None,
    concurrency: int = 16,
    calls: Path | None = None,
    progress: Progress | None = None,
) -> dict[tuple[str, str], Made]:
    """Each case written once in each way, by (case, arm).

    Every reply is kept in the file ``calls``: see :func:`~memagent.agents.lsrp.cast.aplay`, also for what is raised.
    Raises InvalidInput where there is no case, and where no case is answered at all.
    """
    wanted = list(dict.fromkeys(arms))
    scenes = {f"{case.id}/{arm}": arm_scene(case, arm, cast, guard) for case in cases for arm in wanted}
    if not scenes:
        raise InvalidInput("there is nothing to write", hint="pass cases, and name a system at least")
    found = play(scenes, cast, calls=calls, concurrency=concurrency, progress=progress)
    made = {}
    for case in cases:
        for arm in wanted:
            result = found[f"{case.id}/{arm}"]
            made[case.id, arm] = result if isinstance(result, Made) else Made(case=case.id, arm=arm, failed=str(result))
    if all(one_made.failed for one_made in made.values()):
        first = next(iter(made.values()))
        raise InvalidInput(f"nothing was answered: {first.failed}", hint="see to the models")
    return made


def arm_scene(case: LsrpCase, arm: str, cast: Cast, guard: Guard | None) -> Scene[Made]:
    """The calls of one way of writing one case: leader, small model and judge, as far as it has them."""
    task, private = case.task, Made(case=case.id, arm=arm)
    checked = Checked(verdict=Verdict.PASSED, text="") if arm == ALONE else what_may_leave(task, guard)
    refused = checked.verdict is Verdict.REFUSED
    if refused and arm == LEADER_ALONE:
        return replace(private, failed=REFUSED)
    sent = () if refused or arm == ALONE else (_body(checked.text, arm, case),)
    leaked = leakage([(task, sent)]).facts
    private = replace(
        private,
        verdict="" if arm == ALONE else checked.verdict.value,
        sent=sent,
        crossed=leaked.crossed,
        private=leaked.private,
    )
    try:
        written = yield from _written(case, arm, checked, cast, guard)
        rated = yield from _rated(case, written.answer, cast)
    except (ModelRefused, MalformedReply) as error:
        return replace(private, failed=why_not(error))
    return replace(
        written,
        verdict=private.verdict,
        sent=sent,
        crossed=leaked.crossed,
        private=leaked.private,
        udrr=udrr(case.profile, written.answer),
        relevance=rated[0],
        personalization=rated[1],
    )


def _body(text: str, arm: str, case: LsrpCase) -> str:
    """What goes up: the message of LSRP; the other ways send the same task."""
    name = arm if arm in STRATEGIES else GENERAL
    request = GuidelineRequest(task=text, strategy=name, task_type=case.task.task_type)
    return json.dumps(request.to_json(), ensure_ascii=False)


def _written(case: LsrpCase, arm: str, checked: Checked, cast: Cast, guard: Guard | None) -> Scene[Made]:
    task, made = case.task, Made(case=case.id, arm=arm)
    if arm == ALONE:
        said = yield from one(replace(alone(task), logprobs=cast.logprobs))
        return replace(made, answer=said.value, fluency=said.fluency, tokens={"device": _tokens(said)})
    if arm == LEADER_ALONE:
        said = yield from one(leader_alone(checked.text, task.task_type))
        return replace(made, answer=restored(said.value, checked, guard), tokens={"leader": _tokens(said)})
    if checked.verdict is Verdict.REFUSED:  # the device goes on alone, as in use
        guideline, spent = general_plan(task.task_type), {}
    else:
        plan = yield from one(_request(checked.text, arm, case))
        guideline, spent = restored(plan.value, checked, guard), {"leader": _tokens(plan)}
    said = yield from answer_to(guideline, task, cast)
    return replace(
        made,
        answer=said.value,
        guideline=guideline,
        fluency=said.fluency,
        tokens={**spent, "device": _tokens(said)},
    )


def _request(text: str, arm: str, case: LsrpCase) -> Prompt[str]:
    kind = case.task.task_type
    return sketch(text, kind) if arm == SKETCH else leader(text, strategy(arm), kind)


def _rated(case: LsrpCase, answer: str, cast: Cast) -> Scene[tuple[float | None, float | None]]:
    relevance = yield from rating(judge_relevance(case.task.text, case.profile, answer), cast)
    personalization = yield from rating(judge_personalization(case.task.text, case.profile, answer), cast)
    return relevance, personalization


def _tokens(said: Said[str]) -> int:
    return said.usage.input + said.usage.output
