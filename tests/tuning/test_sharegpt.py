"""Preference pairs in the shape that LLaMA-Factory reads."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.errors import DataError
from memagent.tuning.pairs import PreferencePair, read_pairs
from memagent.tuning.sharegpt import sharegpt_record, write_sharegpt

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
REWARDS = st.none() | st.floats(-1e6, 1e6)


@settings(max_examples=30)
@given(
    pairs=st.lists(
        st.builds(
            PreferencePair,
            instruction=TEXTS | st.just(""),
            input=TEXTS,
            chosen=TEXTS.map("a".__add__),
            rejected=TEXTS.map("b".__add__),
            group=st.text(st.characters(exclude_categories=["Cs"])),
            chosen_reward=REWARDS,
            rejected_reward=REWARDS,
        ),
        min_size=1,
        max_size=4,
    ),
    name=st.sampled_from(["pairs.json", "pairs.jsonl"]),
)
def test_pairs_survive_a_file(pairs: list[PreferencePair], name: str) -> None:
    with TemporaryDirectory() as folder:
        write_sharegpt(Path(folder) / name, pairs)
        assert read_pairs(Path(folder) / name) == pairs


def test_the_shape_is_that_of_llama_factory() -> None:
    pair = PreferencePair(instruction="Be brief.", input="Who?", chosen="Ann", rejected="Bob", group="q1")
    assert sharegpt_record(pair) == {
        "conversations": [{"from": "human", "value": "Who?"}],
        "system": "Be brief.",
        "chosen": {"from": "gpt", "value": "Ann"},
        "rejected": {"from": "gpt", "value": "Bob"},
        "group": "q1",
    }
    assert "system" not in sharegpt_record(PreferencePair(instruction="", input="Who?", chosen="Ann", rejected="Bob"))


GOOD: dict[str, Any] = {
    "conversations": [{"from": "human", "value": "Who?"}],
    "chosen": {"from": "gpt", "value": "Ann"},
    "rejected": {"from": "gpt", "value": "Bob"},
}


def test_a_system_turn_and_openai_names_are_read_too(tmp_path: Path) -> None:
    said = [{"from": "system", "value": "Be brief."}, {"from": "user", "value": "Who?"}]
    place = tmp_path / "pairs.json"
    place.write_text(json.dumps([{**GOOD, "conversations": said, "chosen": {"from": "assistant", "value": "Ann"}}]))
    assert read_pairs(place) == [PreferencePair(instruction="Be brief.", input="Who?", chosen="Ann", rejected="Bob")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conversations": "Who?"}, "no list"),
        ({"conversations": []}, "nobody spoke"),
        ({"conversations": [*GOOD["conversations"], {"from": "gpt", "value": "Ann"}]}, "human, gpt spoke"),
        ({"conversations": [{"from": "gpt", "value": "Ann"}]}, "gpt spoke"),
        ({"conversations": [{"value": "Who?"}]}, r"conversations\[0\]"),
        ({"chosen": "Ann"}, "'chosen' has no 'from'"),
        ({"rejected": {"from": "human", "value": "Bob"}}, "from 'human'"),
        ({"rejected": GOOD["chosen"]}, "the same"),
        ({"chosen": {"from": "gpt", "value": " "}}, "empty"),
        ({"system": 3}, "'system'"),
        ({"chosen_reward": "much"}, "chosen_reward"),
    ],
)
def test_a_damaged_record_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    place = tmp_path / "pairs.json"
    place.write_text(json.dumps([GOOD, {**GOOD, **change}]))
    with pytest.raises(DataError, match=f"record 2.*{said}"):
        read_pairs(place)
