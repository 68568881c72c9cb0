from __future__ import annotations

import math
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, Scripted, act, click, people

from memagent.agents.ab.amounts import amount, amount_in, change, p_value
from memagent.agents.ab.experiment import Experiment, Outcome
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.report import ExperimentReport, report_of
from memagent.agents.ab.report_html import html_page
from memagent.agents.ab.report_text import markdown
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.statistics import detectable
from memagent.agents.ab.users import User

HOSTILE = '<script>alert("x")</script> | & \x1b[31m 名'


def failing(_: str) -> Sequence[str]:
    raise RuntimeError(HOSTILE)


def outcome(arms: Sequence[FixedArm], *, users: int = 30, policy: Any = None, **settings: Any) -> Outcome:
    trial = Experiment(
        catalogue=CATALOGUE,
        arms=arms,
        users=people(users),
        policy=policy or Scripted([click(1), act(Kind.BACK)]),
        fatigue=Fatigue(enabled=False),
        **settings,
    )
    return trial.run()


def pages(report: ExperimentReport, folder: Path) -> str:
    """Everything that is written of a report."""
    report.write(folder)
    return "".join((folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("json", "md", "html"))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def test_an_arm_that_failed_for_everybody_is_not_judged_worse(tmp_path: Path) -> None:
    broken, whole = FixedArm(name="new", instead=failing), FixedArm(IDS[:8], "old")
    report = report_of(outcome([whole, broken]))
    verdict = report.verdicts[0]
    assert verdict.finding == "failed"
    assert verdict.text == "new cannot be judged against old: in new the recommender failed in 30 of 30 visits."
    assert verdict.users_for_half is None
    assert "new: the recommender failed in 30 of 30 visits" in pages(report, tmp_path)
    other_way = report_of(outcome([broken, whole])).verdicts[0]
    assert (other_way.finding, other_way.arm) == ("failed", "old")
    both = report_of(outcome([broken, FixedArm([], "empty")]))
    assert "nothing could be shown in 30 of 30 visits" in both.verdicts[0].text
    assert html_page(both)


def test_an_arm_that_failed_now_and_then_is_judged_with_its_failures() -> None:
    def at_times(user: str) -> Sequence[str]:
        if user in ("u1", "u2"):
            raise KeyError(user)
        return IDS[4:8]

    report = report_of(outcome([FixedArm(IDS[:8], "old"), FixedArm(name="new", instead=at_times)]))
    assert report.verdicts[0].finding != "failed"
    assert any("failed in 2 of 30" in text for text in report.warnings)


def test_names_cannot_write_into_the_page() -> None:
    arms = [FixedArm(IDS[:8], HOSTILE), FixedArm(IDS[4:8], f"b{HOSTILE}")]
    report = report_of(outcome(arms), title=HOSTILE, offline={HOSTILE: {"ndcg@20": 0.5}})
    tags = Tags()
    tags.feed(html_page(report))
    assert "script" not in tags.found
    rows = [line for line in markdown(report).splitlines() if line.startswith("|")]
    assert all("<script" not in row for row in rows)
    head, _, *table = rows[:11]
    assert {row.count("|") - row.count("\\|") for row in (head, *table)} == {4}


@pytest.mark.parametrize("users", [1, 2])
def test_a_metric_that_nobody_has_in_both_arms_is_no_finding(users: int, tmp_path: Path) -> None:
    found = outcome([FixedArm(IDS[:8], "old"), FixedArm(IDS[:8], "new")], users=users)
    verdict = report_of(found, primary="ar").verdicts[0]
    assert verdict.finding == "open"
    assert verdict.text == "new cannot be compared with old: 0 users have the average rating in both arms."
    assert "nan" not in pages(report_of(found, primary="ar"), tmp_path)
    assert "nan" not in report_of(found).verdicts[0].text


def test_a_verdict_allows_for_all_arms_in_what_it_says_could_have_been_found() -> None:
    # Everybody opens the first item; the new lists are longer for some users and shorter for others.
    def by(number: int) -> FixedArm:
        return FixedArm(
            name=f"new {number}", instead=lambda user: IDS[: 4 + (int(user[1:]) * 7 + number) % 3] if user else IDS
        )

    two, many = (report_of(outcome([FixedArm(IDS[:5], "old"), *map(by, range(n))])) for n in (1, 4))
    verdict, other = two.verdicts[0], many.verdicts[0]
    d, strict = two.differences[0], detectable(30, spread=two.differences[0].spread, alpha=0.05 / 4)
    assert verdict.finding == other.finding == "open"
    assert f"a difference of {change(d.metric, d.detectable).lstrip('+')} is found" in verdict.text
    assert f"a difference of {change(d.metric, strict).lstrip('+')} is found" in other.text


@pytest.mark.parametrize(("users", "arms", "can"), [(5, 2, False), (6, 2, True), (6, 3, False)])
def test_a_verdict_of_too_few_users_says_that_they_can_show_nothing(users: int, arms: int, can: bool) -> None:
    lists = [FixedArm(IDS[: 5 + n], f"arm {n}") for n in range(arms)]
    verdict = report_of(outcome(lists, users=users, policy=Scripted())).verdicts[0]
    assert ("found four times out of five" in verdict.text) is can
    assert verdict.text.endswith("So few users can show none, however large it is.") is not can


def test_one_arm_alone_has_figures_and_no_verdict(tmp_path: Path) -> None:
    report = report_of(outcome([FixedArm(IDS[:8], "only")]))
    assert not report.verdicts
    assert "only" in pages(report, tmp_path)


def test_a_test_that_could_stop_early_says_what_its_tables_are_worth() -> None:
    found = outcome([FixedArm(IDS[:8], "old"), FixedArm(IDS[4:8], "new")], users=40, stopping=Stopping(least=100))
    report = report_of(found)
    assert report.verdicts[0].text == (
        "Nothing is decided about new and old: 40 users have the click-through rate in both arms, and 100 are needed."
    )
    assert any("look surer than they are" in text for text in report.warnings)
    assert report.as_dict()["sequence"]["new"]["low"] is None


def test_nothing_is_decided_before_enough_users_have_the_metric_in_both_arms() -> None:
    class Choosy(Scripted):
        """Only one user in three rates, more in one arm."""

        def visitor(self, user: User, draw: Any) -> Any:
            watches = [click(1), act(Kind.WATCH)] if int(user.id[1:]) % 3 == 0 else [act(Kind.EXIT)]
            return Scripted(watches).visitor(user, draw)

    arms = [FixedArm(IDS[:8], "old"), FixedArm(IDS[4:8], "new")]
    found = outcome(arms, users=60, policy=Choosy(), stopping=Stopping(metric="cvr", least=25))
    report = report_of(found, primary="cvr")
    assert not found.stopped_early
    assert "20 users have the conversion rate in both arms, and 25 are needed" in report.verdicts[0].text


def test_figures_as_people_read_them() -> None:
    assert (amount("ctr", 0.3069), amount("clicks", 3.28), amount("ar", math.nan)) == ("30.7 %", "3.280", "-")
    assert amount_in("cvr", 0.5, 0.25, 0.75) == "50.0 % [25.0, 75.0]"
    assert amount_in("depth", 1.0, 0.5, 1.5) == "1.000 [0.500, 1.500]"
    assert (change("ctr", -0.01234), change("clicks", 0.5), change("ctr", math.inf)) == ("-1.23 points", "+0.5000", "-")
    assert change("ctr", 0.01, unit=False) == "+1.00"
    assert (p_value(0.0004), p_value(0.0391), p_value(math.nan)) == ("< 0.001", "0.039", "-")
