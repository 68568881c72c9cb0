from __future__ import annotations

import numpy as np
import pytest

from memagent.bank.port import Groups
from memagent.bank.sums import lengths_of, turn_sums


def groups_of(index: list[int]) -> Groups:
    places = np.array(index, dtype=np.int64)
    numbers = np.unique(places)
    return Groups(sessions=numbers, units=numbers, index=places)


def test_turns_of_sessions_that_alternate_are_added_up_by_session() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    sums = turn_sums(vectors, groups_of([0, 1, 0, 1]))
    assert sums.tolist() == [[2.0, 0.0], pytest.approx([0.6, 1.8])]
    assert lengths_of(sums).tolist() == pytest.approx([2.0, 3.6**0.5])


def test_vectors_that_cancel_each_other_have_no_length() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    assert lengths_of(turn_sums(vectors, groups_of([0, 0, 1]))).tolist() == [0.0, 1.0]


def test_without_sessions_there_are_no_sums() -> None:
    sums = turn_sums(np.empty((0, 5), dtype=np.float32), groups_of([]))
    assert sums.shape == (0, 5)
    assert lengths_of(sums).shape == (0,)
