"""Fitting RF-Mem's thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.errors import InvalidInput
from memagent.evals.calibrate import (
    Samples,
    Thresholds,
    by_shares,
    calibrate_shares,
    fit,
    held_out,
    refuse_open_probe,
)
from memagent.retrievers import RFMem
from memagent.retrievers.familiarity import Gate, Signal


def samples(
    means: list[float],
    entropies: list[float],
    familiar: list[float],
    recollected: list[list[float]],
    alphas: tuple[float, ...] = (0.5,),
    groups: tuple[str, ...] | None = None,
) -> Samples:
    return Samples(
        means=np.array(means),
        entropies=np.array(entropies),
        familiar=np.array(familiar),
        recollected=np.array(recollected),
        alphas=alphas,
        groups=groups or ("one",) * len(means),
    )


def crossing(questions: int = 40, groups: int = 4) -> Samples:
    """Familiarity answers the questions with high means, recollection (alpha 0.7) those with low ones."""
    means = np.linspace(0.1, 0.9, questions)
    high = (means > 0.5).astype(float)
    return samples(
        means.tolist(),
        np.linspace(0.2, 0.1, questions).tolist(),
        high.tolist(),
        np.stack([np.zeros(questions), 1 - high], axis=1).tolist(),
        alphas=(0.3, 0.7),
        groups=tuple(f"user {place % groups}" for place in range(questions)),
    )


def test_thresholds_that_tell_the_questions_apart_are_found() -> None:
    found = crossing()
    chosen = fit(found)
    assert chosen.alpha == 0.7
    assert found.scored(chosen).mean() == 1.0
    assert found.routed(chosen).mean() == 0.5


def test_thresholds_found_without_a_conversation_hold_for_it() -> None:
    left = held_out(crossing())
    assert left is not None
    gated, alone, folds = left
    assert folds == 4
    assert gated.mean() >= 0.9
    assert alone.mean() == 0.5
    assert held_out(crossing(groups=1)) is None
    many = held_out(crossing(groups=40))
    assert many is not None
    assert many[2] == 10


def test_what_is_held_out_is_not_seen() -> None:
    """One conversation alone wants recollection: fitted on the others, it is given familiarity."""
    odd = samples(
        [0.1] * 5 + [0.9] * 10,
        [0.1] * 15,
        [0.0] * 5 + [1.0] * 10,
        [[1.0]] * 5 + [[0.0]] * 10,
        groups=("odd",) * 5 + ("a",) * 5 + ("b",) * 5,
    )
    assert odd.scored(fit(odd)).mean() == 1.0
    left = held_out(odd)
    assert left is not None
    assert left[0][:5].tolist() == [0.0] * 5


def test_of_equal_thresholds_those_that_recollect_least_are_taken() -> None:
    indifferent = samples(
        [0.2, 0.4, 0.6], [0.1, 0.2, 0.1], [1.0, 0.0, 1.0], [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]], (0.9, 0.5)
    )
    chosen = fit(indifferent)
    assert not indifferent.routed(chosen).any()
    assert chosen.alpha == 0.5


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 0.25)), min_size=1, max_size=30), st.data())
def test_questions_are_routed_as_the_gate_does(signals: list[tuple[float, float]], data: st.DataObject) -> None:
    means, entropies = (list(column) for column in zip(*signals, strict=True))
    low, high = sorted([data.draw(st.sampled_from(means)), data.draw(st.sampled_from(means))])
    chosen = Thresholds(high, low, data.draw(st.sampled_from(entropies)), 0.5)
    gate = Gate(theta_high=high, theta_low=low, tau=chosen.tau)
    expected = [gate.decide(Signal(10, *signal)).path == "recollection" for signal in signals]
    plain = samples(means, entropies, [0.0] * len(means), [[0.0]] * len(means))
    assert plain.routed(chosen).tolist() == expected


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(20, 200), st.floats(0, 1))
def test_about_the_share_asked_for_recollects(seed: int, count: int, share: float) -> None:
    random = np.random.default_rng(seed)
    means, entropies = random.normal(0.4, 0.1, count), random.uniform(0.05, 0.23, count)
    chosen = by_shares(means, entropies, share)
    assert chosen.theta_low <= chosen.theta_high
    routed = samples(means.tolist(), entropies.tolist(), [0.0] * count, [[0.0]] * count).routed(chosen)
    assert routed.mean() == pytest.approx(share, abs=4 / count + 0.01)


def test_messages_that_are_all_alike_get_thresholds_too() -> None:
    found = calibrate_shares(RFMem(), [(0.4, 0.2)] * 20, encoder="e", granularity="turn", share=0.47, users=1)
    assert (found.theta_high, found.theta_low, found.tau, found.alpha) == (0.4, 0.4, 0.2, 0.5)
    assert found.data == {"name": "a store's own messages", "users": 1, "messages": 20, "share": 0.47}


def test_few_messages_are_refused() -> None:
    with pytest.raises(InvalidInput, match="19 messages"):
        calibrate_shares(RFMem(), [(0.4, 0.2)] * 19, encoder="e", granularity="turn", share=0.5, users=1)


def test_thresholds_are_not_fitted_to_a_probe_without_a_size() -> None:
    refuse_open_probe(RFMem())
    with pytest.raises(InvalidInput, match="probe=none"):
        refuse_open_probe(RFMem(probe=None))
