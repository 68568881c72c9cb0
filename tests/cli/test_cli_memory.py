"""The commands on single memories: add, search, context, list, get, history, update, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "store")


def test_what_was_added_is_found(cli: CommandLine) -> None:
    added = cli("add", "I moved to Lisbon in May.", "--user", "ann", "--timestamp", "2025-05-03T12:00:00+00:00")
    assert added.exit_code == 0
    assert "I moved to Lisbon in May." in added.stdout
    assert "1 turn stored for 'ann' in session" in added.stderr
    cli.add("I like ginger tea.")
    found = cli("search", "Where does she live?", "--user", "ann", "--top-k", "1")
    assert found.exit_code == 0
    assert "I moved to Lisbon" in found.stdout
    assert "2025-05-03" in found.stdout
    assert "ginger" not in found.stdout


def test_search_as_json_is_what_the_library_replies(cli: CommandLine) -> None:
    identifier = cli.add("I moved to Lisbon in May.", "--metadata", "topic=home", "--metadata", "rooms=3")
    reply = cli.json("search", "Lisbon", "--user", "ann", "--explain", "--retriever", "dense[by=turn-max]")
    (found,) = reply["results"]
    assert found["id"] == identifier
    assert found["metadata"] == {"topic": "home", "rooms": 3}
    assert set(found["score_details"]) == {"dense"} or found["score_details"]
    assert reply["trace"]["retriever"] == "dense"


def test_explain_shows_the_parts_of_each_score_and_the_trace(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May.")
    shown = cli("search", "Lisbon", "--user", "ann", "--explain").stdout
    assert "bm25" in shown
    assert "timings.encode_ms" in shown


def test_options_restrict_what_is_found(cli: CommandLine) -> None:
    cli.add(
        "I work at the harbour.", "--timestamp", "2025-01-10T09:00:00Z", "--metadata", "topic=work", "--session", "a"
    )
    cli.add("I teach sailing.", "--timestamp", "2025-06-02T09:00:00Z", "--metadata", "topic=work", "--session", "b")
    cli.add("I like tea.", "--timestamp", "2025-06-02T09:00:00Z", "--metadata", "topic=food", "--session", "c")

    def found(*options: str) -> set[str]:
        return {item["memory"] for item in cli.json("search", "her job", "--user", "ann", *options)["results"]}

    assert found("--filter", '{"topic": "work"}') == {"I work at the harbour.", "I teach sailing."}
    assert found("--as-of", "2025-02-01T00:00:00Z") == {"I work at the harbour."}
    assert found("--filter", '{"topic": "food"}', "--retriever", "bm25") == {"I like tea."}
    assert len(found("--max-tokens", "4")) <= 1
    listed = cli.json("list", "--user", "ann", "--filter", '{"topic": "work"}', "--as-of", "2025-02-01T00:00:00Z")
    assert listed["total"] == 1


def test_a_reply_completes_its_turn(cli: CommandLine) -> None:
    cli.add("Which tea is best?", "--session", "s", "--role", "user")
    (done,) = cli.json("add", "Ginger.", "--session", "s", "--role", "assistant", "--user", "ann")["results"]
    assert done["event"] == "UPDATE"
    assert done["memory"] == "[user]: Which tea is best?\n[assistant]: Ginger."


def test_a_text_is_read_from_standard_input(cli: CommandLine) -> None:
    assert cli.json("add", "-", "--user", "ann", typed="I moved.\nTwice.")["results"][0]["memory"] == "I moved.\nTwice."


def test_the_summary_of_a_session_is_written_when_the_next_one_starts(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May.", "--session", "a")
    cli.add("I like tea.", "--session", "b", "--no-summaries")
    assert cli.json("list", "--user", "ann", "--granularity", "summary")["total"] == 0
    cli.add("I like tea.", "--session", "c")
    summaries = cli.json("list", "--user", "ann", "--granularity", "summary")["results"]
    assert [summary["session_id"] for summary in summaries] == ["a", "b"]


def test_context_writes_a_text_for_a_prompt_and_nothing_else(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May.", "--timestamp", "2025-05-03T12:00:00Z")
    done = cli("context", "Where does she live?", "--user", "ann", "--max-tokens", "100")
    assert done.stdout == "<memories>\n[2025-05-03]\nI moved to Lisbon in May.\n</memories>\n"
    assert cli.json("context", "Where?", "--user", "ann")["context"] + "\n" == done.stdout
    nothing = cli("context", "Where does she live?", "--user", "ann", "--max-tokens", "1")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no memory was found" in nothing.stderr


def test_a_search_that_finds_nothing_says_so_on_stderr(cli: CommandLine) -> None:
    cli.add("I moved.")
    done = cli("search", "anything", "--user", "ann", "--filter", '{"topic": "none"}')
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no memory was found\n")


def test_an_id_may_be_whole_or_with_its_user_short(cli: CommandLine) -> None:
    identifier = cli.add("I moved to Lisbon in May.", "--agent", "helper")
    short = identifier.rpartition("-")[2]
    assert short in cli("list", "--user", "ann").stdout
    assert cli.json("get", identifier) == cli.json("get", short, "--user", "ann")
    shown = cli("get", short, "--user", "ann").stdout
    assert identifier in shown
    assert "helper" in shown
    assert shown.endswith("\nI moved to Lisbon in May.\n")
    assert "--user" in cli.refused("get", short)
    assert "no memory" in cli.refused("get", identifier, "--user", "bob")


def test_an_update_keeps_what_was_there_in_the_history(cli: CommandLine) -> None:
    identifier = cli.add("I moved to Lisbon.", "--metadata", "topic=home")
    assert cli("update", identifier, "I moved to Porto.").exit_code == 0
    assert cli.json("update", identifier, "--metadata", "topic=city")["event"] == "UPDATE"
    item = cli.json("get", identifier)
    assert (item["memory"], item["metadata"]) == ("I moved to Porto.", {"topic": "city"})
    events = [(e["event"], e["old_memory"], e["new_memory"]) for e in cli.json("history", identifier)["results"]]
    assert events[:2] == [("ADD", None, "I moved to Lisbon."), ("UPDATE", "I moved to Lisbon.", "I moved to Porto.")]
    assert "I moved to Porto." in cli("history", identifier).stdout
    assert "nothing to update" in cli.refused("update", identifier)


def test_a_deleted_memory_is_gone_and_its_history_has_no_text(cli: CommandLine) -> None:
    identifier = cli.add("I moved to Lisbon.")
    assert cli("delete", identifier).exit_code == 0
    assert "no memory has the id" in cli.refused("get", identifier)
    assert "Lisbon" not in json.dumps(cli.json("history", identifier))


def test_many_are_deleted_after_a_question(cli: CommandLine) -> None:
    for session, topic in (("a", "work"), ("a", "food"), ("b", "food"), ("c", "home")):
        cli.add(f"About my {topic} in {session}.", "--session", session, "--metadata", f"topic={topic}")
    asked = cli("delete", "--user", "ann", "--session", "a", "--filter", '{"topic": "food"}', typed="n\n")
    assert asked.exit_code == 3
    assert "Delete 1 turn of 'ann', for good?" in asked.stderr
    assert cli.json("list", "--user", "ann")["total"] == 4
    assert cli("delete", "--user", "ann", "--session", "a", typed="y\n").exit_code == 0
    assert cli.json("delete", "--user", "ann", "--filter", '{"topic": "food"}', "--yes")["deleted"] == 1
    assert cli.json("delete", "--user", "ann", "--all", "--yes")["deleted"] == 1
    assert cli.json("list", "--user", "ann") == {"results": [], "total": 0}


def test_nothing_is_deleted_when_nobody_can_be_asked(cli: CommandLine) -> None:
    cli.add("I moved.")
    assert "pass --yes" in cli.refused("delete", "--user", "ann", "--all", typed="")
    assert cli.json("list", "--user", "ann")["total"] == 1


@pytest.mark.parametrize(
    "arguments", [(), ("some-id", "--all"), ("--all", "--session", "s", "--user", "ann"), ("--all",)]
)
def test_what_to_delete_must_be_clear(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    cli.add("I moved.")
    assert cli.refused("delete", *arguments).startswith("error: ")


def test_a_long_list_says_how_much_it_leaves_out(cli: CommandLine) -> None:
    for number in range(3):
        cli.add(f"Note {number}.", "--session", "s")
    done = cli("list", "--user", "ann", "--top-k", "2")
    assert done.stderr == "2 of 3 turns\n"
    assert "Note 2." not in done.stdout
    assert cli("list", "--user", "ann", "--top-k", "2", "--all").stderr == "3 of 3 turns\n"
