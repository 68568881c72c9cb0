from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memagent.errors import InvalidInput
from memagent.evals.statistics import bootstrap, group_means, paired_difference


def test_the_interval_of_a_share_is_the_normal_one_when_questions_are_many() -> None:
    values = np.repeat([0.0, 1.0], [120, 280])[:, None]
    (found,) = bootstrap(values)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 400)
    assert found.mean == pytest.approx(0.7)
    assert found.low == pytest.approx(0.7 - half, abs=0.006)
    assert found.high == pytest.approx(0.7 + half, abs=0.006)


def test_agreement_with_scipy() -> None:
    values = np.random.default_rng(5).beta(2, 1, size=60)
    (found,) = bootstrap(values[:, None], resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.005)
    assert found.high == pytest.approx(theirs.high, abs=0.005)


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = bootstrap(np.full((30, 2), 0.25))
    assert found == [(0.25, 0.25, 0.25)] * 2


def test_one_question_has_its_own_value_as_interval() -> None:
    assert bootstrap(np.array([[1.0, 0.0]])) == [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)]


def test_the_seed_decides_and_columns_are_resampled_together() -> None:
    values = np.random.default_rng(0).random((40, 1))
    both = np.hstack([values, 1 - values])
    assert bootstrap(both, seed=3)[0] == bootstrap(values, seed=3)[0]
    assert bootstrap(both, seed=3) != bootstrap(both, seed=4)
    first, second = bootstrap(both, seed=3)
    assert second.low == pytest.approx(1 - first.high)


def test_more_resamples_than_fit_in_one_block_are_all_drawn() -> None:
    values = np.random.default_rng(0).random((3000, 1))
    (found,) = bootstrap(values, resamples=1500)
    half = 1.96 * values.std() / np.sqrt(3000)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


def test_a_retriever_compared_with_itself_differs_by_nothing() -> None:
    values = np.random.default_rng(0).random((50, 3))
    assert paired_difference(values, values) == [(0.0, 0.0, 0.0)] * 3


def test_pairing_removes_what_questions_have_in_common() -> None:
    random = np.random.default_rng(2)
    hard = random.random((200, 1))
    better = hard + 0.05 + random.normal(0, 0.01, size=(200, 1))
    (difference,) = paired_difference(better, hard)
    (alone,) = bootstrap(better)
    assert difference.low > 0.045
    assert difference.high - difference.low < (alone.high - alone.low) / 10


def test_different_questions_cannot_be_paired() -> None:
    with pytest.raises(InvalidInput, match="paired"):
        paired_difference(np.zeros((3, 1)), np.zeros((4, 1)))


def test_no_questions_have_no_mean() -> None:
    with pytest.raises(InvalidInput, match="no questions"):
        bootstrap(np.zeros((0, 2)))


def test_means_of_groups_are_in_order_of_appearance() -> None:
    means = group_means(np.array([[1.0], [0.0], [0.5]]), ["conv-2", "conv-1", "conv-2"])
    assert list(means) == ["conv-2", "conv-1"]
    assert means["conv-2"].tolist() == [0.75]
