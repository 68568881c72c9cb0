"""CoGen and MovieExp: reading them, what damaged rows say, and splits without the same people on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsrp_data_examples import cogen_record, file_of, movie_record
from shared_data import shared_path

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask, Written
from memagent.agents.lsrp.scores import profile_text
from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.lsrp.data import LsrpCase, load_lsrp, reference_udrr
from memagent.evals.lsrp.splits import clean_split, published_split, shared_by


def test_a_cogen_record_is_a_writing_task_with_earlier_texts(tmp_path: Path) -> None:
    (case,) = load_lsrp("cogen", [file_of(tmp_path / "dev.json", [cogen_record(4)])]).cases
    assert case.task == PrivateTask(
        text="Write a note about the regatta, part 4.",
        task_type=TaskType.WRITING,
        profile={"Age": "34", "Name": "Kim Oduya 4", "Occupation": "boat builder"},
        history=(Written(title="A letter", text="Dear crew, the mast is mended."),),
    )
    assert case.id == "1_4_0"
    assert case.profile == profile_text(case.task.profile)


def test_a_movie_record_is_an_explanation_and_a_field_may_have_several_lines(tmp_path: Path) -> None:
    data = load_lsrp("movieexp", [file_of(tmp_path / "train.json", [movie_record(7, user=2)])])
    (case,) = data.cases
    assert case.task.task_type is TaskType.EXPLANATION
    assert case.task.profile["style"] == "Writing style: short.\n\nExample: well, hello!"
    assert (case.id, case.user, case.task.history) == ("7", "Heron2", ())
    assert profile_text(case.task.profile, between=data.between) == case.profile
    assert reference_udrr(data.cases) == 0.0


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "anchor"), [("cogen", "CoGen_dev", 0.0884), ("movieexp", "MovieExp_train", 0.1549)]
)
def test_the_reference_answers_have_the_published_udrr(name: str, file: str, anchor: float) -> None:
    data = load_lsrp(name, [shared_path("lsrp", f"{file}.json.gz")])
    assert round(reference_udrr(data.cases) or 0, 4) == anchor
    split = clean_split(data.cases)
    assert set(shared_by(split).values()) == {0}
    assert len(split.train) + len(split.test) + sum(split.left_out.values()) == len(data.cases)


@pytest.mark.data
def test_a_random_split_of_movieexp_would_share_people_and_pairs() -> None:
    cases = load_lsrp("movieexp", [shared_path("lsrp", "MovieExp_train.json.gz")]).cases
    assert all(shared_by(published_split(cases[:700], cases[700:])).values())
    clean = clean_split(cases[:700], cases[700:])
    assert not any(shared_by(clean).values())
    assert {case.pair for case in clean.test} == {case.pair for case in cases[700:]}


def damaged(change: dict[str, Any]) -> dict[str, Any]:
    return {**cogen_record(1), **change}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (damaged({"conversations": []}), "0 turns"),
        (damaged({"conversations": cogen_record(1)["conversations"][::-1]}), "'assistant' where 'user' belongs"),
        (damaged({"conversations": [{"from": "user", "value": " "}, {"from": "assistant", "value": "x"}]}), "is empty"),
        (damaged({"additional_profile": "no field\nAge: 3"}), "no field of a profile"),
        (damaged({"additional_profile": None}), "additional_profile"),
        (damaged({"additional_profile": "   "}), "no field of a profile"),
        (damaged({"profile": [{"title": "x"}]}), r"profile\[0\].text"),
        (damaged({"tid": None}), "tid"),
        ({name: value for name, value in cogen_record(1).items() if name != "profile"}, "profile"),
        ("text", "expected an object"),
    ],
)
def test_a_damaged_row_names_file_record_and_field(record: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"dev.json, record 1.*{said}"):
        load_lsrp("cogen", [file_of(tmp_path / "dev.json", [cogen_record(0), record])])


def test_one_data_set_is_not_taken_for_the_other(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="additional_profile"):
        load_lsrp("movieexp", [file_of(tmp_path / "dev.json", [{**cogen_record(0), "id": 1}])])


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    file = file_of(tmp_path / "dev.json", [cogen_record(0)])
    with pytest.raises(UnknownName, match="cogen"):
        load_lsrp("other", [file])
    with pytest.raises(InvalidInput, match="needs its files"):
        load_lsrp("cogen", [])
    with pytest.raises(InvalidInput, match="no records"):
        load_lsrp("cogen", [file_of(tmp_path / "empty.json", [])])
    with pytest.raises(InvalidInput, match="has no files"):
        load_lsrp("bundled", [file])
    with pytest.raises(DataError, match="twice"):
        load_lsrp("cogen", [file, file])


def test_the_made_up_data_sets_need_no_files() -> None:
    bundled, population = load_lsrp("bundled", ()), load_lsrp("population", ())
    assert {case.task.task_type for case in bundled.cases} == set(TaskType)
    assert len(population.cases) == 240
    assert reference_udrr(population.cases) is None
    for data in (bundled, population):
        split = clean_split(data.cases)
        assert split.train
        assert not any(shared_by(split).values())


def cases(pairs: list[tuple[int, int]]) -> list[LsrpCase]:
    """Cases of (user, task)."""
    return [
        LsrpCase(
            id=str(number),
            user=f"user {user}",
            task=PrivateTask(text=f"task {task}", task_type=TaskType.WRITING),
            profile=f"profile {user}",
        )
        for number, (user, task) in enumerate(pairs)
    ]


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=40)


@given(train=PAIRS, test=PAIRS | st.none(), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
def test_nobody_and_nothing_is_on_both_sides_and_everything_is_counted(
    train: list[tuple[int, int]], test: list[tuple[int, int]] | None, share: float, seed: int
) -> None:
    tested = None if test is None else cases(test)
    split = clean_split(cases(train), tested, share=share, seed=seed)
    assert not any(shared_by(split).values())
    assert split.test
    assert len(split.train) + len(split.test) + sum(split.left_out.values()) == len(train) + len(test or [])
    for side in (split.train, split.test):
        assert len({case.pair for case in side}) == len(side)
    if test is not None:
        assert {case.pair for case in split.test} == {case.pair for case in cases(test)}
    elif len({user for user, _ in train}) > 1:
        assert split.train
    assert split == clean_split(cases(train), tested, share=share, seed=seed)


def test_the_published_split_keeps_what_both_sides_share() -> None:
    split = published_split(cases([(0, 0), (1, 0), (1, 0)]), cases([(1, 0), (2, 1)]))
    assert (len(split.train), len(split.test)) == (3, 2)
    assert shared_by(split) == {"people": 1, "profiles": 1, "pairs": 1}
    with pytest.raises(InvalidInput, match="nothing to test"):
        published_split(cases([(0, 0)]), [])
    with pytest.raises(InvalidInput, match="share"):
        clean_split(cases([(0, 0)]), share=1.0)
