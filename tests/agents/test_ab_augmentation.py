from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ab_examples import FixedArm
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.machines import FM, DeepFM, fit_on_labels, pair_scores
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.auc import auc, over_seeds, over_users
from memagent.agents.ab.augmentation import augmented, drawn_like, faithful, simulated
from memagent.agents.ab.events import Event
from memagent.agents.ab.experiment import Experiment, replayed
from memagent.agents.ab.ratings import Dataset, Ratings, split
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.taste import TastePolicy
from memagent.agents.ab.users import users_of
from memagent.errors import InvalidInput

DATA = synthetic(users=20, items=100)
PARTS = split(DATA.ratings)
TRAINING = Training(dataset=DATA, ratings=PARTS.train)
KNOWN = DATA.items_of(PARTS.train)
FREE = [item for item in DATA.catalogue.ids if item not in KNOWN["u0"] and item not in KNOWN["u1"]]


def event(kind: str, item: str, *, user: str = "u0", rating: int | None = None, arm: str = "a") -> Event:
    return Event(user=user, arm=arm, visit=0, step=0, event=kind, item=item, rating=rating)


def told(rows: Ratings) -> list[tuple[str, str, float]]:
    ids = DATA.catalogue.ids
    return [
        (DATA.user_ids[user], ids[item], rating)
        for user, item, rating in zip(rows.users.tolist(), rows.items.tolist(), rows.ratings.tolist(), strict=True)
    ]


def test_clicks_and_views_of_a_log_become_rows() -> None:
    a, b, c = FREE[:3]
    known = next(iter(KNOWN["u0"]))
    log = [
        event("impression", c), event("click", a), event("click", known), event("click", "no such item"),
        event("click", a, user="stranger"), event("watch", a), event("rate", a, rating=2), event("click", b),
        event("watch", b), event("click", b, arm="b"), event("click", b, user="u1"),
        Event(user="u0", arm="a", visit=0, step=1, event="interview", rating=9),
    ]  # fmt: skip
    assert told(simulated(log, TRAINING, kind="clicks")) == [("u0", a, 4.0), ("u0", b, 4.0), ("u1", b, 4.0)]
    assert told(simulated(log, TRAINING, kind="views")) == [("u0", a, 2.0), ("u0", b, 4.0)]
    assert len(simulated([], TRAINING, kind="views")) == 0
    with pytest.raises(InvalidInput, match="clicks or views"):
        simulated(log, TRAINING, kind="likes")  # type: ignore[arg-type]


def test_the_filter_keeps_what_the_reference_ranks_within_the_limit() -> None:
    rows = simulated([event("click", item) for item in FREE[:6]], TRAINING, kind="clicks")
    reference = FixedArm([*sorted(KNOWN["u0"]), *FREE[3:9]])
    kept = faithful(rows, reference, TRAINING, limit=len(KNOWN["u0"]) + 2)
    assert told(rows.rows(kept)) == [("u0", item, 4.0) for item in FREE[3:5]]
    with pytest.raises(InvalidInput, match="rank limit of 0"):
        faithful(rows, reference, TRAINING, limit=0)


def test_the_control_has_as_many_rows_a_user_none_twice_and_none_of_training() -> None:
    log = [event("click", item, user=user) for user in ("u0", "u1") for item in FREE[:15]]
    rows = simulated(log, TRAINING, kind="clicks")
    control = drawn_like(rows, TRAINING, seed=3)
    assert np.bincount(control.users).tolist() == np.bincount(rows.users).tolist()
    pairs = {(user, item) for user, item, _ in told(control)}
    assert len(pairs) == len(rows)
    assert not any(item in KNOWN[user] for user, item in pairs)
    assert pairs != {(user, item) for user, item, _ in told(rows)}
    assert told(drawn_like(rows, TRAINING, seed=3)) == told(control)


def test_added_rows_come_after_what_their_user_did_and_any_arm_learns_from_them() -> None:
    rows = simulated([event("click", item) for item in FREE[:9]], TRAINING, kind="clicks")
    more = augmented(PARTS.train, rows)
    assert len(more) == len(PARTS.train) + 9
    assert more.times is not None
    assert PARTS.train.times is not None
    own = more.times[more.users == 0]
    assert (np.diff(own[-10:]) > 0).all()
    assert (more.times[: len(PARTS.train)] == PARTS.train.times).all()
    counts = Training(dataset=DATA, ratings=more).counts() - TRAINING.counts()
    assert sorted(DATA.catalogue.ids[item] for item in np.flatnonzero(counts)) == sorted(FREE[:9])
    untimed = augmented(replace(PARTS.train, times=None), rows)
    assert untimed.times is None


def in_the_sandbox(data: Dataset) -> list[Event]:
    """Every event of a run with a learned arm, and the rows that a learned reference lets through."""
    parts = split(data.ratings)
    training = Training(dataset=data, ratings=parts.train)
    experiment = Experiment(
        catalogue=data.catalogue,
        arms=[trained(recipe_of("item-knn"), training)],
        users=users_of(data, parts.train),
        policy=TastePolicy.fitted(data, parts.validation),
    )
    return [event for user in data.user_ids for event in replayed(experiment, user)]


def test_no_test_rating_has_a_part_in_what_is_simulated() -> None:
    """Test ratings are all turned round: nothing of the log, nor of the rows, changes."""
    found = in_the_sandbox(DATA)
    place = {(user, item) for user, item in zip(PARTS.test.users.tolist(), PARTS.test.items.tolist(), strict=True)}
    rows = DATA.ratings
    tested = np.asarray([pair in place for pair in zip(rows.users.tolist(), rows.items.tolist(), strict=True)])
    other = replace(DATA, ratings=replace(rows, ratings=np.where(tested, 6 - rows.ratings, rows.ratings)))
    assert in_the_sandbox(other) == found
    reference = trained(recipe_of("svd"), TRAINING)
    elsewhere = Training(dataset=other, ratings=split(other.ratings).train)
    for kind in ("clicks", "views"):
        here = simulated(found, TRAINING, kind=kind)
        there = simulated(found, elsewhere, kind=kind)
        assert here.fingerprint() == there.fingerprint()
        kept = faithful(here, reference, TRAINING, limit=30)
        assert 0 < kept.sum() < len(here)
        assert (kept == faithful(there, trained(recipe_of("svd"), elsewhere), elsewhere, limit=30)).all()


@pytest.mark.parametrize(
    "recipe", [FM(epochs=12, factors=4, learning_rate=0.05), DeepFM(epochs=12, factors=4, learning_rate=0.05)]
)
def test_a_click_model_learns_labels(recipe: FM | DeepFM) -> None:
    rows = PARTS.train
    liked = (rows.items % 2).astype(np.float64)  # an item is liked by everybody or by nobody
    weights = fit_on_labels(recipe, TRAINING, liked, seed=0)
    test = PARTS.test
    scores = pair_scores(recipe, weights, TRAINING, test.users, test.items)
    assert auc(scores, (test.items % 2).astype(np.float64)) > 0.9
    whole = recipe.scores(weights, TRAINING)(DATA.user_ids[int(test.users[0])])
    assert scores[0] == pytest.approx(whole[test.items[0]], abs=1e-5)
    assert (pair_scores(recipe, fit_on_labels(recipe, TRAINING, liked, seed=0), TRAINING, test.users, test.items)
            == scores).all()  # fmt: skip
    with pytest.raises(InvalidInput, match="labels for"):
        fit_on_labels(recipe, TRAINING, liked[1:], seed=0)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_the_share_of_pairs_in_the_right_order(made: list[tuple[int, bool]]) -> None:
    scores = np.asarray([score for score, _ in made], dtype=np.float64)
    labels = np.asarray([label for _, label in made], dtype=np.float64)
    if labels.min() == labels.max():
        with pytest.raises(InvalidInput):
            auc(scores, labels)
        return
    won = [(a > b) + (a == b) / 2 for a in scores[labels > 0] for b in scores[labels == 0]]
    assert auc(scores, labels) == pytest.approx(np.mean(won))


def test_the_area_agrees_with_scikit_learn_and_refuses_what_is_no_number() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(2)
    labels = (random.random(500) < 0.3).astype(np.float64)
    scores = np.round(random.normal(size=500) + labels, 1)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    with pytest.raises(InvalidInput, match="not a number"):
        auc(np.full(500, np.nan), labels)


def test_an_interval_over_seeds_is_students() -> None:
    from scipy.stats import ttest_1samp

    each = [0.01, 0.03, -0.01, 0.02, 0.02]
    expected = ttest_1samp(each, 0).confidence_interval(0.95)
    assert over_seeds(each) == pytest.approx((0.014, expected.low, expected.high))
    assert over_seeds([0.5]) == (0.5, -np.inf, np.inf)


def test_an_interval_over_users_resamples_whole_users() -> None:
    """A resample by hand: rows of a user that is drawn twice come twice."""
    random = np.random.default_rng(4)
    users = np.repeat(np.arange(12), 9)
    labels = (random.random(108) < 0.5).astype(np.float64)
    before = random.normal(size=108)
    after = before + labels
    change = over_users([(before, after), (before, after)], labels, users, resamples=400)
    assert change.mean == pytest.approx(auc(after, labels) - auc(before, labels))
    by_hand = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(users == user) for user in random.integers(0, 12, 12)])
        by_hand.append(auc(after[rows], labels[rows]) - auc(before[rows], labels[rows]))
    assert (change.low, change.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=0.03)
    assert over_users([(before, before)], labels, users, resamples=50) == (0.0, 0.0, 0.0)
