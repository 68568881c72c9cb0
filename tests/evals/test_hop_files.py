"""Multi-hop files: the form of the development data, the data sets' own, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hop_examples import PASSAGES, QUESTIONS, lines
from shared_data import shared_path

from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.multihop.files import load_hops, load_passages


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [lines(tmp_path / "questions.jsonl", QUESTIONS), lines(tmp_path / "corpus.jsonl", PASSAGES)]


def test_questions_and_passages_may_come_in_either_order(files: list[Path]) -> None:
    data = load_hops("musique", files)
    assert load_hops("musique", files[::-1]).questions == data.questions
    assert [passage.id for passage in data.passages] == ["p0", "p1", "p2"]
    [question] = data.questions
    assert (question.id, question.answers, question.gold) == ("q0", ("Norland", "the Norland"), ("p0", "p1"))
    assert [hop.question for hop in question.hops] == ["author of The Amber Clock", "birthplace of #1"]
    assert data.left_out == {"of split train": 1, "without an answer": 1, "gold passage not in the corpus": 1}


def test_splits_are_kept_apart(files: list[Path]) -> None:
    assert [question.id for question in load_hops("musique", files, split="train").questions] == ["q1"]
    assert [question.id for question in load_hops("musique", files, split="all").questions] == ["q0", "q1"]
    assert [question.id for question in load_hops("musique", files, answerable=False).questions] == ["q0", "q2"]


def test_hotpotqas_own_form_brings_its_corpus(tmp_path: Path) -> None:
    record = {
        "_id": "h",
        "question": "Where?",
        "answer": "Norland",
        "type": "bridge",
        "supporting_facts": [["Clock", 0], ["Varn", 0]],
        "context": [["Clock", ["One. ", "Two."]], ["Varn", ["Three."]], ["Other", ["Four."]]],
    }
    path = tmp_path / "hotpot.json"
    path.write_text(json.dumps([record, {**record, "_id": "h2"}]))
    data = load_hops("hotpotqa", [path])
    assert [passage.title for passage in data.passages] == ["Clock", "Varn", "Other"]
    assert data.passages[0].text == "One. Two."
    assert data.questions[0].gold == (data.passages[0].id, data.passages[1].id)
    assert [question.answers for question in data.questions] == [("Norland",), ("Norland",)]
    without = {**record, "_id": "h3", "supporting_facts": [["Clock", 0], ["Elsewhere", 0]]}
    path.write_text(json.dumps([record, without]))
    assert load_hops("hotpotqa", [path]).left_out == {"gold passage not in the corpus": 1}


def test_musiques_own_form_brings_its_corpus_and_its_parts(tmp_path: Path) -> None:
    record = {
        "id": "2hop__1_2",
        "question": "Where?",
        "answer": "Norland",
        "answer_aliases": ["the Norland"],
        "paragraphs": [
            {"title": "Clock", "paragraph_text": "One.", "is_supporting": True},
            {"title": "Clock", "paragraph_text": "Two.", "is_supporting": False},
            {"title": "Varn", "paragraph_text": "Three.", "is_supporting": True},
        ],
        "question_decomposition": [
            {"question": "Who?", "answer": "Varn"},
            {"question": "#1 >> born", "answer": "Norland"},
        ],
    }
    [question] = load_hops("musique", [lines(tmp_path / "musique.jsonl", [record])]).questions
    assert (question.type, question.answers) == ("2hop", ("Norland", "the Norland"))
    assert len(question.gold) == 2
    assert [hop.answer for hop in question.hops] == ["Varn", "Norland"]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"id": "q", "question": 3, "answers": [], "gold_ids": []}, "record 0, field question: expected a string"),
        ({"id": "q", "question": "x", "gold_ids": []}, "field answers: is missing"),
        ({"id": "q", "question": "x", "answers": "y", "gold_ids": []}, "field answers: expected a list"),
        ({"_id": "h", "question": "x", "context": [["a"]]}, r"field context\[0\]: expected two values"),
        ({"title": "x", "text": "y"}, "field id: is missing"),
    ],
)
def test_what_is_wrong_is_told_by_file_record_and_field(tmp_path: Path, record: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=f"odd.jsonl, {problem}" if "record" in problem else problem):
        load_hops("musique", [lines(tmp_path / "odd.jsonl", [record])])


def test_what_is_missing_is_told(tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(DataError, match="no passages in questions"):
        load_hops("musique", files[:1])
    with pytest.raises(DataError, match="no questions in corpus"):
        load_hops("musique", files[1:])
    with pytest.raises(InvalidInput, match="needs its files"):
        load_hops("musique")
    with pytest.raises(UnknownName, match="unknown data set"):
        load_hops("triviaqa", files)
    with pytest.raises(UnknownName, match="unknown split"):
        load_hops("musique", files, split="half")
    with pytest.raises(InvalidInput, match="no questions of the split 'test'"):
        load_hops("musique", files, split="test")
    with pytest.raises(DataError, match="'p0' occurs twice"):
        load_hops("musique", [*files, files[1]])
    with pytest.raises(DataError, match="'q0' occurs twice"):
        load_hops("musique", [*files, files[0]])


def test_passages_alone_may_be_in_the_form_of_search_r1(tmp_path: Path) -> None:
    path = lines(tmp_path / "corpus.jsonl", [{"id": 3, "contents": '"Clock"\nIt ticks.'}, {"id": 4, "contents": "No."}])
    assert [(one.id, one.title, one.text) for one in load_passages([path])] == [
        ("3", "Clock", "It ticks."),
        ("4", "", "No."),
    ]
    with pytest.raises(InvalidInput, match="no file"):
        load_passages([])
    with pytest.raises(DataError, match="is a question"):
        load_passages([lines(tmp_path / "questions.jsonl", QUESTIONS)])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "questions", "passages"),
    [("hotpotqa", 199, 3_908), ("2wiki", 382, 9_616), ("musique", 196, 6_417), ("popqa", 500, 1_475)],
)
def test_the_development_files_are_read_whole(name: str, questions: int, passages: int) -> None:
    paths = [shared_path("multihop", f"{name}.{kind}.jsonl.gz") for kind in ("questions", "corpus")]
    data = load_hops(name, paths, split="all", answerable=False)
    assert len(data.questions) + sum(data.left_out.values()) == questions
    assert len(data.passages) == passages
    assert data.left_out == {}
    without = load_hops(name, paths, split="all").left_out
    assert without == ({"without an answer": 53} if name == "2wiki" else {})
