"""The page about the command line says what is so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from command_line import CommandLine

from memagent.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
LINES = [line for body in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S) for line in body.splitlines()]


def test_every_line_of_the_page_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sessions.jsonl").write_text(json.dumps({"session_id": "a", "messages": ["I keep bees."]}))
    cli = CommandLine(tmp_path / "store")
    identifier = ""
    for line in LINES:
        program, *arguments = shlex.split(line)
        assert program == "memagent"
        if arguments[:2] == ["delete", "--user"]:
            cli.add("I sail.", "--session", "may")
        done = cli(*(identifier if argument == "ID" else argument for argument in arguments))
        assert done.exit_code == 0, f"{line}\n{done.output}"
        if arguments[0] == "add" and not identifier:
            identifier = re.findall(r"\b[0-9A-Z]{26}\b", done.stdout)[0]


def test_the_page_has_an_example_of_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # the command is a group
    assert set(commands) <= {line.split()[1] for line in LINES}


def test_the_examples_of_the_page_for_files_are_read(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path / "store")
    messages, sessions = re.findall(r"(?:^    \{.*\n)+", PAGE, re.M)
    for example, turns in ((messages, 1), (sessions, 1)):
        assert len(cli.json("add", "--file", "-", "--user", "ann", typed=example)["results"]) == turns
