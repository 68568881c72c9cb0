"""The familiarity signal and the gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.retrievers.familiarity import Gate, Signal, signal_of

cosines = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


def test_the_signal_of_two_units_by_hand() -> None:
    """Cosines 0.9 and 0.5, lambda 20: weights 1 and e^-8 = 0.000335463.

    p = 0.999664650, 0.000335350; -ln p = 0.000335406, 8.000335406.
    H = 0.000335294 + 0.002682914 = 0.003018207; its mean over the two is 0.001509104. The mean cosine is 0.7.
    """
    scores = np.array([0.9, 0.5])
    assert signal_of(scores, sharpness=20.0, reduction="sum") == pytest.approx((2, 0.7, 0.003018207), abs=1e-9)
    assert signal_of(scores, sharpness=20.0, reduction="mean") == pytest.approx((2, 0.7, 0.001509104), abs=1e-9)


def test_equal_cosines_have_the_largest_entropy() -> None:
    """ln 10 = 2.302585 as a sum, a tenth of it as the mean: what makes tau = 0.2303 never recollect."""
    alike = np.full(10, 0.4)
    assert signal_of(alike, sharpness=20.0, reduction="sum").entropy == pytest.approx(2.302585)
    assert signal_of(alike, sharpness=20.0, reduction="mean").entropy == pytest.approx(0.2302585)
    assert signal_of(np.linspace(-1, 1, 10), sharpness=0.0, reduction="sum").entropy == pytest.approx(2.302585)


def test_one_unit_has_no_entropy_and_none_has_no_signal() -> None:
    for reduction in ("mean", "sum"):
        assert signal_of(np.array([-0.3]), sharpness=20.0, reduction=reduction) == (1, -0.3, 0.0)
        size, mean, entropy = signal_of(np.empty(0), sharpness=20.0, reduction=reduction)
        assert size == 0
        assert math.isnan(mean)
        assert math.isnan(entropy)


@given(cosines, st.floats(0, 1e6))
def test_the_entropy_is_within_its_bounds_and_does_not_depend_on_the_order(
    scores: list[float], sharpness: float
) -> None:
    values = np.array(scores)
    found = signal_of(values, sharpness=sharpness, reduction="sum")
    assert 0.0 <= found.entropy <= math.log(len(scores)) + 1e-9
    assert found.mean == pytest.approx(np.mean(scores))
    turned = signal_of(values[::-1], sharpness=sharpness, reduction="sum")
    assert turned.entropy == pytest.approx(found.entropy, abs=1e-9)
    assert signal_of(values, sharpness=sharpness, reduction="mean").entropy == found.entropy / len(scores)


@given(cosines, st.floats(0.1, 30), st.floats(-5, 5))
def test_a_shift_of_all_cosines_leaves_the_entropy(scores: list[float], sharpness: float, shift: float) -> None:
    values = np.array(scores)
    before = signal_of(values, sharpness=sharpness, reduction="sum").entropy
    assert signal_of(values + shift, sharpness=sharpness, reduction="sum").entropy == pytest.approx(before, abs=1e-9)


GATE = Gate(theta_high=0.6, theta_low=0.3, tau=0.2)


@pytest.mark.parametrize(
    ("mean", "entropy", "path", "by"),
    [
        (0.7, 0.9, "familiarity", "mean-high"),
        (0.6, 0.9, "familiarity", "mean-high"),  # equal to theta_high
        (math.nextafter(0.6, 0), 0.9, "recollection", "entropy"),
        (0.2, 0.0, "recollection", "mean-low"),  # a low entropy does not save a low mean
        (0.3, 0.0, "recollection", "mean-low"),  # equal to theta_low
        (math.nextafter(0.3, 1), 0.1, "familiarity", "entropy"),
        (0.5, 0.2, "familiarity", "entropy"),  # equal to tau
        (0.5, math.nextafter(0.2, 1), "recollection", "entropy"),
        (0.5, 0.1, "familiarity", "entropy"),
    ],
)
def test_the_gate_is_equation_three(mean: float, entropy: float, path: str, by: str) -> None:
    assert GATE.decide(Signal(10, mean, entropy)) == (path, by)


def test_the_codes_gate_recollects_at_an_entropy_equal_to_tau() -> None:
    strict = Gate(theta_high=0.6, theta_low=0.3, tau=0.2, test="below")
    assert strict.decide(Signal(10, 0.5, 0.2)).path == "recollection"
    assert strict.decide(Signal(10, 0.5, math.nextafter(0.2, 0))).path == "familiarity"
    for mean, path in ((0.6, "familiarity"), (0.3, "recollection")):
        assert strict.decide(Signal(10, mean, 0.2)).path == path


def test_where_the_thresholds_meet_familiarity_is_asked_first() -> None:
    assert Gate(theta_high=0.4, theta_low=0.4, tau=0.0).decide(Signal(10, 0.4, 1.0)).path == "familiarity"


def test_an_empty_probe_recollects() -> None:
    empty = signal_of(np.empty(0), sharpness=20.0, reduction="mean")
    assert Gate(theta_high=-2, theta_low=-2, tau=99).decide(empty) == ("recollection", "empty-probe")
