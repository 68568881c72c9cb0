"""``memagent calibrate rf-mem``: from a data set or a store to a file that the retriever loads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import memagent.encoders
from memagent import Memory
from memagent.cli import app
from memagent.errors import InvalidInput
from memagent.records import Message, Session
from memagent.retrievers import RFMem
from memagent.retrievers.calibration import read_calibration
from memagent.testing import HashingEncoder

TOPICS = ("cello", "running", "boiler", "tomatoes", "bees", "harbour", "birds", "bicycle")
ENCODER = HashingEncoder(dim=32)


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memagent.encoders, "load_encoder", lambda *args, **options: ENCODER)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three conversations of eight sessions, with a question about each."""
    samples = []
    for number in range(3):
        conversation: dict[str, Any] = {"speaker_a": "Ann", "speaker_b": "Bo"}
        questions = []
        for i, topic in enumerate(TOPICS, start=1):
            conversation[f"session_{i}"] = [
                {"dia_id": f"D{i}:1", "speaker": "Ann", "text": f"My {topic} again, and {TOPICS[i - 2]}."},
                {"dia_id": f"D{i}:2", "speaker": "Bo", "text": f"Tell me, {number}."},
            ]
            conversation[f"session_{i}_date_time"] = f"1:0{i} pm on {i} May, 2023"
            questions.append(
                {"question": f"What about the {topic}?", "answer": "x", "evidence": [f"D{i}:1"], "category": 1}
            )
        samples.append({"sample_id": f"conv-{number}", "conversation": conversation, "qa": questions})
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps(samples), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two users who say forty things each, some of them questions."""
    begun = datetime(2025, 1, 1, tzinfo=UTC)
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        for user_id in ("ann", "bob"):
            sessions = [
                Session(
                    id=f"s{number}",
                    messages=tuple(
                        Message(
                            role=role,
                            content=f"{TOPICS[(number + turn) % 8]} and {TOPICS[number % 7]}" + "?" * (role == "user"),
                            event_at=begun + timedelta(days=number, minutes=turn),
                        )
                        for turn in range(4)
                        for role in ("user", "assistant")
                    ),
                )
                for number in range(10)
            ]
            memory.add_many(sessions, user_id=user_id)
    return tmp_path / "store"


def run(tmp_path: Path, *arguments: str) -> Result:
    place = ["--out", str(tmp_path / "t.json"), "--cache-dir", str(tmp_path / "cache")]
    return CliRunner().invoke(app, ["calibrate", "rf-mem", *place, *arguments])


def test_a_data_set_gives_thresholds_and_what_they_are_worth(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, "--dataset", "locomo", "--data", str(data))
    assert done.exit_code == 0, done.output
    found = read_calibration(str(tmp_path / "t.json"))
    assert (found.encoder, found.granularity, found.method) == (ENCODER.fingerprint, "session", "labelled")
    assert (found.data["questions"], found.data["conversations"]) == (24, 3)
    assert found.data["files"][0]["name"] == "locomo.json"
    measured = found.measured
    assert measured["fitted"] >= max(measured["familiarity"], measured["recollection"]) - 1e-9
    assert measured["held_out"]["folds"] == 3
    assert measured["held_out"]["gated"] <= measured["fitted"]
    assert "recall_all@5 held out" in done.stdout
    assert not (tmp_path / "t.json.partial").exists()


def test_one_conversation_has_nothing_to_hold_out(tmp_path: Path, data: Path) -> None:
    first = json.loads(data.read_text(encoding="utf-8"))[0]
    first["qa"] = [
        {**question, "question": f"{question['question']} {n}"} for question in first["qa"] for n in range(3)
    ]
    data.write_text(json.dumps([first]), encoding="utf-8")
    done = run(tmp_path, "--dataset", "locomo", "--data", str(data))
    assert done.exit_code == 0, done.output
    assert "unknown: the questions are of one conversation" in done.stdout
    assert read_calibration(str(tmp_path / "t.json")).measured["held_out"] is None


def test_settings_and_granularity_go_into_the_file(tmp_path: Path, data: Path) -> None:
    options = ("--granularity", "turn", "--set", "rf-mem.probe=5", "--set", "rf-mem.entropy_reduction=sum")
    done = run(tmp_path, "--dataset", "locomo", "--data", str(data), *options)
    assert done.exit_code == 0, done.output
    found = read_calibration(str(tmp_path / "t.json"))
    assert (found.granularity, found.probe, found.entropy_reduction) == ("turn", 5, "sum")
    with pytest.raises(InvalidInput, match="probe=5"):
        RFMem(calibration=str(tmp_path / "t.json"), entropy_reduction="sum")


def test_a_store_gives_thresholds_by_share_and_a_search_loads_them(tmp_path: Path, store: Path) -> None:
    done = run(tmp_path, "--store", str(store), "--share", "0.3")
    assert done.exit_code == 0, done.output
    file = tmp_path / "t.json"
    found = read_calibration(str(file))
    assert (found.granularity, found.method, found.alpha) == ("turn", "unlabelled", 0.5)
    assert found.data == {"name": "a store's own messages", "users": 2, "messages": 40, "share": 0.3}
    assert found.measured["recollecting"] == pytest.approx(0.3, abs=0.1)
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
    with Memory(store, encoder=ENCODER, background=False) as memory:
        reply = memory.search("bees?", user_id="ann", retriever=RFMem(calibration=str(file)), explain=True)
        assert reply["trace"]["signals"]["decided_by"] in {"mean-high", "mean-low", "entropy"}
    with Memory(store, encoder=HashingEncoder(dim=48), background=False) as other:
        other.add("I keep bees.", user_id="new")
        with pytest.raises(InvalidInput, match="another encoder"):
            other.search("bees?", user_id="new", retriever=RFMem(calibration=str(file)))


def test_one_user_of_a_store_and_the_published_share_are_the_default(tmp_path: Path, store: Path) -> None:
    assert run(tmp_path, "--store", str(store), "--user", "ann", "--limit", "30").exit_code == 0
    found = read_calibration(str(tmp_path / "t.json"))
    assert (found.data["users"], found.data["messages"]) == (1, 20)
    assert found.data["share"] == pytest.approx(0.4705, abs=1e-4)
    few = run(tmp_path, "--store", str(store), "--user", "ann", "--limit", "9")
    assert few.exit_code == 2
    assert "9 messages with earlier history are too few" in few.stderr


def test_messages_are_asked_about_what_was_said_before_them_only(tmp_path: Path, store: Path) -> None:
    """At the first of these messages the history holds 20 turns; a probe of 39 is full for the last one alone."""
    done = run(tmp_path, "--store", str(store), "--set", "rf-mem.probe=30")
    assert done.exit_code == 0, done.output
    assert read_calibration(str(tmp_path / "t.json")).data["messages"] == 20
    done = run(tmp_path, "--store", str(store), "--set", "rf-mem.probe=39")
    assert "2 messages with earlier history are too few" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "pass --dataset or --store"),
        (("--dataset", "demo", "--store", "x"), "pass one of them"),
        (("--store", "nowhere"), "no store at nowhere"),
        (("--dataset", "locomo", "--data", "gone.json"), "gone.json"),
        (("--dataset", "locomo", "--data", "DATA", "--limit", "5"), "5 questions are too few"),
        (("--dataset", "locomo", "--data", "DATA", "--set", "rf-mem.nope=1"), "'alpha'"),
        (("--dataset", "locomo", "--data", "DATA", "--set", "dense.m=1"), "rf-mem"),
        (("--store", "STORE", "--user", "zoe"), "'zoe'"),
        (("--store", "STORE", "--share", "2"), "less than or equal to 1"),
    ],
)
def test_bad_input_is_refused_with_what_is_valid(
    tmp_path: Path, data: Path, store: Path, arguments: tuple[str, ...], says: str
) -> None:
    places = {"DATA": str(data), "STORE": str(store)}
    refused = run(tmp_path, *(places.get(argument, argument) for argument in arguments))
    assert refused.exit_code == 2, refused.output
    assert says in " ".join(refused.output.split())
    assert not (tmp_path / "t.json").exists()


def test_a_place_that_is_no_file_is_refused_before_any_work(tmp_path: Path) -> None:
    refused = run(tmp_path, "--dataset", "demo", "--out", str(tmp_path / "no" / "t.json"))
    assert refused.exit_code == 2
    assert "name a file in a folder that exists" in refused.output


def test_help_has_an_example_and_the_command_is_listed() -> None:
    shown = " ".join(CliRunner().invoke(app, ["calibrate", "rf-mem", "--help"]).output.split())
    assert "Example: memagent calibrate rf-mem --dataset locomo" in shown
    assert "calibration=thresholds.json" in shown
    assert "calibrate" in CliRunner().invoke(app, ["--help"]).output
