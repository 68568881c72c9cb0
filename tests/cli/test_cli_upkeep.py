"""Looking after a store: users, stats, verify, reindex, doctor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import LOADED, CommandLine

from memagent import Memory
from memagent.cli.words import missed

RUSSIAN = "В мае я переехал в Лиссабон, и моему коту нравится новый балкон."


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "store")


def findings(cli: CommandLine, *arguments: str, status: int = 0) -> dict[str, list[dict[str, str]]]:
    """What ``doctor`` finds, by the thing that was looked at."""
    done = cli("doctor", "--json", *arguments)
    assert done.exit_code == status, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"] == (status == 0)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["what"], []).append(finding)
    return found


def test_users_are_listed_one_a_line(cli: CommandLine) -> None:
    for user in ("bob", "ann", "zo\x1b[31më", "two\nlines"):
        cli.add("I keep bees.", user=user)
    assert cli("users").stdout.splitlines() == ["ann", "bob", "two lines", "zo\ufffd[31më"]
    assert cli.json("users") == {"users": ["ann", "bob", "two\nlines", "zo\x1b[31më"]}


def test_stats_are_of_a_user_or_of_the_store(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    whole = cli.json("stats")
    assert whole["users"] == 1
    assert whole["bytes"] > 4096
    one = cli.json("stats", "--user", "ann")
    assert (one["turn_units"], one["sessions"]) == (1, 1)
    assert "all-MiniLM-L6-v2" in cli("stats", "--user", "ann").stdout
    assert cli("stats").exit_code == 0


def test_verify_fails_on_a_damaged_file_and_names_the_user(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    cli.add("I sail.", user="bob")
    assert cli.json("verify") == {"ok": True, "users": 2, "problems": {}}
    assert cli("verify", "--user", "ann").stderr == "1 of 1 user sound\n"
    for file in cli.store.rglob("*.db"):
        content = bytearray(file.read_bytes())
        content[4096:8192] = bytes(4096)
        file.write_bytes(content)
        break
    done = cli("verify")
    assert done.exit_code == 1
    assert "1 of 2 users sound" in done.stderr
    assert "problem" in done.stdout


def test_a_changed_encoder_is_refused_until_the_user_is_embedded_again(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    cli.add("I sail.", user="bob")
    said = cli.refused("search", "insects", "--user", "ann", "--long-text", "truncate", status=1)
    assert "memagent reindex" in said
    found = findings(cli, "--long-text", "truncate", status=1)
    assert "another encoder" in found["user 'ann'"][0]["detail"]
    assert cli.json("reindex", "--user", "ann", "--long-text", "truncate") == {"users": {"ann": 1}, "units": 1}
    assert cli("search", "insects", "--user", "ann", "--long-text", "truncate").exit_code == 0
    done = cli("reindex", "--all", "--long-text", "truncate")
    assert done.stderr.splitlines()[-1] == "1 unit of 1 user embedded again"
    assert cli.json("reindex", "--all", "--long-text", "truncate") == {"users": {}, "units": 0}
    assert "either --user or --all" in cli.refused("reindex")


def test_embedding_everybody_again_can_be_stopped_and_goes_on(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("ann", "bob", "zoe"):
        cli.add("I keep bees.", user=user)
    whole = Memory.reindex

    def stopped_at_bob(memory: Memory, *, user_id: str) -> int:
        if user_id == "bob":
            raise KeyboardInterrupt
        return whole(memory, user_id=user_id)

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "reindex", stopped_at_bob)
        said = cli.refused("reindex", "--all", "--long-text", "truncate", status=3)
    assert said.splitlines()[-2:] == ["error: stopped after 1 of 3 users", "hint: the same command goes on"]
    assert cli.json("reindex", "--all", "--long-text", "truncate")["users"] == {"bob": 1, "zoe": 1}


def test_what_needs_no_encoder_works_with_any(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli.add("I keep bees.")
    monkeypatch.setenv("MEMAGENT_ENCODER", str(tmp_path / "gone"))
    assert "gone" in cli.refused("search", "bees", "--user", "ann")
    assert cli.json("get", identifier)["memory"] == "I keep bees."
    for command in (("history", identifier), ("stats", "--user", "ann"), ("users",)):
        assert cli(*command).exit_code == 0
    assert cli("export", str(tmp_path / "ann.jsonl"), "--user", "ann").exit_code == 0
    assert cli("backup", str(tmp_path / "ann.db"), "--user", "ann").exit_code == 0
    assert cli("forget", "--user", "ann", "--yes").exit_code == 0


def test_doctor_finds_nothing_wrong_with_a_sound_store(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May. 🙂")
    found = findings(cli)
    assert {finding["state"] for listed in found.values() for finding in listed} == {"ok"}
    assert "3." in found["SQLite"][0]["detail"]
    assert "onnxruntime" in found["packages"][0]["detail"]
    assert "all-MiniLM-L6-v2, 384 dimensions" in found["encoder"][0]["detail"]
    assert "GB free" in found["disk"][0]["detail"]
    assert found["users"][0]["detail"] == "1 user"
    shown = cli("doctor")
    assert shown.exit_code == 0
    assert "can be written" in " ".join(shown.stdout.split())


def test_doctor_looks_at_a_store_that_is_not_there_yet(cli: CommandLine) -> None:
    assert "is not there yet" in findings(cli)["store"][0]["detail"]
    assert not cli.store.exists()


def test_doctor_warns_of_a_language_that_the_encoder_cannot_read(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May.")
    cli.add(RUSSIAN, user="Иван")
    found = findings(cli)
    (warning,) = found["user 'Иван'"]
    assert warning["state"] == "warning"
    assert "paraphrase-multilingual-MiniLM-L12-v2" in warning["hint"]
    assert "--user 'Иван'" in warning["hint"] or "--user Иван" in warning["hint"]
    assert "user 'ann'" not in found
    assert "user 'Иван'" not in findings(cli, "--user", "ann")


def test_doctor_reports_what_stops_it(cli: CommandLine, tmp_path: Path) -> None:
    cli.add("I keep bees.")
    found = findings(cli, "--encoder", str(tmp_path / "gone"), status=1)
    assert found["encoder"][0]["state"] == "problem"
    (file,) = cli.store.rglob("*.db")
    file.write_bytes(b"not a database")
    assert any(f["state"] == "problem" for f in findings(cli, status=1)["users"])
    cli.store.rename(tmp_path / "moved")
    cli.store.write_text("a file")
    assert findings(cli, status=1)["store"][0]["state"] == "problem"


def test_doctor_warns_when_the_disk_is_nearly_full(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage(cli.store.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=1000))
    assert findings(cli)["disk"][0]["state"] == "warning"


@pytest.mark.parametrize(
    "text",
    [
        "I moved to Lisbon in May, and my cat likes the new balcony. 🙂",
        "Ich bin im Mai nach München gezogen und meine Katze mag den Balkon.",
        "W maju przeprowadziłem się do Łodzi, a mój kot lubi nowy balkon.",
        "Tôi chuyển đến Đà Nẵng vào tháng Năm, con mèo thích ban công mới.",
        "ok",
        "",
    ],
)
def test_languages_in_latin_script_are_read(text: str) -> None:
    assert not missed(LOADED(), [text]).much


@pytest.mark.parametrize(
    "text",
    [
        RUSSIAN,
        "我五月份搬到了里斯本，我的猫很喜欢新阳台。",
        "五月にリスボンへ引っ越しました。猫は新しいバルコニーが気に入っています。",
        "저는 5월에 리스본으로 이사했고 고양이는 새 발코니를 좋아해요.",
        "ฉันย้ายไปลิสบอนในเดือนพฤษภาคม แมวของฉันชอบระเบียงใหม่",
        "मैं मई में लिस्बन चला गया और मेरी बिल्ली को नई बालकनी पसंद है।",
        "انتقلت إلى لشبونة في مايو وقطتي تحب الشرفة الجديدة.",
        "עברתי לליסבון במאי והחתול שלי אוהב את המרפסת החדשה.",
        "Μετακόμισα στη Λισαβόνα τον Μάιο και στη γάτα μου αρέσει το μπαλκόνι.",
        "በግንቦት ወደ ሊዝበን ተዛወርኩ እና ድመቴ አዲሱን በረንዳ ትወዳለች።",
    ],
)
def test_languages_that_the_packaged_model_was_not_made_for_are_noticed(text: str) -> None:
    assert missed(LOADED(), [f"[user]: {text}"]).much
