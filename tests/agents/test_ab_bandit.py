from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared_path

from memagent.agents.ab.bandit.crosscheck import cross_check
from memagent.agents.ab.bandit.estimators import Estimators, difference, evaluate, terms
from memagent.agents.ab.bandit.log import BanditLog, by_position, shown_shares, uniform
from memagent.agents.ab.bandit.made_up import World, quality
from memagent.agents.ab.bandit.open_bandit import load_open_bandit
from memagent.agents.ab.bandit.rewards import RidgeByAction, SmoothedRates, cross_fitted
from memagent.errors import DataError, InvalidInput

WORLD = World.drawn(seed=4)


def naive(log: BanditLog, target: Any, predicted: Any, clip: float | None) -> dict[str, float]:
    """The four estimators as the formulas stand, one row at a time."""
    ips = weights = dm = dr = squares = 0.0
    for row in range(len(log)):
        action = int(log.actions[row])
        weight = target[row][action] / log.propensities[row]
        weight = weight if clip is None else min(weight, clip)
        believed = sum(target[row][a] * predicted[row][a] for a in range(len(log.action_ids)))
        ips += weight * log.rewards[row]
        weights += weight
        squares += weight**2
        dm += believed
        dr += believed + weight * (log.rewards[row] - predicted[row][action])
    n = len(log)
    return {"ips": ips / n, "snips": ips / weights, "dm": dm / n, "dr": dr / n, "effective": weights**2 / squares}


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), clip=st.sampled_from([None, 0.5, 2.0]))
def test_the_estimators_are_those_of_a_loop_over_rows(seed: int, clip: float | None) -> None:
    log, target = WORLD.log(40, seed=seed)
    how = Estimators(clip=clip, model=RidgeByAction(), folds=3, resamples=10)
    found = evaluate(log, target, how)
    expected = naive(log, target, cross_fitted(log, how.model, folds=3, seed=0), clip)
    for name, value in found.values.items():
        assert value.mean == pytest.approx(expected[name])
    assert found.weighing.effective == pytest.approx(expected["effective"])


def test_estimates_of_known_logs_are_unbiased_their_intervals_hold_and_dr_varies_less() -> None:
    found = quality(WORLD, rows=400, repetitions=150, resamples=100)
    assert found["ips"].unbiased
    assert found["dr"].unbiased
    assert all(0.90 <= one.coverage <= 0.99 for one in found.values())
    assert found["dr"].spread < 0.95 * found["ips"].spread
    clipped = quality(WORLD, rows=400, repetitions=40, clip=1.5, resamples=20)["ips"]
    assert clipped.bias < -5 * clipped.bias_error
    assert clipped.spread < found["ips"].spread
    with pytest.raises(InvalidInput):
        quality(WORLD, rows=10, repetitions=1)


def test_the_exact_value_of_a_world_is_what_its_target_earns() -> None:
    on_target = replace(WORLD, behaviour=WORLD.target)
    log, target = on_target.log(60_000, seed=1)
    assert log.rewards.mean() == pytest.approx(WORLD.value, abs=0.006)
    found = evaluate(log, target, Estimators(resamples=20))
    assert found.weighing.effective == pytest.approx(len(log))
    assert found.values["ips"].mean == pytest.approx(log.rewards.mean())


def test_no_row_is_part_of_its_own_prediction() -> None:
    log, _ = WORLD.log(30, seed=2)
    predicted = cross_fitted(log, SmoothedRates(strength=1.0), folds=30, seed=0)
    turned = replace(log, rewards=1 - log.rewards)
    for row in range(5):
        rewards = log.rewards.copy()
        rewards[row] = turned.rewards[row]
        again = cross_fitted(replace(log, rewards=rewards), SmoothedRates(strength=1.0), folds=30, seed=0)
        assert again[row].tolist() == predicted[row].tolist()
    with pytest.raises(InvalidInput, match="folds"):
        cross_fitted(log, SmoothedRates(), folds=31, seed=0)


def test_smoothed_rates_by_hand() -> None:
    log = made(actions=[0, 0, 1, 1], positions=[0, 1, 0, 0], rewards=[1.0, 0.0, 0.0, 0.0])
    predicted = SmoothedRates(strength=2.0).fit(log)(made(actions=[0, 0], positions=[0, 2], rewards=[0.0, 0.0]))
    first = (1 + 2 * 0.25) / (2 + 2)
    assert predicted[0].tolist() == pytest.approx([(1 + 2 * first) / 3, (2 * 0.125) / 4])
    assert predicted[1].tolist() == pytest.approx([first, 0.125])  # a position that was never shown: the action's rate


def made(
    *, actions: list[int], rewards: list[float], positions: list[int] | None = None, propensities: Any = None
) -> BanditLog:
    n = len(actions)
    return BanditLog(
        name="made",
        action_ids=("a", "b"),
        actions=np.asarray(actions),
        positions=np.asarray(positions or [0] * n),
        rewards=np.asarray(rewards),
        propensities=np.full(n, 0.5) if propensities is None else np.asarray(propensities),
        contexts=np.empty((n, 0)),
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"actions": [], "rewards": []}, "no rows"),
        ({"actions": [0, 1], "rewards": [1.0]}, "differ in length"),
        ({"actions": [0, 2], "rewards": [1.0, 0.0]}, "out of range"),
        ({"actions": [0, 1], "rewards": [1.0, 0.0], "propensities": [0.5, 0.0]}, "propensities"),
        ({"actions": [0, 1], "rewards": [1.0, 0.0], "propensities": [0.5, np.nan]}, "propensities"),
        ({"actions": [0, 1], "rewards": [1.0, np.inf]}, "not finite"),
    ],
)
def test_a_log_that_nothing_can_be_estimated_from_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        made(**values)


def test_a_target_has_a_probability_for_every_action_in_every_row() -> None:
    log = made(actions=[0, 1, 1], rewards=[1.0, 0.0, 1.0])
    for target in (
        np.full((3, 2), 0.6),
        np.full((3, 3), 1 / 3),
        np.asarray([[1.5, -0.5]] * 3),
        np.full((3, 2), np.nan),
    ):
        with pytest.raises(InvalidInput, match="target"):
            evaluate(log, target, Estimators(folds=2))
    with pytest.raises(InvalidInput, match="one row a position"):
        by_position(replace(log, positions=np.asarray([0, 1, 2])), np.full((2, 2), 0.5))
    with pytest.raises(InvalidInput, match="clipped"):
        Estimators(clip=0.0)


def test_what_the_log_never_shows_is_said() -> None:
    log = made(actions=[0, 0, 0, 0], rewards=[1.0, 0.0, 0.0, 1.0])
    _, weighing = terms(log, np.asarray([[0.25, 0.75]] * 4), np.zeros((4, 2)), clip=None)
    assert weighing.unseen == pytest.approx(0.75)
    never = evaluate(log, np.asarray([[0.0, 1.0]] * 4), Estimators(folds=2, resamples=5))
    assert np.isnan(never.values["snips"].mean)
    assert never.weighing.effective == 0.0


def test_a_difference_is_that_of_the_values_and_surer_than_they_are() -> None:
    log, target = WORLD.log(600, seed=5)
    how = Estimators(model=RidgeByAction(), resamples=300)
    base = 0.9 * target + 0.1 / target.shape[1]
    found = difference(log, base, target, how)
    sides = [evaluate(log, side, how).values for side in (base, target)]
    for name, one in found.items():
        assert one.mean == pytest.approx(sides[1][name].mean - sides[0][name].mean)
    assert found["dr"].high - found["dr"].low < 0.5 * (sides[1]["dr"].high - sides[1]["dr"].low)


def test_a_log_agrees_with_a_simulated_winner_or_not_or_cannot_tell() -> None:
    log, target = WORLD.log(4000, seed=6)
    how = Estimators(model=RidgeByAction(), resamples=200)
    worse = np.fliplr(np.sort(target, axis=1))[np.arange(4000)[:, None], target.argsort(axis=1).argsort(axis=1)]
    agreeing = cross_check(log, baseline=worse, arm=target, simulated=0.2, estimators=how)
    assert agreeing.finding == "agrees"
    assert "the log says" in agreeing.text(baseline="x", arm="y")
    assert cross_check(log, baseline=worse, arm=target, simulated=-0.2, estimators=how).finding == "disagrees"
    few = log.rows(np.arange(60))
    unsure = cross_check(few, baseline=uniform(few), arm=0.5 * target[:60] + 0.5 / 8, simulated=0.02, estimators=how)
    assert unsure.finding == "open"
    assert "too few to call a winner" in unsure.text(baseline="x", arm="y")
    assert unsure.rows_needed is not None
    assert unsure.rows_needed > 60
    with pytest.raises(InvalidInput, match="not defined"):
        cross_check(few, baseline=uniform(few), arm=uniform(few), simulated=float("nan"))


ITEMS = ",item_id,item_feature_0\n0,0,0.1\n1,1,0.2\n"
HEAD = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0\n"


def written(folder: Path, rows: str, *, head: str = HEAD) -> Path:
    place = folder / "random" / "men"
    place.mkdir(parents=True, exist_ok=True)
    (place / "item_context.csv").write_text(ITEMS)
    with gzip.open(place / "men.csv.gz", "wt") as file:
        file.write(head + rows)
    return folder


def test_open_bandit_is_read_from_its_own_files(tmp_path: Path) -> None:
    rows = "0,t,1,1,0,0.5,x,0.0\n1,t,0,3,1,0.25,y,0.0\n2,t,1,2,0,0.5,x,1.0\n"
    log = load_open_bandit(written(tmp_path, rows), behaviour="random", campaign="men")
    assert (log.actions.tolist(), log.positions.tolist()) == ([1, 0, 1], [0, 2, 1])
    assert (log.rewards.tolist(), log.propensities.tolist()) == ([0, 1, 0], [0.5, 0.25, 0.5])
    assert log.contexts.tolist() == [[0.0], [1.0], [0.0]]
    assert shown_shares(log).tolist() == [[0, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        ("", HEAD, "no rows"),
        ("0,t,7,1,0,0.5,x,0.0\n", HEAD, "line 2"),
        ("0,t,1,1,0,0.5,x,0.0\n1,t,1,1,no,0.5,x,0.0\n", HEAD, "line 3"),
        ("0,t,1,1\n", HEAD, "line 2"),
        ("0,t,1,1,0,0.5\n", ",timestamp,item_id,position,click,chance\n", "propensity_score"),
    ],
)
def test_a_damaged_bandit_log_names_the_line(tmp_path: Path, rows: str, head: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_open_bandit(written(tmp_path, rows, head=head), behaviour="random", campaign="men")
    with pytest.raises(DataError, match=r"item_context\.csv"):
        load_open_bandit(tmp_path, behaviour="bts", campaign="men")
    (tmp_path / "random" / "men" / "men.csv.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DataError, match="cannot be read"):
        load_open_bandit(tmp_path, behaviour="random", campaign="men")


def test_on_the_real_log_thompson_sampling_is_worth_what_it_earned() -> None:
    folder = shared_path("recsys", "open_bandit")
    chance, bts = (load_open_bandit(folder, behaviour=who, campaign="men") for who in ("random", "bts"))
    assert (len(chance), int(chance.rewards.sum()), int(bts.rewards.sum())) == (10_000, 46, 69)
    assert set(chance.propensities) == {1 / 34}
    found = evaluate(chance, by_position(chance, shown_shares(bts)), Estimators(resamples=200))
    for name in ("ips", "snips", "dr"):
        assert found.values[name].low < bts.rewards.mean() < found.values[name].high
    assert found.weighing.mean == pytest.approx(1.0, abs=0.03)
    own = evaluate(chance, uniform(chance), Estimators(resamples=20))
    assert own.values["ips"].mean == pytest.approx(0.0046)
