from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shared_data import shared_path

from memagent.errors import DataError
from memagent.evals.datasets import load_dataset

CONTENT = """[SYSTEM] Current user persona: Name: Ann

likes tea

[USER] User: I paint.

With oil.

[ASSISTANT] Assistant: Lovely.

[USER] \n
[ASSISTANT] Go on.

[USER] I sold two [USER] paintings."""

QUERY = "User: Ann\n\nWhat next?\n\n(a) Paint\nmore.\n(b) Rest.\n(c) Sing."


def question(**changes: Any) -> dict[str, Any]:
    return {
        "id": "q1",
        "query": QUERY,
        "gold_answers": ["(b) Rest.", "b"],
        "gold_ids": ["u_0"],
        "user_id": "u",
        "meta": {"question_type": "suggest_new_ideas", "retrieval_query": "User: Ann\n\nWhat next?"},
        **changes,
    }


def document(**changes: Any) -> dict[str, Any]:
    return {"id": "u_0", "content": CONTENT, "user_id": "u", **changes}


def written(folder: Path, questions: list[Any], documents: list[Any]) -> list[Path]:
    paths = [folder / "queries.json", folder / "documents.json"]
    for path, records in zip(paths, (questions, documents), strict=True):
        path.write_text(json.dumps(records), encoding="utf-8")
    return paths


def test_options_stand_apart_from_what_is_searched_for(tmp_path: Path) -> None:
    [found] = load_dataset("personamem", written(tmp_path, [question()], [document()])).questions
    assert found.text == "User: Ann\n\nWhat next?"
    assert found.options == ("Paint\nmore.", "Rest.", "Sing.")
    assert (found.answer, found.type, found.gold_sessions) == ("b", "suggest_new_ideas", ())
    assert not found.abstention


def test_the_persona_and_empty_messages_are_left_out_and_a_roles_messages_joined(tmp_path: Path) -> None:
    [history] = load_dataset("personamem", written(tmp_path, [question()], [document()])[::-1]).histories
    [session] = history.sessions
    assert [(message.role, message.content) for message in session.messages] == [
        ("user", "User: I paint.\n\nWith oil."),
        ("assistant", "Assistant: Lovely.\n\nGo on."),
        ("user", "I sold two [USER] paintings."),
    ]


def test_users_nobody_asks_about_are_left_out(tmp_path: Path) -> None:
    other = document(id="v_0", user_id="v")
    assert len(load_dataset("personamem", written(tmp_path, [question()], [document(), other])).histories) == 1


@pytest.mark.parametrize(
    ("questions", "documents", "says"),
    [
        ([], [document()], "no questions"),
        ([question()], [], "no documents"),
        ([question(query="What next?")], [document()], "record 0, field query: holds no options"),
        ([question(query="x\n(a) one\n(c) two")], [document()], "a, c, which are not a, b"),
        ([question(gold_answers=["z"])], [document()], "field gold_answers: names no option out of a, b, c"),
        ([question(user_id="w")], [document()], "no document of 'w'"),
        ([question(), question()], [document()], "'q1' occurs twice"),
        ([question()], [document(), document()], "'u_0' occurs twice"),
        ([question()], [document(content="hello [USER] x")], "field content: does not begin with [SYSTEM]"),
        ([question(meta={})], [document()], "field meta.retrieval_query: is missing"),
    ],
)
def test_what_is_not_personamem_is_refused_with_its_place(
    tmp_path: Path, questions: list[Any], documents: list[Any], says: str
) -> None:
    with pytest.raises(DataError) as refused:
        load_dataset("personamem", written(tmp_path, questions, documents))
    assert says in str(refused.value)


@pytest.mark.data
def test_the_development_file_is_read_whole() -> None:
    files = [shared_path("personamem", f"personamem_32k_{part}.json.gz") for part in ("queries", "documents")]
    data = load_dataset("personamem", files)
    assert (len(data.questions), len(data.histories)) == (183, 13)
    assert sum(len(history.sessions) for history in data.histories) == 70
    assert all(len(question.options) == 4 and question.answer in "abcd" for question in data.questions)
    assert all("(a)" not in question.text for question in data.questions)
