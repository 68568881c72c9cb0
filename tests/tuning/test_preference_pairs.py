from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import pair

from memagent.errors import DataError, InvalidInput
from memagent.tuning.pairs import PreferencePair, as_dataset, read_pairs, split_pairs, write_dataset, write_pairs

PUBLISHED = [
    "instruction",
    "input",
    "prompt",
    "chosen",
    "rejected",
    "chosen_action_type",
    "chosen_content",
    "rejected_action_type",
    "rejected_content",
    "layer",
]
TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: bool(text.strip()))


def test_a_record_has_the_published_fields_first_and_ours_behind() -> None:
    assert list(pair(1).record())[: len(PUBLISHED)] == PUBLISHED
    assert pair(1).record()["prompt"] == "Think.\n\nWho was number 1?"
    assert pair(1, instruction="").prompt == "Who was number 1?"


def test_a_pair_is_a_conversation_with_two_ends() -> None:
    said = pair(1).messages()
    assert [message["role"] for message in said["prompt"]] == ["system", "user"]
    assert said["chosen"] == [{"role": "assistant", "content": "So the answer is <answer>Ann 1</answer>"}]
    assert [message["role"] for message in pair(1, instruction="").messages()["prompt"]] == ["user"]


def test_the_kind_of_a_pair_says_what_is_preferred_to_what() -> None:
    assert pair(1).kind == "answer over query"
    assert pair(1, rejected_action_type="answer").kind == "answer"
    assert pair(1, chosen_action_type="", rejected_action_type="").kind == "any"


@given(instruction=TEXT | st.just(""), user=TEXT, chosen=TEXT, rejected=TEXT, reward=st.none() | st.floats(0, 1))
@settings(max_examples=30)
def test_pairs_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    instruction: str,
    user: str,
    chosen: str,
    rejected: str,
    reward: float | None,
) -> None:
    if chosen == rejected:
        rejected += "."
    made = [
        pair(1),
        PreferencePair(instruction=instruction, input=user, chosen=chosen, rejected=rejected, chosen_reward=reward),
    ]
    place = tmp_path_factory.mktemp("pairs")
    for name in ("pairs.jsonl", "pairs.jsonl.gz"):
        write_pairs(place / name, made)
        assert read_pairs(place / name) == made


def test_a_json_list_and_unknown_fields_are_read(tmp_path: Path) -> None:
    place = tmp_path / "pairs.json"
    record: dict[str, Any] = {"input": "Who?", "chosen": "Ann", "rejected": "Bob", "history": [], "layer": None}
    place.write_text(json.dumps([record]))
    assert read_pairs(place) == [PreferencePair(instruction="", input="Who?", chosen="Ann", rejected="Bob")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chosen": 3}, "'chosen' is 3"),
        ({"chosen": "  "}, "'chosen' is empty"),
        ({"rejected": "So the answer is <answer>Ann 1</answer>"}, "are the same"),
        ({"layer": "first"}, "'layer' is 'first'"),
        ({"layer": True}, "'layer' is True"),
        ({"chosen_reward": "high"}, "'chosen_reward'"),
    ],
)
def test_a_wrong_field_is_named_with_its_record(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    place = tmp_path / "pairs.jsonl"
    lines = [pair(1).record(), {**pair(1).record(), **change}]
    place.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=f"record 2.*{said}"):
        read_pairs(place)


@pytest.mark.parametrize("text", ["", "\n", "[]", "{", "3", '{"input": "x", "chosen": "y"}', "[1]"])
def test_what_holds_no_pairs_is_a_data_error(tmp_path: Path, text: str) -> None:
    place = tmp_path / "pairs.jsonl"
    place.write_text(text)
    with pytest.raises(DataError):
        read_pairs(place)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.jsonl"):
        read_pairs(tmp_path / "missing.jsonl")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"\x1f\x8b not gzip")
    with pytest.raises(InvalidInput, match=r"bad\.jsonl\.gz"):
        read_pairs(tmp_path / "bad.jsonl.gz")


@given(st.binary())
@settings(max_examples=50)
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    place = tmp_path_factory.mktemp("bytes") / "pairs.jsonl"
    place.write_bytes(content)
    with suppress(DataError, InvalidInput):
        read_pairs(place)


@given(st.integers(0, 99), st.integers(2, 60), st.sampled_from([0.0, 0.1, 0.3, 0.5]))
def test_a_split_keeps_groups_whole_and_something_to_train_on(seed: int, number: int, share: float) -> None:
    pairs = [pair(place) for place in range(number)]
    train, held_out = split_pairs(pairs, held_out=share, seed=seed)
    assert Counter(train) + Counter(held_out) == Counter(pairs)
    assert not {one.group for one in train} & {one.group for one in held_out}
    assert train
    assert abs(len(held_out) - share * number) <= 2
    assert (train, held_out) == split_pairs(pairs, held_out=share, seed=seed)


def test_pairs_without_a_group_are_kept_together_by_their_prompt() -> None:
    pairs = [pair(number // 5, group="", chosen=f"{number}") for number in range(40)]
    train, held_out = split_pairs(pairs, held_out=0.25)
    assert not {one.prompt for one in train} & {one.prompt for one in held_out}
    assert len(held_out) == 10
    with pytest.raises(InvalidInput, match="share"):
        split_pairs(pairs, held_out=1.0)


def test_pairs_become_a_dataset_with_the_published_columns(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from datasets import disable_progress_bars, enable_progress_bars, load_from_disk

    made = as_dataset([pair(1), pair(2)])
    disable_progress_bars()
    try:
        made.save_to_disk(str(tmp_path / "set"))
    finally:
        enable_progress_bars()
    again: Any = load_from_disk(str(tmp_path / "set"))
    assert again.column_names[: len(PUBLISHED)] == PUBLISHED
    assert again[1]["chosen"] == pair(2).chosen


def test_a_dataset_takes_the_place_of_another_and_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from datasets import disable_progress_bars, enable_progress_bars, load_from_disk

    (tmp_path / "file").touch()
    disable_progress_bars()
    try:
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(InvalidInput, match="file"):
                write_dataset(place, [pair(1)])
        write_dataset(tmp_path / "set", [pair(1)])
        write_dataset(tmp_path / "set", [pair(1), pair(2)])
    finally:
        enable_progress_bars()
    assert len(load_from_disk(str(tmp_path / "set"))) == 2
