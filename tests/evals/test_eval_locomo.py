from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shared_data import shared_path

from memagent.errors import DataError, UnknownName
from memagent.evals.datasets import load_dataset
from memagent.evals.datasets.locomo import load_locomo


def said(number: str, speaker: str, text: str, **more: str) -> dict[str, str]:
    return {"dia_id": number, "speaker": speaker, "text": text, **more}


def asked(*evidence: str, category: int = 1, **more: Any) -> dict[str, Any]:
    return {"question": "Who?", "answer": "Ann", "evidence": list(evidence), "category": category, **more}


def conversation(*questions: dict[str, Any], **sessions: Any) -> dict[str, Any]:
    return {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bo",
            "session_10": [said("D10:1", "Bo", "later")],
            "session_10_date_time": "9:00 am on 2 June, 2023",
            "session_2": [
                said("D2:1", "Ann", "look", blip_caption="a photo of a dog"),
                said("D2:2", "Bo", "", blip_caption="a photo of a cat"),
                said("D2:3", "Bo", " "),
            ],
            "session_2_date_time": "1:56 pm on 8 May, 2023",
            "session_3": [],
            "session_4_date_time": "1:56 pm on 9 May, 2023",
            **sessions,
        },
        "session_summary": {"session_2_summary": "They looked at photos."},
        "qa": list(questions),
    }


def load(folder: Path, *records: dict[str, Any], categories: tuple[int, ...] = (1, 2, 3, 4)) -> Any:
    path = folder / "locomo.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return load_locomo([path], categories=categories)


def test_a_conversation_is_a_user_with_sessions_in_order(tmp_path: Path) -> None:
    (history,) = load(tmp_path, conversation()).histories
    assert history.user_id == "conv-1"
    assert [session.id for session in history.sessions] == ["session_2", "session_10"]
    first = history.sessions[0]
    assert first.date.isoformat() == "2023-05-08T13:56:00+00:00"
    assert first.summary == "They looked at photos."
    assert [(m.id, m.role, m.name, m.content) for m in first.messages] == [
        ("D2:1", "user", "Ann", "look\n[a photo of a dog]"),
        ("D2:2", "user", "Bo", "[a photo of a cat]"),
    ]


@pytest.mark.parametrize(
    ("evidence", "sessions", "messages", "reason"),
    [
        (["D2:1"], ["session_2"], ["D2:1"], ""),
        (["D10:1", "D2:2", "D2:1"], ["session_10", "session_2"], ["D10:1", "D2:2", "D2:1"], ""),
        (["D2:1; D10:1"], ["session_2", "session_10"], ["D2:1", "D10:1"], ""),
        (["D2:1 D2:2"], ["session_2"], ["D2:1", "D2:2"], ""),
        (["D:10:1"], ["session_10"], ["D10:1"], ""),
        (["D2:01"], ["session_2"], ["D2:1"], ""),
        (["D2:1", "D2:99"], ["session_2"], [], ""),  # part of the gold messages is unknown
        (["D2:1", "D"], ["session_2"], [], ""),
        (["D2:1", "D3:1"], ["session_2"], [], ""),
        (["D77:1"], [], [], "evidence does not resolve"),
        (["D"], [], [], "evidence does not resolve"),
        ([], [], [], "no evidence"),
        ([""], [], [], "no evidence"),
    ],
)
def test_evidence_is_resolved(
    tmp_path: Path, evidence: list[str], sessions: list[str], messages: list[str], reason: str
) -> None:
    (question,) = load(tmp_path, conversation(asked(*evidence))).questions
    assert list(question.gold_sessions) == sessions
    assert list(question.gold_messages) == messages
    assert question.no_gold == reason


def test_questions_of_other_categories_are_left_out_and_counted(tmp_path: Path) -> None:
    questions = [asked("D2:1", category=number) for number in (1, 2, 3, 4, 5, 5)]
    data = load(tmp_path, conversation(*questions))
    assert [question.type for question in data.questions] == ["multi-hop", "temporal", "open-domain", "single-hop"]
    assert data.left_out == {"category not chosen": 2}
    everything = load(tmp_path, conversation(*questions), categories=(1, 2, 3, 4, 5))
    assert len(everything.questions) == 6
    assert everything.left_out == {}


def test_an_adversarial_question_has_no_answer_of_its_own(tmp_path: Path) -> None:
    question = asked("D2:1", category=5, adversarial_answer="a trap")
    del question["answer"]
    (loaded,) = load(tmp_path, conversation(question), categories=(5,)).questions
    assert loaded.answer == "a trap"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (conversation(session_2=[{"dia_id": "D2:1", "speaker": "Ann"}]), r"session_2\[0\].text: is missing"),
        (conversation(session_2=[said("D2:1", "Ann", "a")] * 2), "'D2:1' occurs twice"),
        (conversation(session_2="text"), "conversation.session_2: expected a list, found a string"),
        (conversation(session_2_date_time="May"), "session_2_date_time: 'May' is not a time like"),
        (conversation(asked("D2:1", category=9)), r"qa\[0\].category: 9 is not one of"),
        (conversation({"question": "Who?"}), r"qa\[0\].category: is missing"),
        ([], ": expected an object, found a list"),
        ({"sample_id": "conv-1"}, "field conversation: is missing"),
    ],
)
def test_the_wrong_schema_is_named(tmp_path: Path, record: Any, says: str) -> None:
    with pytest.raises(DataError, match=f"locomo.json, record 0.*{says}"):
        load(tmp_path, record)


def test_a_conversation_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record 1, field sample_id: 'conv-1' occurs twice"):
        load(tmp_path, conversation(), conversation())


@pytest.mark.parametrize("categories", [(), (0,), (1, 6)])
def test_unknown_categories_are_refused_with_the_valid_ones(categories: tuple[int, ...]) -> None:
    with pytest.raises(UnknownName, match=r"5 \(adversarial\)"):
        load_dataset("locomo", [Path("x.json")], categories=categories)


@pytest.mark.data
def test_the_development_file() -> None:
    data = load_dataset("locomo", [shared_path("locomo", "locomo5_dev.json.gz")])
    scored = [question for question in data.questions if not question.no_gold]
    assert len(scored) == 786
    assert Counter(question.type for question in scored) == {
        "multi-hop": 151,
        "temporal": 157,
        "open-domain": 59,
        "single-hop": 419,
    }
    assert Counter(question.no_gold for question in data.questions if question.no_gold) == {"no evidence": 2}
    assert data.left_out == {"category not chosen": 232}
    assert [len(history.sessions) for history in data.histories] == [19, 32, 29, 31, 25]
    assert sum(bool(question.gold_messages) for question in scored) == 785
