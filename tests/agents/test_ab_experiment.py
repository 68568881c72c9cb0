from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, act, click, people, rate

from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.events import Event, Visit
from memagent.agents.ab.experiment import BLOCK, Experiment, replayed
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.pages import Action, Kind
from memagent.agents.ab.policy import Draw
from memagent.agents.ab.ratings import split
from memagent.agents.ab.report import report_of
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.storing import read_events
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.transcript import lines
from memagent.agents.ab.users import User, users_of
from memagent.errors import BudgetExceeded, DataError, DuplicateId, InvalidInput, ModelUnavailable

CLICKS = (click(1), act(Kind.WATCH), rate(4), act(Kind.BACK), click(3), act(Kind.BACK), act(Kind.NEXT))
FREE = Fatigue(enabled=False)


def experiment(arms: Sequence[Any] = (), *, policy: Any = None, users: int = 3, **settings: Any) -> Experiment:
    return Experiment(
        catalogue=CATALOGUE,
        arms=arms or [FixedArm(IDS[:11], "a"), FixedArm(IDS[10::-1], "b")],
        users=people(users),
        policy=policy or Scripted(CLICKS),
        fatigue=FREE,
        **settings,
    )


def visits_of(arm: FixedArm, **settings: Any) -> tuple[Visit, ...]:
    return experiment([arm], **settings).run().visits


def test_counts_of_a_visit() -> None:
    visit = visits_of(FixedArm(IDS[:11]), layout=Layout(page_size=4, max_pages=2))[0]
    assert (visit.impressions, visit.views, visit.pages) == (8, 2, 2)
    assert (visit.clicks, visit.watches, visit.ratings, visit.steps) == (2, 1, (4,), 8)
    assert (visit.ending, visit.satisfaction, visit.faults) == ("end_of_list", 3, {})


def test_the_same_users_come_to_every_arm_and_the_order_goes_round() -> None:
    arms = [FixedArm(IDS[:11], name) for name in "abc"]
    visits = experiment(arms, users=6).run().visits
    orders = {(visit.user, visit.arm): visit.order for visit in visits}
    assert len(orders) == 18
    for arm in "abc":
        assert sorted(orders[f"u{n}", arm] for n in range(6)) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("arm", "faults", "shown", "ending"),
    [
        (FixedArm(["i1", "i1", "i2"]), {"duplicates": 1, "short": 38}, 2, "end_of_list"),
        (FixedArm(["i1", "nobody", "i2"]), {"unknown": 1, "short": 38}, 2, "end_of_list"),
        (FixedArm(["i11", "i2"]), {"known": 1, "short": 39}, 1, "end_of_list"),
        (FixedArm(["nobody"]), {"unknown": 1, "short": 40}, 0, "nothing_shown"),
        (FixedArm([]), {"short": 40}, 0, "nothing_shown"),
        (FixedArm(instead=lambda _: 1 / 0), {"failed": 1}, 0, "arm_failed"),  # type: ignore[arg-type, return-value]
        (FixedArm(instead=lambda _: None), {"failed": 1}, 0, "arm_failed"),  # type: ignore[arg-type, return-value]
    ],
)
def test_a_misbehaving_arm_has_an_outcome_that_is_logged(
    arm: FixedArm, faults: dict[str, int], shown: int, ending: str
) -> None:
    trial = experiment([arm], policy=Scripted())
    visits = trial.run().visits
    assert len(visits) == 3
    assert {(visit.ending, visit.impressions) for visit in visits} == {(ending, shown)}
    assert visits[0].faults == faults
    events = list(replayed(trial, "u0"))
    assert [event.event for event in events].count("fault") == len(faults)
    assert report_of(trial.run()).warnings


def test_an_arm_that_fails_for_one_user_stops_nobody_else() -> None:
    def choosy(user: str) -> list[str]:
        if user == "u1":
            raise KeyError(user)
        return IDS[:8]

    visits = {visit.user: visit for visit in visits_of(FixedArm(instead=choosy))}
    assert visits["u1"].ending == "arm_failed"
    assert visits["u0"].clicks == visits["u2"].clicks == 2


def test_what_is_not_possible_is_asked_again_once_and_then_clamped() -> None:
    policy = Scripted([click(9), click(2), act(Kind.BACK), click(9), click(9)])
    visit = visits_of(FixedArm(IDS[:3]), policy=policy, users=1)[0]
    assert (visit.clicks, visit.asked_again, visit.clamped, visit.ending) == (1, 2, 1, "end_of_list")
    assert policy.problems[0] == "position 9 cannot be clicked; possible are 1, 2, 3"


class Silent(Scripted):
    """Has no answer for all but one."""

    error: Exception = ModelUnavailable("no model", hint="start one")

    def visitor(self, user: User, draw: Draw) -> Any:
        if user.id == "u1":
            return super().visitor(user, draw)

        class Visitor:
            def decide(_, observation: object) -> Any:  # noqa: N805
                raise self.error

        return Visitor()


def test_a_policy_without_an_answer_ends_its_own_session_only() -> None:
    visits = visits_of(FixedArm(IDS[:8]), policy=Silent())
    assert sorted(visit.ending for visit in visits) == ["chose", "policy_failed", "policy_failed"]


def test_a_run_that_is_out_of_money_stops() -> None:
    policy = Silent()
    policy.error = BudgetExceeded("spent", hint="give more")
    with pytest.raises(BudgetExceeded):
        visits_of(FixedArm(IDS[:8]), policy=policy)


def test_a_policy_that_leaves_at_once_or_never_stops_is_reported() -> None:
    restless = Scripted([act(Kind.NEXT), act(Kind.PREVIOUS)] * 50)
    outcome = experiment(policy=restless, layout=Layout(max_steps=9)).run()
    assert {visit.ending for visit in outcome.visits} == {"step_limit"}
    assert any("does not stop" in text for text in report_of(outcome).warnings)
    leaving = experiment(policy=Scripted()).run()
    assert any("leaves at once" in text for text in report_of(leaving).warnings)


def test_who_comes_again_is_not_shown_what_they_watched() -> None:
    trial = experiment([FixedArm(IDS[:11])], policy=Scripted(CLICKS, returns=True), users=1, visits=3)
    events = list(replayed(trial, "u0"))
    assert [event.item for event in events if event.event == "watch"] == ["i0", "i1", "i2"]
    assert {event.visit for event in events} == {0, 1, 2}
    assert len(visits_of(FixedArm(IDS[:11]), visits=3)) == 3


def test_events_read_as_a_transcript() -> None:
    told = "\n".join(lines(replayed(experiment(), "u0"), CATALOGUE))
    assert "u0 visits a (visit 1" in told
    assert "rate, 'Film 0' at place 1 of page 1, rating 4" in told


class Interrupted(Experiment):
    """Is cut off before one user."""

    def sessions(self, user: User, number: int) -> Any:
        if number == BLOCK + 3:
            raise KeyboardInterrupt
        return Experiment.sessions(self, user, number)


def copied(trial: Experiment, kind: type[Experiment]) -> Experiment:
    return kind(**{name: getattr(trial, name) for name in trial.__dataclass_fields__})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_was_cut_off_ends_with_the_same_bytes(tmp_path: Path) -> None:
    trial = experiment(users=2 * BLOCK + 5)
    whole = trial.run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        copied(trial, Interrupted).run(tmp_path / "cut")
    assert (tmp_path / "cut" / "parts" / "000000.jsonl").exists()
    resumed = trial.run(tmp_path / "cut")
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")
    assert sorted(contents(tmp_path / "whole")) == [
        "events.jsonl", "events.parquet", "experiment.json", "visits.jsonl",
    ]  # fmt: skip
    assert resumed.visits == whole.visits == trial.run(tmp_path / "whole").visits


def test_the_log_holds_what_a_replay_makes_again(tmp_path: Path) -> None:
    trial = experiment()
    trial.run(tmp_path)
    logged = [event.as_json() for event in read_events(tmp_path, user="u1")]
    assert logged == [event.as_json() for event in replayed(trial, "u1")]
    assert {event.arm for event in read_events(tmp_path, arm="b")} == {"b"}


def test_parquet_and_json_lines_hold_the_same_events(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    experiment().run(tmp_path)
    rows = pq.read_table(tmp_path / "events.parquet").to_pylist()
    assert [Event(**row) for row in rows] == list(read_events(tmp_path))


def test_a_folder_with_another_experiment_is_refused(tmp_path: Path) -> None:
    experiment().run(tmp_path)
    with pytest.raises(InvalidInput, match="another experiment: with other seed \\(name"):
        experiment(seed=1).run(tmp_path)
    with pytest.raises(InvalidInput, match="another experiment: with other data, arms"):
        experiment(label="other rows").run(tmp_path)
    facts = json.loads((tmp_path / "experiment.json").read_text())
    (tmp_path / "experiment.json").write_text(json.dumps({**facts, "posters": "red"}))
    with pytest.raises(InvalidInput, match="another experiment: with other posters, seed"):
        experiment(seed=1).run(tmp_path)
    (tmp_path / "experiment.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        experiment().run(tmp_path)


def test_two_runs_at_once_do_not_play_the_same_users(tmp_path: Path) -> None:
    refused = 0

    def another() -> None:
        nonlocal refused
        with pytest.raises(InvalidInput, match="another run"):
            experiment().run(tmp_path)
        refused += 1

    whole = experiment().run(tmp_path, after=another).visits
    assert refused == 1
    assert experiment().run(tmp_path).visits == whole


def test_a_run_that_is_killed_while_it_removes_its_parts_plays_nobody_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        next(path.iterdir()).unlink()
        raise KeyboardInterrupt

    asked: list[str] = []

    def noted(user: str) -> list[str]:
        asked.append(user)
        return list(IDS[:11])

    arm = FixedArm(instead=noted)
    with monkeypatch.context() as patched:
        patched.setattr("memagent.agents.ab.storing.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            experiment([arm], block=1).run(tmp_path)
    logs = {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    assert len(asked) == 3
    experiment([arm], block=1).run(tmp_path)
    assert len(asked) == 3
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == logs


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        experiment().run("/dev/null/run")


def test_an_experiment_needs_users_arms_and_names_of_their_own() -> None:
    with pytest.raises(InvalidInput, match="needs users"):
        experiment(users=0)
    with pytest.raises(InvalidInput, match="arm 'fixed' takes part twice"):
        experiment([FixedArm(), FixedArm()])
    with pytest.raises(InvalidInput, match="cannot be compared"):
        experiment([FixedArm()], stopping=Stopping())
    with pytest.raises(InvalidInput, match="empty"):
        Catalogue([])
    with pytest.raises(DuplicateId):
        Catalogue([CATALOGUE["i1"], CATALOGUE["i1"]])
    with pytest.raises(InvalidInput, match="not in this experiment"):
        replayed(experiment(), "nobody")


def test_an_experiment_stops_as_soon_as_its_answer_is_sure(tmp_path: Path) -> None:
    arms = [FixedArm(IDS[:8], "long"), FixedArm(IDS[:4], "short")]  # 2 clicks of 4 and of 8 seen
    trial = experiment(arms, users=8 * BLOCK, stopping=Stopping(least=2 * BLOCK, tuned_for=50))
    outcome = trial.run(tmp_path)
    assert outcome.stopped_early
    assert len({visit.user for visit in outcome.visits}) == 2 * BLOCK
    again = trial.run(tmp_path)
    assert (again.visits, again.stopped_early) == (outcome.visits, True)
    report = report_of(outcome)
    assert report.verdicts[0].finding == "better"
    assert "confidence sequence" in report.verdicts[0].text
    with pytest.raises(InvalidInput, match="watched ctr"):
        report_of(outcome, primary="ar")


def test_common_random_numbers_give_equal_arms_equal_sessions_and_others_not() -> None:
    data = synthetic(users=40, items=120)
    parts = split(data.ratings)
    policy = TastePolicy.fitted(data, parts.validation)
    ids = list(data.catalogue.ids)
    arms = [FixedArm(ids, "a"), FixedArm(ids, "b")]
    trial = Experiment(catalogue=data.catalogue, arms=arms, users=users_of(data, parts.train), policy=policy)
    visits = trial.run().visits
    sides = [{visit.user: visit.clicks for visit in visits if visit.arm == arm} for arm in "ab"]
    assert sides[0] == sides[1]
    apart = replace(trial, common_random_numbers=False).run().visits
    assert {v.user: v.clicks for v in apart if v.arm == "a"} != {v.user: v.clicks for v in apart if v.arm == "b"}


def test_an_action_is_logged_with_its_cost_and_reason() -> None:
    event = next(e for e in replayed(replace(experiment(), fatigue=Fatigue()), "u0") if e.event == "click")
    assert (event.cost, event.note, event.position, event.item) == (2.0, "as told", 1, event.item)
    assert Event.of_json(event.as_json()) == event
    with pytest.raises(DataError):
        Event.of_json('{"user": 1}')
    assert Action(kind=Kind.EXIT).interest == 3.0
