"""From the file of a validation to its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.offline import evaluate
from memagent.agents.ab.ratings import Ratings, joined, split
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import users_of
from memagent.agents.ab.validation.activity import activity
from memagent.agents.ab.validation.alignment import alignment
from memagent.agents.ab.validation.bandits import across_logs, logs_of, made_up, winner
from memagent.agents.ab.validation.errors import errors
from memagent.agents.ab.validation.fields import features
from memagent.agents.ab.validation.findings import Finding
from memagent.agents.ab.validation.judges import Described, Judge, ModelJudge, TasteJudge
from memagent.agents.ab.validation.lists import taste
from memagent.agents.ab.validation.order import order
from memagent.agents.ab.validation.report import ValidationReport
from memagent.agents.ab.validation.setting import Setting
from memagent.agents.ab.validation.shares import data_shares
from memagent.errors import ModelTimeout, ModelUnavailable, Stopped, UnknownName
from memagent.evals.ab.running import Prepared, Say, prepare
from memagent.evals.ab.validating_config import ANGLES, Validation

if TYPE_CHECKING:
    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.policy import Policy
    from memagent.agents.ab.users import User

_LOGS = "validation-runs"
_MIXED = 7  # of the order in which users are halved
_SAMPLE = 300  # users by whom the best arm is found


@dataclass(frozen=True)
class Suite:
    """The angles of one file, ready to run."""

    config: Validation
    prepared: Prepared
    setting: Setting
    base: Path

    def run(self, angle: str) -> list[Finding]:
        """The findings of an angle (see :data:`ANGLES`)."""
        angles: Mapping[str, Callable[[], list[Finding]]] = {
            "model": self._model,
            "data": self._data,
            "features": self._features,
            "taste": self._taste,
            "activity": self._activity,
            "alignment": self._alignment,
            "errors": self._errors,
            "off-policy": self._off_policy,
        }
        return angles[angle]()

    @cached_property
    def best(self) -> Arm:
        """The arm with the highest nDCG@20, over a sample of users."""
        parts, dataset = self.setting.parts, self.setting.dataset
        known = dataset.items_of(joined(parts.train, parts.validation))
        users = {user.id for user in self.setting.everybody[:_SAMPLE]}
        arms = self.setting.experiment.arms
        return max(arms, key=lambda arm: float(
            evaluate(arm, dataset, parts.test, known=known, users=users).ndcg.mean()))  # fmt: skip

    def _model(self) -> list[Finding]:
        return [order(self.setting, {arm.name or arm.kind: arm.kind for arm in self.config.arms})]

    def _data(self) -> list[Finding]:
        wanted, by = self.config.shares, self.config.split
        recipes = [(arm.name or arm.kind, recipe_of(arm.kind, arm.parameters), arm.seed) for arm in wanted.arms]

        def rows_of(share: float) -> Ratings:
            return split(self.setting.dataset.ratings, by=by.by, seed=by.seed, data_share=share * by.data_share).train

        return [data_shares(self.setting, recipes, wanted.shares, rows_of)]

    def _features(self) -> list[Finding]:
        wanted = self.config.features
        recipe: Any = recipe_of(wanted.kind, wanted.parameters)
        return [features(self.setting, recipe, seed=wanted.seed)]

    def _taste(self) -> list[Finding]:
        wanted = self.config.taste
        parts = self._held_out(wanted.parts)
        return [taste(self.setting, part, rows, items=wanted.items, users=wanted.users) for part, rows in parts.items()]

    def _activity(self) -> list[Finding]:
        wanted = self.config.activity
        arm = self._arm(wanted.arm)
        return [*activity(self.setting, arm, targets=wanted.targets, users=wanted.users, folds=wanted.folds)]

    def _alignment(self) -> list[Finding]:
        wanted = self.config.alignment
        judge = judge_of(self.setting.experiment.policy, after=self.prepared.usage.note)
        parts = self._held_out(wanted.parts)
        return [alignment(self.setting, judge, parts, users=wanted.users, ratios=wanted.ratios, items=wanted.items)]

    def _errors(self) -> list[Finding]:
        wanted = self.config.errors
        return [
            errors(self.setting, self._arm(wanted.arm), metric=self.config.primary, users=wanted.users,
                   repetitions=wanted.repetitions, planted=wanted.planted)
        ]  # fmt: skip

    def _off_policy(self) -> list[Finding]:
        wanted, seed = self.config.off_policy, self.config.seed
        self.setting.say(f"off-policy: {wanted.repetitions} made-up logs")
        found = [made_up(repetitions=wanted.repetitions, seed=seed)]
        if wanted.path is not None:
            self.setting.say("off-policy: Open Bandit")
            logs = {campaign: logs_of(self.base / wanted.path, campaign) for campaign in wanted.campaigns}
            found += [across_logs(logs, clip=wanted.clip, seed=seed), winner(logs, seed=seed)]
        return found

    def _held_out(self, names: Sequence[str]) -> dict[str, Ratings]:
        parts = self.setting.parts
        return {name: parts.test if name == "test" else parts.validation for name in names}

    def _arm(self, name: str | None) -> Arm:
        if name is None:
            return self.best
        arm = next((arm for arm in self.setting.experiment.arms if arm.name == name), None)
        if arm is None:
            raise UnknownName(f"there is no arm {name!r} in the file", hint="name one of its arms")
        return arm


def suite_of(config: Validation, folder: Path, *, base: Path, cache: Path, say: Say) -> Suite:
    """Load, split and train; logs go to a folder in ``folder``."""
    prepared = prepare(config, base=base, cache=cache, say=say, out=folder)
    everybody = users_of(prepared.dataset, prepared.parts.train)
    mixed = np.random.default_rng([config.seed, _MIXED]).permutation(len(everybody)).tolist()
    setting = Setting(
        dataset=prepared.dataset,
        parts=prepared.parts,
        experiment=prepared.experiment,
        everybody=[everybody[place] for place in mixed],
        folder=folder / _LOGS,
        cache=cache,
        say=say,
        after=prepared.usage.note,
    )
    return Suite(config=config, prepared=prepared, setting=setting, base=base)


def report_on(suite: Suite, angles: Sequence[str]) -> ValidationReport:
    """Run these angles, in the order of :data:`ANGLES`; one that cannot be measured says so.

    Raises Stopped where the policy's budget is spent, or its model does not answer.
    """
    try:
        with suite.prepared.usage.spending():
            found = [finding for angle in ANGLES if angle in angles for finding in suite.run(angle)]
    except (ModelUnavailable, ModelTimeout) as error:
        raise Stopped(error.message, hint="see to its server, and run the same command to resume") from error
    setting, experiment = suite.setting, suite.setting.experiment
    facts = {
        "data set": setting.dataset.name,
        "users": len(experiment.users),
        "policy": experiment.policy.name,
        "arms": ", ".join(arm.name for arm in experiment.arms),
        "seed": setting.seed,
        **({"models": used} if (used := suite.prepared.usage.told()) else {}),
    }
    return ValidationReport(title=suite.config.title, facts=facts, findings=found)


def chosen_angles(text: str | None) -> list[str]:
    """The angles in a list separated by commas; all for None. Raises UnknownName."""
    if text is None:
        return list(ANGLES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ANGLES:
            raise UnknownName(f"there is no angle {name!r}", hint=f"one of {', '.join(ANGLES)}")
    return names or list(ANGLES)


def judge_of(policy: Policy, *, after: Callable[[], None] = lambda: None) -> Judge:
    """Who says yes or no as this policy's users would; a model calls ``after`` on its way.

    Raises UnknownName for a policy that nothing is known of.
    """
    if isinstance(policy, TastePolicy):
        return TasteJudge(policy=policy)
    from memagent.agents.ab.agent.policy import AgentPolicy
    from memagent.prompts.ab import CONFORMITY, DIVERSITY

    if not isinstance(policy, AgentPolicy):
        raise UnknownName(f"no judge is known for the policy {policy.name!r}", hint="leave the angle alignment out")

    def describe(user: User) -> Described:
        who = policy.persona(user)
        habits = (DIVERSITY[who.diversity], CONFORMITY[who.conformity])
        return Described(profile=dict(who.profile), habits=habits, taste=who.taste)

    return ModelJudge(policy.model, describe, name=policy.name, after=after)
