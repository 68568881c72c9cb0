from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shared_data import shared_path

from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.datasets import load_dataset

TIME = "2024/Oct/14/09:14 AM"
LATER = "2024/Nov/01/01:00 PM"


def community(folder: Path, **changes: Any) -> Path:
    files: dict[str, Any] = {
        "private_data/noise_0.0/conversation_data_all": [
            {
                "Name": "Ann",
                "Data": [
                    {
                        "Target_name": "Bo",
                        "Conversations": [
                            {
                                "segment_id": "1",
                                "time": LATER,
                                "conversation": [
                                    {"role": "Ann", "content": "Tea?"},
                                    {"role": "Bo", "content": "Yes."},
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
        "private_data/noise_0.0/user_ai_interaction_data_all": [
            {
                "Name": "Ann",
                "Data": [
                    {
                        "segment_id": "2",
                        "time": TIME,
                        "user_ai_interaction": [
                            {"role": "user", "content": "Hi"},
                            {"role": "assistant", "content": "Hello"},
                        ],
                    }
                ],
            }
        ],
        "private_data/noise_0.0/purchase_history_data_all": [
            {
                "Name": "Ann",
                "Data": [
                    {
                        "segment_id": "3",
                        "time": TIME,
                        "purchase_history": [
                            {
                                "title": "Kettle",
                                "brand": "Acme",
                                "description": "Boils.",
                                "categories": ["Kitchen", "Tea"],
                            }
                        ],
                    }
                ],
            }
        ],
        "eval_info/eval_info_all": [
            {"Name": "Ann", "Eval_Info": {"qa": [asked("a"), asked("b", kind="Subjective"), asked("c"), asked("d")]}},
            {"Name": "Cy", "Eval_Info": {"qa": [asked("e")]}},
        ],
        "eval_info/qa_gt_context_all_noise_0.0": [
            {"q_id": "a", "segment_id": {"tea": ["1", "2"], "kettle": ["3"]}},
            {"q_id": "b", "segment_id": {"tea": ["1"]}},
            {"q_id": "d", "segment_id": {"tea": ["99"]}},
        ],
        **changes,
    }
    for name, content in files.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def asked(question_id: str, kind: str = "Preference") -> dict[str, Any]:
    return {"q_id": question_id, "question": "What?", "answer": ["tea", "kettle"], "type": kind}


def test_three_kinds_of_record_become_sessions_by_date(tmp_path: Path) -> None:
    (history,) = load_dataset("personabench", [community(tmp_path)]).histories
    assert history.user_id == "Ann"
    assert [session.id for session in history.sessions] == ["2", "3", "1"]
    talk, purchase, conversation = history.sessions
    assert [(m.role, m.name, m.content) for m in conversation.messages] == [
        ("user", "Ann", "Tea?"),
        ("user", "Bo", "Yes."),
    ]
    assert [(m.role, m.name) for m in talk.messages] == [("user", None), ("assistant", None)]
    assert purchase.messages[0].content == "Bought: Kettle (Acme)\nBoils.\nKitchen, Tea"
    assert purchase.messages[0].id == "3:0"


def test_gold_keeps_the_alternatives_of_each_part(tmp_path: Path) -> None:
    data = load_dataset("personabench", [community(tmp_path)])
    question = data.questions[0]
    assert question.gold_alternatives == (("1", "2"), ("3",))
    assert question.gold_sessions == ("1", "2", "3")
    assert {q.id: q.no_gold for q in data.questions} == {
        "a": "",
        "b": "subjective",
        "c": "no evidence",
        "d": "evidence does not resolve",
    }
    assert data.left_out == {"user has no private data": 1}
    assert data.files[0].name.endswith("/conversation_data_all.json")


def test_a_noise_level_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"use one of 0\.0"):
        load_dataset("personabench", [community(tmp_path)], noise="0.9")


def test_a_folder_that_is_no_community_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder private_data"):
        load_dataset("personabench", [tmp_path])
    with pytest.raises(InvalidInput, match="one folder"):
        load_dataset("personabench", [tmp_path, tmp_path])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("eval_info/eval_info_all", [{"Name": "Ann"}], "eval_info_all.json, record 0, field Eval_Info: is missing"),
        (
            "private_data/noise_0.0/purchase_history_data_all",
            [{"Name": "Ann", "Data": [{"segment_id": "3", "time": TIME}]}],
            r"record 0, field Data\[0\].purchase_history: is missing",
        ),
        (
            "private_data/noise_0.0/purchase_history_data_all",
            [{"Name": "Ann", "Data": [{"segment_id": "1", "time": TIME, "purchase_history": []}]}],
            r"Data\[0\].segment_id: '1' occurs twice for Ann",
        ),
        (
            "eval_info/qa_gt_context_all_noise_0.0",
            [{"q_id": "a", "segment_id": {"tea": "1"}}],
            "field segment_id.tea: expected a list, found a string",
        ),
    ],
)
def test_the_wrong_schema_is_named(tmp_path: Path, name: str, content: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_dataset("personabench", [community(tmp_path, **{name: content})])


@pytest.mark.data
@pytest.mark.parametrize(("noise", "sessions"), [("0.0", 264), ("0.7", 958)])
def test_the_development_files(noise: str, sessions: int) -> None:
    data = load_dataset("personabench", [shared_path("personabench", "community_0")], noise=noise)
    assert sum(len(history.sessions) for history in data.histories) == sessions
    assert Counter(question.no_gold for question in data.questions) == {"": 116, "subjective": 17}
    assert data.left_out == {"user has no private data": 303}
