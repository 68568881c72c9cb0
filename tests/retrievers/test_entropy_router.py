from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.retrievers.entropy_router import Router, entropy, router_weights


def test_entropy_by_hand() -> None:
    # exp(0.2 ln 3 / 0.2) = 3: shares 3/4 and 1/4.
    similarities = np.array([0.2 * math.log(3.0), 0.0])
    assert entropy(similarities, 0.2) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_equal_similarities_are_as_uncertain_as_can_be_and_one_is_certain() -> None:
    assert entropy(np.full(50, -0.3), 0.2) == pytest.approx(math.log(50))
    assert entropy(np.array([0.4]), 0.2) == 0.0


def test_a_small_temperature_is_sharp_without_overflow() -> None:
    assert entropy(np.array([1.0, -1.0, 0.9]), 1e-3) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        # 1/H: .2584 .2667 .3378, sum .8629.
        ("inverse", [0.30, 0.31, 0.39]),
        # 1 - H: -2.87 -2.75 -1.96, sum -7.58: the least certain weighs most.
        ("one-minus-raw", [0.38, 0.36, 0.26]),
        # 1 - H / ln 50 with ln 50 = 3.912: .0107 .0414 .2434, sum .2955.
        ("one-minus-norm", [0.04, 0.14, 0.82]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_three_entropies_of_fifty_sessions(router: Router, expected: list[float]) -> None:
    weights = router_weights([3.87, 3.75, 2.96], [50, 50, 50], router)
    assert weights == pytest.approx(expected, abs=0.005)


def test_the_raw_form_can_be_negative_in_a_small_memory() -> None:
    # H of five sessions straddles 1: (1 - 1.5, 1 - 1.51, 1 - 0.57) = (-.5, -.51, .43), sum -.58.
    assert router_weights([1.5, 1.51, 0.57], [5, 5, 5], "one-minus-raw") == pytest.approx(
        [0.862, 0.879, -0.741], abs=0.001
    )


def test_weights_that_cancel_each_other_become_equal() -> None:
    assert router_weights([0.5, 1.5], [5, 5], "one-minus-raw").tolist() == [0.5, 0.5]


def test_the_normalised_form_is_never_zero() -> None:
    weights = router_weights([math.log(5), 1.0], [5, 5], "one-minus-norm")
    assert 0 < weights[0] < 1e-5


def test_a_granularity_with_one_similarity_gets_the_mean_weight() -> None:
    # 1/2 and 1/4, mean 3/8: shares 4/9, 2/9, 3/9.
    assert router_weights([2.0, 4.0, 0.0], [9, 99, 1], "inverse") == pytest.approx([4 / 9, 2 / 9, 3 / 9])
    for router in ("inverse", "one-minus-raw", "one-minus-norm"):
        assert router_weights([0.0, 0.0], [1, 1], router).tolist() == [0.5, 0.5]


def test_a_certain_granularity_takes_nearly_all_without_a_division_by_zero() -> None:
    assert router_weights([0.0, 2.0], [9, 9], "inverse") == pytest.approx([1.0, 0.0], abs=1e-5)


@given(
    st.lists(st.floats(0.0, 6.0), min_size=1, max_size=4),
    st.sampled_from(["inverse", "one-minus-raw", "one-minus-norm", "uniform"]),
)
def test_weights_are_finite_and_sum_to_one(entropies: list[float], router: Router) -> None:
    weights = router_weights(entropies, [500] * len(entropies), router)
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)
