"""SMFB-DPO: which of two guidelines the small model does more with, as preference pairs for the leader.

Source: the released code of LSRP. For each task the leader writes two guidelines with the general strategy, A greedy
and B sampled; the small model answers with each; the answers get the three scores of U-U-RAG, and the same
z-normalisation, NSGA-II and knee decide which guideline is chosen. Every task gives a pair, and a tie goes to A: there
is no margin in the published rule. Beta, learning rate, epochs and rank of the published tuning are not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from memagent.agents.lsrp.cast import Cast, Progress, Scene, one, play
from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.labels import best_options
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.ports import Guard, PrivateTask, Verdict
from memagent.agents.lsrp.scenes import REFUSED, answer_to, rating, restored, what_may_leave, why_not
from memagent.agents.lsrp.scores import Scores, Unread, as_cells, counted, profile_text, udrr, zscores
from memagent.agents.lsrp.strategies import GENERAL, strategy
from memagent.errors import InvalidInput, MalformedReply, ModelRefused, UnknownName
from memagent.prompts.lsrp import leader
from memagent.prompts.lsrp_judges import judge_relevance
from memagent.tuning.pairs import PreferencePair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.prompts.prompt import Prompt

Form: TypeAlias = Literal["published", "run-time"]
FORMS: tuple[Form, ...] = ("published", "run-time")
_ROUNDING = 1e-9
_REDACTING = ProfileGuard()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackSettings:
    """How guidelines are sampled and pairs are made; the published values are the defaults.

    ``temperature``, ``top_k`` and ``top_p`` are guideline B's. The published code draws two samples and takes the
    second, which is distributed like any other: one is drawn here. ``seed`` is what the server draws it from, where it
    takes one (see :class:`~memagent.prompts.prompt.Prompt`); None: none is sent. ``margin``: pairs whose worth (z . x)
    differs by less are dropped; 0 drops none. ``form``: the prompt that a pair is over. ``published`` has neither
    worked examples nor a system message, though the leader is asked with both; ``run-time`` is the prompt that the
    leader is asked with, so that training and use agree. ``unread``: what an unknown relevance counts. ``between`` is
    that of :func:`~memagent.agents.lsrp.scores.profile_text`.
    """

    temperature: float = 0.5
    top_k: int = 2
    top_p: float = 0.9
    seed: int | None = 666
    margin: float = 0.0
    form: Form = "published"
    unread: Unread = Unread.NEUTRAL
    between: str = ": "
    evolution: Evolution = field(default_factory=Evolution)

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownName(f"form is {self.form!r}", hint=f"use one of {', '.join(FORMS)}")
        if not self.temperature > 0 or self.top_k < 2 or not 0 < self.top_p <= 1 or not self.margin >= 0:
            raise InvalidInput(
                f"temperature {self.temperature}, top_k {self.top_k}, top_p {self.top_p}, margin {self.margin}",
                hint="temperature above 0, top_k 2 or more, top_p above 0 and at most 1, margin 0 or more",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One guideline, as the leader wrote it, the answer made from it, and its scores."""

    guideline: str
    answer: str
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Both guidelines of a task. ``failed`` says why there are no ``tries``; ``prompt`` is what a pair is over."""

    task: PrivateTask
    prompt: tuple[str, str] = ("", "")
    tries: tuple[Try, ...] = ()
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feedback:
    """The pairs, in the order of their tasks, and why other tasks gave none.

    ``weights``: what the knee gives UDRR, fluency and relevance, float64 (3,). ``dropped``: tasks by reason.
    ``ties``: pairs whose guidelines are worth the same, where the greedy one is chosen; ``greedy``: pairs in which the
    greedy one is chosen, these among them. ``unrated``: answers whose relevance is not known.
    """

    pairs: tuple[PreferencePair, ...]
    weights: NDArray[np.float64]
    dropped: Mapping[str, int]
    ties: int
    greedy: int
    unrated: int


def collect_trials(
    tasks: Sequence[PrivateTask],
    cast: Cast,
    *,
    settings: FeedbackSettings | None = None,
    guard: Guard | None = _REDACTING,
    concurrency: int = 16,
    calls: Path | None = None,
    progress: Progress | None = None,
) -> list[Trial]:
    """Both guidelines of each task, answered and scored, in the order of the tasks.

    ``guard`` decides what of a task the leader sees, and so what a pair's prompt holds; with None all of it, as
    published. Each reply is kept in the file ``calls``, which holds private answers: a stopped run goes on there and
    pays for nothing again. Raises what :func:`~memagent.agents.lsrp.cast.aplay` raises, and InvalidInput without tasks.
    Not to be called from an event loop.
    """
    if not tasks:
        raise InvalidInput("there are no tasks", hint="pass one at least")
    settings = settings or FeedbackSettings()
    scenes = {str(number): trial(task, cast, settings, guard) for number, task in enumerate(tasks)}
    found = play(scenes, cast, calls=calls, concurrency=concurrency, progress=progress)
    made = []
    for number, task in enumerate(tasks):
        result = found[str(number)]
        made.append(result if isinstance(result, Trial) else Trial(task=task, failed=str(result)))
    return made


def trial(task: PrivateTask, cast: Cast, settings: FeedbackSettings, guard: Guard | None = None) -> Scene[Trial]:
    """The calls for one task: two guidelines, and for each that is new an answer and its rating."""
    checked = what_may_leave(task, guard)
    if checked.verdict is Verdict.REFUSED:
        return Trial(task=task, failed=REFUSED)
    greedy = leader(checked.text, strategy(GENERAL), task.task_type)
    drawn = replace(
        greedy,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        sample=2,
        seed=settings.seed,
    )
    try:
        first = yield from one(greedy)
        second = yield from one(drawn)
        tries = []
        for guideline in (first.value, second.value):
            made = yield from _tried(guideline, restored(guideline, checked, guard), task, cast, settings)
            tries.append(made)
    except (ModelRefused, MalformedReply) as error:
        return Trial(task=task, failed=why_not(error))
    return Trial(task=task, prompt=_prompt(checked.text, task, settings.form), tries=tuple(tries))


def _tried(guideline: str, whole: str, task: PrivateTask, cast: Cast, settings: FeedbackSettings) -> Scene[Try]:
    answer = yield from answer_to(whole, task, cast)
    profile = profile_text(task.profile, between=settings.between)
    relevance = yield from rating(judge_relevance(task.text, profile, answer.value), cast)
    scores = Scores(udrr=udrr(profile, answer.value), fluency=answer.fluency, relevance=relevance)
    return Try(guideline=guideline, answer=answer.value, scores=scores)


def feedback_of(
    trials: Sequence[Trial], *, settings: FeedbackSettings | None = None, groups: Sequence[str] | None = None
) -> Feedback:
    """The pairs of the trials. No model is asked: another margin costs nothing.

    ``groups``: a name for each trial, such as its user's, that no split of the pairs divides. Guidelines that are equal
    make no pair; their scores count in the normalisation, as published. Raises InvalidInput where no task has both
    answers, and MissingExtra where pymoo is not installed.
    """
    settings = settings or FeedbackSettings()
    if groups is not None and len(groups) != len(trials):
        raise InvalidInput(f"{len(groups)} groups for {len(trials)} tasks", hint="name a group for each task")
    named = zip(trials, groups if groups is not None else [""] * len(trials), strict=True)
    whole = [(one_trial, group) for one_trial, group in named if one_trial.tries]
    if not whole:
        why = trials[0].failed if trials else "there are no tasks"
        raise InvalidInput(f"no task has two answers: {why}", hint="see to the models")
    cells = as_cells([[one_try.scores for one_try in one_trial.tries] for one_trial, _ in whole])
    labels = best_options(cells, evolution=settings.evolution, unread=settings.unread)
    worth = np.nan_to_num(zscores(counted(cells, unread=settings.unread)), nan=0.0) @ labels.weights
    dropped = Counter(one_trial.failed for one_trial in trials if one_trial.failed)
    pairs, ties, greedy = [], 0, 0
    for place, (one_trial, group) in enumerate(whole):
        picked, apart = int(labels.picked[place]), float(labels.margins[place])
        if why := _no_pair(one_trial, apart, settings.margin):
            dropped[why] += 1
            continue
        ties += apart <= _ROUNDING
        greedy += picked == 0
        pairs.append(_pair(one_trial, picked, worth[place], group))
    return Feedback(
        pairs=tuple(pairs),
        weights=labels.weights,
        dropped=dict(dropped),
        ties=ties,
        greedy=greedy,
        unrated=int(np.isnan(cells[..., 2]).sum()),
    )


def _no_pair(one_trial: Trial, apart: float, margin: float) -> str:
    """Why two guidelines make no pair; empty if they do."""
    texts = {one_try.guideline.strip() for one_try in one_trial.tries}
    if "" in texts:
        return "an empty guideline"
    if len(texts) == 1:
        return "equal guidelines"
    return "within the margin" if apart < margin else ""


def _pair(one_trial: Trial, picked: int, worth: NDArray[np.float64], group: str) -> PreferencePair:
    instruction, asked = one_trial.prompt
    return PreferencePair(
        instruction=instruction,
        input=asked,
        chosen=one_trial.tries[picked].guideline.strip(),
        rejected=one_trial.tries[1 - picked].guideline.strip(),
        group=group,
        chosen_reward=round(float(worth[picked]), 6),
        rejected_reward=round(float(worth[1 - picked]), 6),
    )


def _prompt(text: str, task: PrivateTask, form: Form) -> tuple[str, str]:
    """System and user text of a pair over what was shown to the leader."""
    asked: Prompt[str] = leader(text, strategy(GENERAL), task.task_type, examples=form == "run-time")
    if form == "run-time":
        return asked.system, asked.user
    return "", f"{asked.system}\n\n{asked.user}"
