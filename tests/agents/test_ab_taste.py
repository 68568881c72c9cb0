from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ab_examples import FixedArm

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.calibration import Trial, calibrate, folded, mean_clicks, targets_of_log
from memagent.agents.ab.experiment import Experiment, replayed
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.keys import key_of
from memagent.agents.ab.metrics import table
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.policy import Draw, Observation
from memagent.agents.ab.ratings import Dataset, Split, split
from memagent.agents.ab.sandbox import Layout, Sandbox
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.taste import Habits, TastePolicy
from memagent.agents.ab.users import User, users_of
from memagent.errors import InvalidInput


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic(users=200, items=160, seed=2)


@pytest.fixture(scope="module")
def parts(data: Dataset) -> Split:
    return split(data.ratings)


@pytest.fixture(scope="module")
def policy(data: Dataset, parts: Split) -> TastePolicy:
    return TastePolicy.fitted(data, parts.validation)


@pytest.fixture(scope="module")
def users(data: Dataset, parts: Split) -> list[User]:
    return users_of(data, parts.train)


def chosen_by(data: Dataset, parts: Split) -> dict[str, list[str]]:
    return {user: sorted(items) for user, items in data.items_of(parts.validation).items()}


def test_interest_is_the_held_out_rating_where_there_is_one(
    data: Dataset, parts: Split, policy: TastePolicy, users: list[User]
) -> None:
    attraction, interest = policy.taste(users[0])
    rows = parts.validation.users == 0
    assert interest[parts.validation.items[rows]].tolist() == parts.validation.ratings[rows].tolist()
    assert ((interest >= 1) & (interest <= 5)).all()
    liked = parts.validation.items[rows & (parts.validation.ratings >= 4)]
    assert attraction[liked].mean() > 3 * attraction.mean()


def test_somebody_without_ratings_likes_what_many_like(data: Dataset, parts: Split, policy: TastePolicy) -> None:
    attraction, _ = policy.taste(User(id="stranger"))
    chosen = np.log1p(np.bincount(parts.validation.items, minlength=len(data.catalogue)))
    assert np.corrcoef(attraction, chosen)[0, 1] > 0.5
    with pytest.raises(InvalidInput, match="no held-out"):
        TastePolicy.fitted(data, parts.validation.rows(np.zeros(0, dtype=np.int64)))


def test_more_of_what_users_like_on_the_list_means_more_clicks_watches_and_better_ratings(
    data: Dataset, parts: Split, policy: TastePolicy, users: list[User]
) -> None:
    liked = {
        data.user_ids[user]: [data.catalogue.ids[item] for item in parts.validation.items[
            (parts.validation.users == user) & (parts.validation.ratings >= 4)]]
        for user in range(len(data.user_ids))
    }  # fmt: skip

    def mixed(share: int) -> FixedArm:
        def of(user: str) -> list[str]:
            random = np.random.default_rng(key_of(user))
            others = [item for item in data.catalogue.ids if item not in liked[user]]
            drawn = [str(item) for item in random.permutation(others)]
            return [liked[user].pop() if n % share == 0 and liked[user] else drawn[n] for n in range(20)]

        return FixedArm(name=f"1:{share - 1}", instead=of)

    ctr, ar = [], []
    for share in (10, 5, 2):
        kept = {user: list(items) for user, items in liked.items()}
        trial = Experiment(catalogue=data.catalogue, arms=[mixed(share)], users=users, policy=policy)
        _, values = table(trial.run().visits, arms=[trial.arms[0].name], metrics=["ctr", "ar"], possible=1)
        ctr.append(float(values[:, 0, 0].mean()))
        ar.append(float(np.nanmean(values[:, 0, 1])))
        liked.update(kept)
    assert ctr == sorted(ctr)
    assert ar == sorted(ar)
    assert ctr[2] > 1.3 * ctr[0]


def test_the_way_to_a_page_does_not_change_what_is_done_on_it(
    data: Dataset, policy: TastePolicy, users: list[User]
) -> None:
    site = Sandbox(data.catalogue, layout=Layout(page_size=8), fatigue=Fatigue(enabled=False))
    page, _ = site.reset(options={"items": data.catalogue.ids})
    draw = Draw(seed=3, key=[key_of(users[1].id)])
    first, second = policy.visitor(users[1], draw), policy.visitor(users[1], draw)
    first.decide(Observation(page=page))
    assert first.decide(Observation(page=page)) == second.decide(Observation(page=page))


def test_items_further_down_a_page_are_clicked_less(data: Dataset, parts: Split, users: list[User]) -> None:
    policy = TastePolicy.fitted(data, parts.validation, habits=Habits(position_bias=1.0))
    arm = trained(recipe_of("random"), Training(dataset=data, ratings=parts.train))
    trial = Experiment(catalogue=data.catalogue, arms=[arm], users=users, policy=policy)
    clicks = np.zeros(4)
    for user in users:
        for event in replayed(trial, user.id) if user.id in {"u0", "u1"} else ():
            assert event.position is None or 1 <= event.position <= 4
    for block in (trial.sessions(user, 0) for user in users):
        for event in block.events:
            if event.event == Kind.CLICK and event.position:
                clicks[event.position - 1] += 1
    assert clicks[0] > 2 * clicks[3]


def test_budgets_are_found_that_make_other_users_click_as_often_as_wanted(
    data: Dataset, parts: Split, policy: TastePolicy, users: list[User]
) -> None:
    arm = trained(recipe_of("item-knn"), Training(dataset=data, ratings=parts.train))
    level = [replace(user, traits=user.traits._replace(activity=2)) for user in users]
    trial = Trial(catalogue=data.catalogue, arm=arm, users=level[:60], policy=policy, seeds=(0, 1))
    found = calibrate(trial, targets={2: 2.5})
    assert found.reached[2] == pytest.approx(2.5, abs=0.03)
    assert found.users == {2: 60}
    other = replace(trial, users=level[100:], seeds=(7, 8, 9))
    assert mean_clicks(other.visits(found.fatigue))[2] == pytest.approx(2.5, rel=0.08)
    with pytest.raises(InvalidInput, match="visitors leave after"):
        calibrate(replace(trial, users=level[:5]), targets={2: 39.0})
    with pytest.raises(InvalidInput, match="switched off"):
        calibrate(trial, fatigue=Fatigue(enabled=False))


def test_in_folds_every_user_is_counted_once_with_budgets_fitted_on_others(
    data: Dataset, parts: Split, policy: TastePolicy, users: list[User]
) -> None:
    arm = trained(recipe_of("popularity"), Training(dataset=data, ratings=parts.train))
    trial = Trial(catalogue=data.catalogue, arm=arm, users=users[:20], policy=policy, seeds=(0,))
    targets = {1: 2.0, 2: 2.0, 3: 2.0}
    found = list(folded(trial, folds=2, seeds=(5, 6), targets=targets))
    counted = [visit.user for _, visits in found for visit in visits]
    assert sorted(counted) == sorted([user.id for user in users[:20]] * 2)
    for fitted, visits in found:
        part = {visit.user for visit in visits}
        others = [user for user in users[:20] if user.id not in part]
        assert fitted == calibrate(replace(trial, users=others), targets=targets)
    with pytest.raises(InvalidInput, match="1 folds"):
        list(folded(trial, folds=1, seeds=(0,)))


def test_targets_come_from_a_real_log(users: list[User]) -> None:
    known = [replace(users[n], traits=users[n].traits._replace(activity=n + 1)) for n in range(2)]
    log = [(users[0].id, 2), (users[0].id, 4), (users[1].id, 6), ("stranger", 99)]
    assert targets_of_log(log, known) == {1: 3.0, 2: 6.0}
    with pytest.raises(InvalidInput, match="no visit"):
        targets_of_log([("stranger", 1)], known)
