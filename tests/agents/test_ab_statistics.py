from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.ab.events import Visit
from memagent.agents.ab.metrics import METRICS, metric_named, table
from memagent.agents.ab.sequential import Stopping, comparisons, sequence_bounds
from memagent.agents.ab.statistics import (
    compare,
    detectable,
    holm,
    power_of,
    rejection_rate,
    sign_flip_test,
    users_needed,
)
from memagent.errors import InvalidInput, UnknownName


def test_the_permutation_test_agrees_with_all_permutations() -> None:
    each = np.array([0.4, -0.1, 0.3, 0.2, 0.5, -0.2, 0.35, 0.1])
    sums = [abs(np.dot(signs, each)) for signs in product((-1, 1), repeat=len(each))]
    exact = np.mean(np.array(sums) >= abs(each.sum()) - 1e-12)
    assert sign_flip_test(each, permutations=40_000) == pytest.approx(exact, abs=0.006)
    assert sign_flip_test(np.zeros(5)) == 1.0
    assert sign_flip_test(np.empty(0)) == 1.0
    assert sign_flip_test(np.ones(30)) == pytest.approx(1 / 10_001)
    with pytest.raises(InvalidInput, match="not a number"):
        sign_flip_test(np.array([0.1, math.nan]))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holms_correction_is_the_step_down_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, place in enumerate(order.tolist()):
            if p_values[place] * (len(p_values) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))


def test_what_is_not_defined_is_not_of_the_family() -> None:
    assert holm([0.02, math.nan]) == pytest.approx([0.02, math.nan], nan_ok=True)


def test_power_users_and_detectable_difference_belong_together() -> None:
    users = users_needed(spread=2.0, difference=0.5)
    assert users == 126  # (1.960 + 0.842)^2 * 16
    assert power_of(users, spread=2.0, difference=0.5) == pytest.approx(0.8, abs=0.005)
    assert detectable(users, spread=2.0) == pytest.approx(0.5, abs=0.005)
    assert power_of(50, spread=1.0, difference=0.0) == pytest.approx(0.05)
    assert power_of(50, spread=0.0, difference=1.0) == 1.0
    with pytest.raises(InvalidInput):
        users_needed(spread=1.0, difference=0.0)
    with pytest.raises(InvalidInput, match="spread nan"):
        users_needed(spread=math.nan, difference=0.1)


def test_equal_arms_are_found_different_as_often_as_promised_and_planted_differences_too() -> None:
    pool = np.random.default_rng(5).exponential(size=900) - np.random.default_rng(6).exponential(size=900)
    rate = rejection_rate(pool, users=100, repetitions=600, permutations=400)
    assert 0.03 <= rate <= 0.07
    spread = float(pool.std())
    planted = detectable(100, spread=spread)
    found = rejection_rate(pool, users=100, repetitions=300, permutations=400, planted=planted)
    assert found == pytest.approx(0.8, abs=0.07)
    with pytest.raises(InvalidInput, match="pool of 900"):
        rejection_rate(pool, users=901, repetitions=1)


def test_a_confidence_sequence_may_be_looked_at_again_and_again() -> None:
    random = np.random.default_rng(9)
    left_out = 0
    for _ in range(200):
        each = random.normal(size=800)
        looks = [sequence_bounds(each[:t], alpha=0.05, tuned_for=300) for t in range(50, 801, 25)]
        left_out += any(not low <= 0 <= high for _, low, high in looks)
    assert left_out <= 0.05 * 200 + 2 * math.sqrt(200 * 0.05 * 0.95)
    naive = np.array(
        [abs(random.normal(size=800).cumsum()[49::25] / np.sqrt(np.arange(50, 801, 25))) for _ in range(200)]
    )
    assert np.mean((naive > 1.96).any(axis=1)) > 0.15  # what looking does to an ordinary test


def test_a_confidence_sequence_by_hand() -> None:
    each = np.array([1.0, 3.0])
    rho2 = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 10
    reach = math.sqrt(2 * (2 * rho2 + 1) / (4 * rho2) * math.log(math.sqrt(2 * rho2 + 1) / 0.05))
    assert sequence_bounds(each, alpha=0.05, tuned_for=10) == pytest.approx((2.0, 2 - reach, 2 + reach))
    assert sequence_bounds(each[:1], alpha=0.05, tuned_for=10) == (1.0, -math.inf, math.inf)
    values = np.stack([each, each + 1, each], axis=1)
    assert [bounds.mean for bounds in comparisons(values, Stopping())] == [1.0, 0.0]
    with pytest.raises(InvalidInput):
        Stopping(alpha=2.0)


def visit(**values: object) -> Visit:
    given_values = {"user": "u", "arm": "a", "visit": 0, "order": 1, "activity": 1, "cold": False, **values}
    return Visit(**given_values)  # type: ignore[arg-type]


def test_metrics_by_hand() -> None:
    visits = [
        visit(impressions=8, views=2, pages=2, clicks=3, watches=2, ratings=(4, 5), satisfaction=8, returns=True),
        visit(visit=1, impressions=4, views=2, pages=1, clicks=0, satisfaction=3),
        visit(user="v"),
    ]
    names, values = table(visits, arms=["a"], metrics=list(METRICS), possible=2)
    assert names == ["u", "v"]
    found = dict(zip(METRICS, values[0, 0].tolist(), strict=True))
    assert found == pytest.approx(
        {"ctr": 0.25, "ctr_page": 0.75, "cvr": 2 / 3, "ar": 4.5, "clicks": 1.5, "watches": 1.0, "depth": 1.5,
         "satisfaction": 5.5, "retention": 0.5}
    )  # fmt: skip
    nothing = dict(zip(METRICS, values[1, 0].tolist(), strict=True))
    assert (nothing["ctr"], nothing["clicks"]) == (0.0, 0.0)
    assert all(math.isnan(nothing[name]) for name in ("cvr", "ar", "satisfaction"))
    with pytest.raises(UnknownName, match="ctr_page"):
        metric_named("clickthrough")


def test_arms_are_compared_over_the_users_for_whom_both_are_defined() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(60, 3, 2))
    values[:, 1, 0] = values[:, 0, 0] + 1
    values[:10, 2, 1] = np.nan
    values[:, 1, 1] = np.nan
    found = {(d.arm, d.metric): d for d in compare(values, arms=["x", "y", "z"], metrics=["m", "n"], primary="m")}
    assert found["y", "m"].difference == pytest.approx(1.0)
    assert found["y", "m"].p_holm == pytest.approx(2 * found["y", "m"].p)
    assert (found["z", "n"].users, found["y", "n"].users) == (50, 0)
    assert math.isnan(found["y", "n"].p)
    assert found["z", "n"].p_holm == found["z", "n"].p
    with pytest.raises(InvalidInput, match="not measured"):
        compare(values, arms=["x", "y", "z"], metrics=["m", "n"], primary="k")
