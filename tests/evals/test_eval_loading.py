from __future__ import annotations

import pytest

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.datasets import DATASETS, load_dataset


def test_an_unknown_data_set_is_refused_with_the_valid_names() -> None:
    with pytest.raises(UnknownName, match=", ".join(DATASETS)):
        load_dataset("squad")


def test_a_text_form_that_a_data_set_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(UnknownName, match="use one of both_roles"):
        load_dataset("locomo", text="user_turns_only")
    with pytest.raises(UnknownName, match="user_turns_only"):
        load_dataset("longmemeval", text="json_with_date")


@pytest.mark.parametrize("name", ["longmemeval", "locomo", "personabench"])
def test_a_data_set_without_its_files_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="--data"):
        load_dataset(name)


def test_the_bundled_histories_are_complete() -> None:
    data = load_dataset("demo")
    assert len(data.histories) >= 2
    assert all(len(history.sessions) >= 20 for history in data.histories)
    assert all(session.date is not None for history in data.histories for session in history.sessions)
    assert len(data.questions) >= 40
    for question in data.questions:
        assert question.abstention == (question.no_gold == "abstention")
        assert question.gold_sessions or question.abstention
        assert question.date is not None
    ids = [question.id for question in data.questions]
    assert len(ids) == len(set(ids))
