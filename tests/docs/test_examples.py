"""The programs in examples/ do what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from memagent import Memory
from memagent.errors import UnknownUser
from memagent.testing import HashingEncoder

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def longmemeval_question() -> dict[str, Any]:
    """A record in LongMemEval's format."""
    said = [
        [{"role": "user", "content": "I keep bees."}, {"role": "assistant", "content": "How many hives?"}],
        [{"role": "user", "content": "I sail."}, {"role": "assistant", "content": "Where?"}],
    ]
    said[0][0]["has_answer"] = True  # type: ignore[assignment]
    return {
        "question_id": "q1",
        "question_type": "single-session-user",
        "question": "Which insects do I keep?",
        "answer": "bees",
        "question_date": "2023/06/03 (Sat) 15:47",
        "haystack_dates": ["2023/05/20 (Sat) 05:18", "2023/05/24 (Wed) 18:41"],
        "haystack_session_ids": ["answer_1", "other_1"],
        "haystack_sessions": said,
        "answer_session_ids": ["answer_1"],
    }


def test_the_chat_loop_recalls_what_was_said_in_an_earlier_run(tmp_path: Path) -> None:
    chat = load("chat_loop").chat
    assert chat(tmp_path / "store", "ann", ["I moved to Lisbon."]) == ["(I was shown 0 earlier things you said.)"]
    assert chat(tmp_path / "store", "ann", ["Where do I live?"]) == ["(I was shown 1 earlier things you said.)"]


def test_a_user_is_exported_checked_and_erased(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        memory.add("I keep bees.", user_id="ann")
    erased = load("export_and_erase").hand_over_and_forget(tmp_path / "store", "ann", tmp_path / "ann.jsonl")
    assert erased["units"] == 2
    assert "I keep bees." in (tmp_path / "ann.jsonl").read_text(encoding="utf-8")
    with Memory(tmp_path / "store") as memory, pytest.raises(UnknownUser):
        memory.search("bees", user_id="ann")


def test_an_ab_test_without_users_has_a_verdict_and_a_report(tmp_path: Path) -> None:
    report = load("ab_test").ab_test(tmp_path, people=60)
    assert [verdict.finding for verdict in report.verdicts] == ["better"]
    assert (tmp_path / "report.html").exists()


@pytest.mark.model
def test_a_cloud_and_a_device_in_two_processes_show_what_crossed() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    [text] = load("cloud_device").run(tasks=1)
    crossed = "\n".join(line for line in text.splitlines() if line.startswith("    | "))
    assert "because [PROFILE_1] and I are going to [PLACE_1]" in crossed
    assert "mention [PROFILE_1], [PLACE_1]" in crossed
    assert not any(private in crossed for private in ("Katrin", "Brașov", "Mirela", "Graz"))
    assert "answer   (About Katrin, Brașov, from Graz.) Yours, Mirela Dobre" in text


def test_retrievers_are_measured_on_a_longmemeval_file(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps([longmemeval_question()]), encoding="utf-8")
    table = load("longmemeval").measure(file, ["bm25", "dense"], HashingEncoder())
    assert "recall_all@5" in table
    assert "| bm25 |" in table
