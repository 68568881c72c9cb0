"""What can be wrong with an arm, a user, a poster or a table: each has an outcome that is logged, and none of it
changes what happens to anybody else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, act, click, people
from poster_examples import film, picture

from memagent.agents.ab.agent.poster_files import PosterFiles
from memagent.agents.ab.agent.posters import PosterSource
from memagent.agents.ab.arms.registry import KINDS, arm_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.events import Visit
from memagent.agents.ab.experiment import Experiment, Outcome
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.policy import Decision, Draw, Interview, Observation, Summary
from memagent.agents.ab.ratings import split
from memagent.agents.ab.report import report_of
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.storing import read_events
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_catalogue, load_tables
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.errors import ArmFailed, InvalidInput

GOOD = IDS[:8]
LAYOUT = Layout(page_size=4, max_pages=2)
BAD = "u1"


def broken(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


def stumbling() -> Iterator[str]:
    yield "i1"
    raise OSError("the service is gone")


OUTCOMES: dict[str, tuple[Callable[[], Any], dict[str, int], str]] = {
    "nothing": (list, {"short": 8}, "nothing_shown"),
    "fewer than asked": (lambda: ["i1", "i2"], {"short": 6}, "end_of_list"),
    "more than asked": (lambda: [*GOOD, "i8", "i9"], {}, "end_of_list"),
    "the same all the time": (lambda: ["i1"] * 8, {"duplicates": 7, "short": 7}, "end_of_list"),
    "an endless list": (lambda: itertools.repeat("i1"), {"duplicates": 7, "short": 7}, "end_of_list"),
    "unknown items": (lambda: ["x", "y", *GOOD[:6]], {"unknown": 2, "short": 2}, "end_of_list"),
    "unknown items alone": (lambda: list("abcdefgh"), {"unknown": 8, "short": 8}, "nothing_shown"),
    "items the user knows": (lambda: ["i11", *GOOD[:7]], {"known": 1, "short": 1}, "end_of_list"),
    "all of it": (
        lambda: ["i11", "i1", "i1", "x"],
        {"known": 1, "duplicates": 1, "unknown": 1, "short": 7},
        "end_of_list",
    ),
    "numbers": (lambda: [1, 2.5, None], {"unknown": 3, "short": 8}, "nothing_shown"),
    "one word": (lambda: "i1", {"unknown": 2, "short": 8}, "nothing_shown"),
    "no list": (lambda: 7, {"failed": 1}, "arm_failed"),
    "an exception": (broken(ZeroDivisionError("x")), {"failed": 1}, "arm_failed"),
    "an exception of our own": (broken(ArmFailed("no order", hint="wait")), {"failed": 1}, "arm_failed"),
    "too deep a recursion": (broken(RecursionError()), {"failed": 1}, "arm_failed"),
    "half a list": (stumbling, {"failed": 1}, "arm_failed"),
}


def trial(arm: Any, policy: Any = None, **settings: Any) -> Experiment:
    given: dict[str, Any] = {
        "catalogue": CATALOGUE,
        "users": people(4),
        "layout": LAYOUT,
        "fatigue": Fatigue(enabled=False),
    }
    policy = policy or Scripted([click(1), act(Kind.BACK), act(Kind.NEXT)])
    return Experiment(arms=[arm], policy=policy, **(given | settings))


def by_user(outcome: Outcome) -> dict[str, Visit]:
    return {visit.user: visit for visit in outcome.visits}


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_list_that_cannot_be_used_has_its_outcome_in_the_log_and_stops_nobody_else(name: str, tmp_path: Path) -> None:
    made, faults, ending = OUTCOMES[name]
    arm = FixedArm(instead=lambda user: made() if user == BAD else GOOD)
    outcome = trial(arm).run(tmp_path)
    visits, whole = by_user(outcome), by_user(trial(FixedArm(GOOD)).run())
    assert (visits[BAD].faults, visits[BAD].ending) == (faults, ending)
    assert {user: visit for user, visit in visits.items() if user != BAD} == {
        user: visit for user, visit in whole.items() if user != BAD
    }
    noted = [event for event in read_events(tmp_path) if event.event == "fault"]
    assert {event.user for event in noted} == ({BAD} if faults else set())
    assert len(noted) == len(faults)
    assert bool(report_of(outcome).warnings) == bool(faults)


def test_an_interrupt_is_no_fault_of_an_arm() -> None:
    with pytest.raises(KeyboardInterrupt):
        trial(FixedArm(instead=lambda _: broken(KeyboardInterrupt())())).run()


@pytest.fixture(scope="module")
def newcomer() -> tuple[Training, TastePolicy, list[User]]:
    """A data set and people, the last of whom nobody has ever heard of."""
    data = synthetic(users=30, items=100, seed=4)
    parts = split(data.ratings)
    ids = [*data.user_ids[:3], "nobody"]
    policy = TastePolicy.fitted(data, parts.validation)
    return Training(dataset=data, ratings=parts.train), policy, users_of(data, parts.train, ids=ids)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("fm", "deepfm", "sasrec")])
def test_a_user_without_a_history_is_served_and_marked(
    kind: str, newcomer: tuple[Training, TastePolicy, list[User]]
) -> None:
    training, policy, users = newcomer
    experiment = Experiment(
        catalogue=training.dataset.catalogue, arms=[arm_of(kind, training=training)], users=users, policy=policy
    )
    outcome = experiment.run()
    visits = by_user(outcome)
    assert [visits[user.id].cold for user in users] == [False, False, False, True]
    assert visits["nobody"].impressions > 0
    assert visits["nobody"].faults == {}
    assert any("1 users have no history" in text for text in report_of(outcome).warnings)
    alone = replace(experiment, users=users[:3]).run()
    assert {user: replace(visit, order=1) for user, visit in by_user(alone).items()} == {
        user: replace(visit, order=1) for user, visit in visits.items() if user != "nobody"
    }


class Looking(Scripted):
    """Visitors who look at every poster of the page before they leave."""

    def __init__(self, posters: PosterSource) -> None:
        super().__init__()
        self.posters = posters
        self.looked: list[str | None] = []

    def visitor(self, user: User, draw: Draw) -> Any:
        policy = self

        class Visitor:
            def decide(self, observation: Observation) -> Decision:
                page: Any = observation.page
                policy.looked += [policy.posters.image(entry.item) for entry in page.entries]
                return Decision(action=act(Kind.EXIT))

            def interview(self, summary: Summary) -> Interview:
                return Interview(satisfaction=5, returns=False)

        return Visitor()


@pytest.mark.parametrize(
    "poster", [None, "", "gone.png", "text.png", "torn.png", "http://127.0.0.1:9/x.png", "file:///etc/passwd", "\0"]
)
def test_a_poster_that_cannot_be_shown_ends_no_session(poster: str | None, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(picture())
    (tmp_path / "torn.png").write_bytes(picture()[:150])
    (tmp_path / "text.png").write_text("<html>")
    catalogue = Catalogue([film(0, "good.png"), film(1, poster), film(2, "good.png")])
    policy = Looking(PosterSource(PosterFiles(base=tmp_path)))
    outcome = trial(FixedArm(["i0", "i1", "i2"]), policy, catalogue=catalogue).run()
    assert {visit.ending for visit in outcome.visits} == {"end_of_list"}
    assert [look is None for look in policy.looked] == [False, True, False] * 4
    assert policy.posters.facts()["no poster"] == (1 if poster else 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: Catalogue([]),
        lambda folder: load_catalogue(folder / "items.csv"),
        lambda folder: load_tables(items=folder / "items.csv", ratings=folder / "ratings.csv"),
    ],
)
def test_an_empty_catalogue_is_refused_before_anything_runs(make: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title\n")
    (tmp_path / "ratings.csv").write_text("user,item,rating\n")
    with pytest.raises(InvalidInput, match="the catalogue is empty"):
        make(tmp_path)


def test_ratings_without_rows_leave_everybody_without_history(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title\na,A\nb,B\n")
    (tmp_path / "ratings.csv").write_text("user,item,rating\n")
    (tmp_path / "users.csv").write_text("id,age\nu,33\n")
    data = load_tables(**{name: tmp_path / f"{name}.csv" for name in ("items", "ratings", "users")})
    users: Sequence[User] = users_of(data, data.ratings, ids=["u"])
    assert users[0].cold
    assert users[0].profile == {"age": "33"}
    arm = arm_of("popularity", training=Training(dataset=data, ratings=data.ratings))
    outcome = trial(arm, Scripted(), catalogue=data.catalogue, users=users).run()
    assert outcome.visits[0].impressions == 2
    with pytest.raises(InvalidInput, match="no held-out"):
        TastePolicy.fitted(data, data.ratings)
