from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ab_examples import FixedArm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.ratings import Ratings, Split, split
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.taste import Habits, TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.agents.ab.validation.activity import activity, moments
from memagent.agents.ab.validation.alignment import alignment, auc, cases, scores
from memagent.agents.ab.validation.errors import errors
from memagent.agents.ab.validation.fields import DrawnTies
from memagent.agents.ab.validation.findings import Finding, Table
from memagent.agents.ab.validation.judges import Described, ModelJudge, TasteJudge
from memagent.agents.ab.validation.lists import liked_items, mixed, positives_of, taste, unrated_items
from memagent.agents.ab.validation.order import order
from memagent.agents.ab.validation.report import ValidationReport
from memagent.agents.ab.validation.setting import Setting
from memagent.agents.ab.validation.shares import data_shares
from memagent.agents.ab.validation.trend_tables import said_of
from memagent.agents.ab.validation.trends import agreement, pages_test, trend
from memagent.errors import InvalidInput, MalformedReply, ModelDenied, UnknownName
from memagent.evals.ab.validating import judge_of
from memagent.prompts.ab_judging import Taken
from memagent.testing import ScriptedModel


def a_setting(*, users: int = 80, policy: TastePolicy | None = None) -> tuple[Setting, Split]:
    data = synthetic(users=users, items=160, seed=2)
    parts = split(data.ratings)
    everybody = users_of(data, parts.train)
    experiment = Experiment(
        catalogue=data.catalogue,
        arms=[FixedArm(list(data.catalogue.ids))],
        users=everybody,
        policy=policy or TastePolicy.fitted(data, parts.validation),
    )
    return Setting(dataset=data, parts=parts, experiment=experiment, everybody=everybody), parts


@pytest.fixture(scope="module")
def built() -> tuple[Setting, Split]:
    return a_setting()


@pytest.fixture(scope="module")
def setting(built: tuple[Setting, Split]) -> Setting:
    return built[0]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), users=st.integers(3, 12), k=st.integers(3, 5))
def test_pages_test_is_scipys_where_nothing_is_tied(seed: int, users: int, k: int) -> None:
    values = np.random.default_rng(seed).normal(size=(users, k)) + 0.3 * np.arange(k)
    expected = stats.page_trend_test(values, method="asymptotic")
    statistic, p = pages_test(values)
    assert statistic == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, abs=1e-9)


def test_pages_test_allows_for_ties() -> None:
    random = np.random.default_rng(3)
    rejected = [pages_test(random.integers(0, 3, size=(80, 3)).astype(float))[1] <= 0.05 for _ in range(600)]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.025)
    assert pages_test(np.ones((5, 3)))[1] == 1.0


def test_a_trend_is_told_with_its_steps_over_those_who_have_all_conditions() -> None:
    random = np.random.default_rng(4)
    rise = np.asarray([0.0, 0.5, 0.52])
    values = random.normal(size=(60, 1)) + rise + 0.4 * random.normal(size=(60, 3))
    values[:10, 1] = np.nan
    found = trend(values, metric="ctr", conditions=["a", "b", "c"])
    kept = values[10:]
    assert found.users == 50
    assert found.means == pytest.approx(kept.mean(axis=0))
    assert found.slope.mean == pytest.approx(np.polyfit([0, 1, 2], kept.T, 1)[0].mean())
    assert found.rises == (found.monotone and found.p <= 0.05)
    assert found.p < 0.001
    assert found.steps[0].p_holm <= 0.05
    assert found.unsure_steps == ["b to c"]
    assert not trend(-values, metric="ctr", conditions=["a", "b", "c"]).rises
    nothing = trend(np.full((4, 3), np.nan), metric="ar", conditions=["a", "b", "c"])
    assert (nothing.users, nothing.rises, nothing.p) == (0, False, 1.0)
    assert said_of([nothing]) == "ar is defined in all conditions for nobody"
    with pytest.raises(InvalidInput, match="two or more"):
        trend(values[:, :1], metric="ctr", conditions=["a"])


def test_the_agreement_of_two_orders_draws_users_of_both_together() -> None:
    random = np.random.default_rng(5)
    names = [f"u{n}" for n in range(40)]
    clear = random.normal(size=(40, 1)) * 0.1 + np.arange(4)
    found = agreement((names, clear), (names[:20], clear[:20] ** 3), resamples=200)
    assert (found.tau, found.low, found.high) == (1.0, 1.0, 1.0)
    blurred = random.normal(size=(40, 4)) * 3 + 0.2 * np.arange(4)
    blurred[:5, 0] = np.nan
    unsure = agreement((names, clear), (names, blurred), resamples=200)
    assert unsure.low < unsure.tau + 1e-9 <= unsure.high + 1e-9
    assert unsure.low < 0.9
    assert agreement((names, clear), (names, -clear), resamples=50).tau == -1.0


def test_arms_of_known_quality_come_out_in_order_and_the_chain_is_tested(setting: Setting) -> None:
    arms = [setting.arm(recipe_of(kind), name=kind) for kind in ("random", "popularity", "item-knn")]
    ready = replace(setting, experiment=replace(setting.experiment, arms=arms))
    kinds = {arm.name: arm.name for arm in arms}
    found = order(ready, kinds)
    assert list(found.figures["steps"]) == ["random < popularity", "popularity < item-knn"]
    assert found.figures["steps"]["random < popularity"]["difference"] > 0
    assert found.figures["ndcg@20"]["random"] < found.figures["ndcg@20"]["popularity"]
    assert set(found.figures["tau"]) == {"ctr", "cvr", "ar"}
    with pytest.raises(InvalidInput, match="random, popularity"):
        order(ready, {**kinds, "random": "svd"})


def test_a_larger_share_holds_the_rows_of_a_smaller_one_and_users_know_the_same(setting: Setting) -> None:
    asked: list[float] = []

    def rows_of(share: float) -> Ratings:
        asked.append(share)
        return split(setting.dataset.ratings, data_share=share).train

    found = data_shares(setting, [("popularity", recipe_of("popularity"), 0)], [0.2, 1.0], rows_of)
    assert asked == [0.2, 1.0]
    few, all_ = (set(zip(rows.users.tolist(), rows.items.tolist(), strict=True)) for rows in map(rows_of, (0.2, 1.0)))
    assert few < all_
    assert set(found.figures["popularity"]["ctr"]["means"]) == {"20%", "100%"}
    with pytest.raises(InvalidInput, match="rising"):
        data_shares(setting, [], [1.0, 0.5], rows_of)


class Halves:
    """Two scores only: items of the second half of the catalogue are better."""

    kind = "halves"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> dict[str, np.ndarray]:
        return {}

    def scores(self, weights: object, training: Training) -> Callable[[str], np.ndarray]:
        return lambda user: np.repeat([0.5, 1.5], training.items // 2)


def test_equal_scores_are_put_in_an_order_of_each_users_own(setting: Setting, built: tuple[Setting, Split]) -> None:
    training = Training(dataset=setting.dataset, ratings=built[1].train)
    drawn = DrawnTies(recipe=Halves()).scores({}, training)  # type: ignore[arg-type]
    first, again, other = drawn("u0"), drawn("u0"), drawn("u1")
    assert first.tolist() == again.tolist()
    assert sorted(first) == list(range(160))
    assert max(first[:80]) < min(first[80:])
    assert abs(np.corrcoef(first[:80], other[:80])[0, 1]) < 0.4
    arm = setting.arm(DrawnTies(recipe=Halves()), name="halves")  # type: ignore[arg-type]
    assert arm.recommend("u0", 3, ()) != arm.recommend("u1", 3, ())


def test_the_lists_of_a_user_differ_only_where_a_positive_stands_for_a_negative(setting: Setting) -> None:
    liked = liked_items(setting, setting.dataset.ratings)["u0"]
    lists = mixed(setting, "u0", liked, 10, [9, 4, 1])
    assert [sum(item in liked for item in made) for made in lists] == [1, 2, 5]
    for smaller, larger in pairwise(lists):
        for here, there in zip(smaller, larger, strict=True):
            assert here == there or there in liked
    rated = {setting.dataset.catalogue.ids[item]
             for item in setting.dataset.ratings.items[setting.dataset.ratings.users == 0]}  # fmt: skip
    assert set(unrated_items(setting, "u0")) == set(setting.dataset.catalogue.ids) - rated
    assert len(unrated_items(setting, "stranger")) == 160
    assert [positives_of(20, ratio) for ratio in (9, 4, 1, 99)] == [2, 4, 10, 1]


def test_what_users_like_is_clicked_more_the_more_of_it_there_is(
    setting: Setting, built: tuple[Setting, Split]
) -> None:
    found = taste(setting, "validation", built[1].validation, items=6, users=60)
    means = list(found.figures["ctr"]["means"].values())
    assert means == sorted(means)
    assert found.figures["ctr"]["page_p"] < 0.001
    assert "took part" in found.notes[0]
    nobody = taste(setting, "test", built[1].test, items=60, users=5)
    assert nobody.holds is None
    assert "nobody likes 30 items" in nobody.came


def test_scores_of_a_list_by_hand() -> None:
    liked = [True, True, False, False, False]
    assert scores(liked, [True, False, True, False, False]) == pytest.approx([0.6, 0.5, 0.5, 0.5, 0.5 - 1 / 3])
    assert scores(liked, [False] * 5) == [0.6, 0.0, 0.0, 0.0, 0.0]
    assert scores(liked, [True] * 5) == pytest.approx([0.4, 0.4, 1.0, 4 / 7, 0.0])
    assert auc(liked, [3.0, 1.0, 2.0, 1.0, 0.0]) == pytest.approx((3 + 1.5) / 6)
    assert math.isnan(auc(liked, None))


@dataclass
class Answering:
    """Says yes to the items named, or to all, or to none."""

    yes: set[str] | bool
    name: str = "answering"

    def judge(self, given_cases: Sequence[tuple[User, Sequence[Item]]]) -> list[list[bool]]:
        return [
            [self.yes if isinstance(self.yes, bool) else item.id in self.yes for item in items]
            for _, items in given_cases
        ]


def test_lists_of_the_alignment_test_have_one_liked_item_for_m_unrated(
    setting: Setting, built: tuple[Setting, Split]
) -> None:
    everything = liked_items(setting, setting.dataset.ratings)
    liked = {"u1": everything["u1"][:3], "u2": everything["u2"][:1]}
    order_ = [user.id for user in setting.everybody if user.id in liked]
    for ratio, positives in ((1, 3), (2, 2), (5, 1)):
        made = cases(setting, liked, ratio=ratio, items=6, users=10)
        assert [case.user.id for case in made] == [user for user in order_ if len(liked[user]) >= positives]
        assert sum(made[0].liked) == positives
        assert len(made[0].items) == positives * (1 + ratio)
        for item, truth in zip(made[0].items, made[0].liked, strict=True):
            assert (item.id in liked["u1"]) == truth
    parts = {"validation": built[1].validation}
    agreeable = alignment(setting, Answering(yes=True), parts, users=20, ratios=[1, 9], items=10)
    assert agreeable.holds is False
    row = agreeable.figures["validation"]["1:9"]
    assert (row["recall"]["mean"], row["precision"]["mean"]) == (1.0, pytest.approx(0.1))
    assert row["above chance"]["mean"] == 0.0
    assert agreeable.tables[0].rows[1][6] == "-"  # no AUC for a judge without grades
    knowing = alignment(setting, judge_of(setting.experiment.policy), parts, users=20, ratios=[1], items=6)
    assert knowing.holds is True
    assert knowing.figures["validation"]["1:1"]["AUC"]["mean"] > 0.9
    nobody = alignment(setting, Answering(yes=True), parts, users=20, ratios=[1], items=200)
    assert (nobody.holds, nobody.tables) == (None, ())


def test_a_taste_says_yes_above_its_click_threshold(setting: Setting) -> None:
    policy = setting.experiment.policy
    assert isinstance(policy, TastePolicy)
    judge = TasteJudge(policy=policy)
    user, items = setting.everybody[0], setting.dataset.catalogue.items
    attraction, _ = policy.taste(user)
    assert judge.judge([(user, items)])[0] == (attraction > 0.5).tolist()
    eager = TastePolicy.fitted(setting.dataset, setting.parts.validation, habits=Habits(threshold=-9.0))
    assert all(TasteJudge(policy=eager).judge([(user, items)])[0])


def offered(setting: Setting, number: int) -> list[tuple[User, list[Item]]]:
    return [(user, list(setting.dataset.catalogue.items[:4])) for user in setting.everybody[:number]]


def test_a_model_names_the_numbers_that_it_takes(setting: Setting) -> None:
    model = ScriptedModel([Taken(taken=[1, 4, 9]), Taken(taken=[])])
    judge = ModelJudge(model, lambda user: Described(profile={"age": "30"}, taste=f"likes what {user.id} likes"))
    assert judge.judge(offered(setting, 2)) == [[True, False, False, True], [False] * 4]
    assert "likes what u1 likes" in model.prompts[1].user


def test_a_list_without_a_usable_answer_counts_as_nothing_taken_and_no_other_list_suffers(setting: Setting) -> None:
    broken = MalformedReply("no list", reason="no-json", text="")
    judge = ModelJudge(ScriptedModel([broken, broken, Taken(taken=[2])]), lambda user: Described())
    assert judge.judge(offered(setting, 2)) == [[False] * 4, [False, True, False, False]]
    assert judge.failures == 1
    with pytest.raises(ModelDenied):
        ModelJudge(ScriptedModel([ModelDenied("no key")]), lambda user: Described()).judge(offered(setting, 1))


def test_a_policy_that_nothing_is_known_of_has_no_judge() -> None:
    class Strange:
        name = "strange"

    with pytest.raises(UnknownName, match="strange"):
        judge_of(Strange())  # type: ignore[arg-type]


def test_mean_and_skewness_are_those_of_all_visits() -> None:
    clicks = np.random.default_rng(6).poisson(2.0, size=(50, 3)).astype(float)
    mean, skewed = moments(clicks, resamples=300)
    assert mean.mean == pytest.approx(clicks.mean())
    assert skewed.mean == pytest.approx(float(stats.skew(clicks.ravel())))
    assert skewed.low < skewed.mean < skewed.high
    assert moments(np.ones((5, 2)), resamples=20)[1] == (0.0, 0.0, 0.0)


def test_activity_is_judged_on_users_and_seeds_that_were_not_used_to_calibrate(setting: Setting) -> None:
    arm = setting.arm(recipe_of("item-knn"), name="item-knn")
    said: list[str] = []
    found, spread = activity(
        replace(setting, say=said.append), arm, targets={1: 1.5}, users=30, seeds=(0,), other_seeds=(9,)
    )
    assert said == ["activity: calibrating on 30 users", "activity: 40 other users"]
    level = found.figures["low"]
    assert level["off"] == pytest.approx(level["clicks"]["mean"] / 1.5 - 1)
    assert spread.holds == (abs(level["skewness"]["mean"]) < 0.5)
    assert level["users"] == sum(user.traits.activity == 1 for user in setting.everybody[40:])


def test_the_rates_of_errors_come_from_a_pool_of_two_visits_to_one_arm(setting: Setting) -> None:
    arm = setting.arm(recipe_of("popularity"), name="popularity")
    found = errors(setting, arm, users=40, repetitions=60, planted=20)
    assert found.figures["pool"] == 80
    assert 0 <= found.figures["false_alarms"] <= 0.2
    powers = [row["found"] for row in found.figures["power"].values()]
    assert powers[0] < powers[-1]
    with pytest.raises(InvalidInput, match="pool of 80"):
        errors(setting, arm, users=81, repetitions=1)
    rated = errors(setting, arm, metric="ar", users=20, repetitions=60, planted=20)
    assert 20 <= rated.figures["pool"] < 80, "those who rated something on both visits"
    assert rated.figures["false_alarms"] <= 0.25


def test_the_report_says_for_each_angle_what_was_expected_what_came_and_whether_it_holds(tmp_path: Path) -> None:
    findings = [
        Finding(angle="a", expected="up", came="up", holds=True, tables=[Table(title="T", rows=[["x|y"], ["1"]])]),
        Finding(
            angle="b", expected="up", came="down", holds=False, notes=["why"], figures={"p": math.nan, "n": (1, 2)}
        ),
        Finding(angle="c", expected="up", came="who knows", holds=None),
    ]
    report = ValidationReport(title="Report", facts={"seed": 0}, findings=findings)
    report.write(tmp_path)
    page = (tmp_path / "validation.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| ")][2:5] == [
        "| a | yes | up |", "| b | no | down |", "| c | open | who knows |",
    ]  # fmt: skip
    assert "x\\|y" in page
    assert "What this cannot tell" in page
    stored = json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))
    assert stored["findings"][1]["figures"] == {"p": None, "n": [1, 2]}
    assert stored["findings"][2]["holds"] is None
