"""A run in which nobody can be played is stopped, keeps nothing of it, and can be made again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, click, people

from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.policy import Draw
from memagent.agents.ab.unplayed import UNPLAYED
from memagent.agents.ab.users import User
from memagent.errors import EncoderError, ModelRefused, Stopped


@dataclass
class Partial(Scripted):
    """Has no answer for some users."""

    refusing: frozenset[str] = field(default_factory=frozenset)

    def visitor(self, user: User, draw: Draw) -> Any:
        if user.id not in self.refusing:
            return super().visitor(user, draw)

        class Mute:
            def decide(_, observation: object) -> Any:  # noqa: N805
                raise ModelRefused("no such parameter", hint="see its server")

        return Mute()


def trial(*refusing: str, users: int = 26, **settings: Any) -> Experiment:
    policy = Partial([click(1)], refusing=frozenset(refusing))
    defaults: dict[str, Any] = {"arms": [FixedArm(IDS[:4])], "block": 1}
    return Experiment(catalogue=CATALOGUE, users=people(users), policy=policy, **{**defaults, **settings})


def ids(number: int) -> list[str]:
    """The first so many users in the order of the trial."""
    return [user.id for user in trial().in_order()[:number]]


def log(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("users", [3, 26])
def test_a_model_that_refuses_everybody_stops_the_run_which_can_be_made_again(
    users: int, concurrency: int, tmp_path: Path
) -> None:
    everybody = [user.id for user in people(users)]
    with pytest.raises(Stopped, match=rf"{min(users, UNPLAYED)} users in a row .*no such parameter"):
        trial(*everybody, users=users, concurrency=concurrency).run(tmp_path / "run")
    trial(users=users).run(tmp_path / "run")
    trial(users=users).run(tmp_path / "whole")
    assert log(tmp_path / "run") == log(tmp_path / "whole")


def test_a_model_that_refuses_everybody_from_some_user_on_stops_the_run_after_those_before(tmp_path: Path) -> None:
    later = [user.id for user in trial().in_order()[5:]]
    with pytest.raises(Stopped, match=f"{UNPLAYED} users"):
        trial(*later).run(tmp_path / "run")
    assert len(list((tmp_path / "run" / "parts").iterdir())) == 5
    trial().run(tmp_path / "run")
    trial().run(tmp_path / "whole")
    assert log(tmp_path / "run") == log(tmp_path / "whole")


@pytest.mark.parametrize("block", [1, 4, 25])
def test_some_users_who_cannot_be_played_are_an_outcome_also_in_a_row(block: int) -> None:
    few = ids(UNPLAYED - 1)
    outcome = trial(*few, block=block).run()
    assert {visit.user for visit in outcome.visits if visit.ending == "policy_failed"} == set(few)
    last = [user.id for user in trial().in_order()[-(UNPLAYED - 1) :]]
    assert len(trial(*last, block=block).run().visits) == 26


def test_arms_that_fail_everybody_are_an_outcome() -> None:
    def broken(_: str) -> Any:
        raise RuntimeError("down")

    outcome = trial(arms=[FixedArm(instead=broken)]).run()
    assert {visit.ending for visit in outcome.visits} == {"arm_failed"}
    both = [FixedArm(instead=broken, name="broken"), FixedArm(IDS[:4])]
    with pytest.raises(Stopped):
        trial(*[user.id for user in people(26)], arms=both).run()


def test_what_is_missing_for_everybody_stops_the_run_too() -> None:
    class Blind(Scripted):
        def visitor(self, user: User, draw: Draw) -> Any:
            class Visitor:
                def decide(_, observation: object) -> Any:  # noqa: N805
                    raise EncoderError("no weights of CLIP", hint="download them")

            return Visitor()

    with pytest.raises(Stopped, match="no weights of CLIP"):
        replace(trial(), policy=Blind()).run()


def test_a_run_says_when_a_block_is_done() -> None:
    done: list[None] = []
    trial(users=7, block=2).run(after=lambda: done.append(None))
    assert len(done) == 4
