"""What holds for every command: help, errors, exit statuses, what goes where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from command_line import RUNNER, CommandLine

import memagent
from memagent.cli import app, group, output
from memagent.cli.group import LAZY
from memagent.errors import InvalidInput, MemagentError, Stopped, StoreBusy, UnknownUser

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # the command is a group


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "store")


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", [*COMMANDS, *LAZY])
def test_the_help_of_every_command_has_an_example_of_it(name: str) -> None:
    shown = RUNNER.invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    if name in LAZY:
        assert name in plain(shown.stdout)
    else:
        assert f"Example: memagent {name} " in plain(shown.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_write_json_and_names_its_store(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--store"} <= options


def test_the_list_of_commands_imports_none_that_is_lazy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from memagent.cli import app\n"
        "shown = CliRunner().invoke(app, ['--help']).stdout\n"
        "assert 'eval' in shown and 'Measure retrieval' in shown\n"
        "print([m for m in sys.modules if m.startswith(('memagent.evals', 'memagent.memory', 'numpy', 'torch'))])"
    )
    assert process("-c", code).stdout == "[]\n"


def test_a_lazy_command_runs_and_a_function_may_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "retrieval" in RUNNER.invoke(app, ["eval", "--help"]).stdout
    monkeypatch.setitem(LAZY, "hello", group.Lazy(f"{__name__}:hello", "Say hello."))
    assert RUNNER.invoke(app, ["hello", "--name", "ann"]).stdout == "hello ann\n"
    assert "Say hello." in RUNNER.invoke(app, ["--help"]).stdout


def hello(*, name: str = "you") -> None:
    typer.echo(f"hello {name}")


def failing(error: BaseException) -> typer.Typer:
    failing = typer.Typer(cls=group.Group)

    @failing.command()
    def work() -> None:
        raise error

    @failing.command()
    def rest() -> None:
        pass

    return failing


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("no", hint="do that"), 2),
        (UnknownUser("no", hint="do that"), 2),
        (StoreBusy("no", hint="do that"), 1),
        (Stopped("no", hint="do that"), 3),
    ],
)
def test_an_error_is_two_lines_on_stderr_and_a_status(error: MemagentError, status: int) -> None:
    done = RUNNER.invoke(failing(error), ["work"])
    assert (done.exit_code, done.stdout, done.stderr) == (status, "", "error: no\nhint: do that\n")


def test_an_error_is_red_where_colours_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    red = RUNNER.invoke(failing(InvalidInput("no")), ["work"], color=True)
    assert red.stderr == "\x1b[31merror: no\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert RUNNER.invoke(failing(InvalidInput("no")), ["work"], color=True).stderr == "error: no\n"


def test_an_interrupt_ends_with_status_130() -> None:
    done = RUNNER.invoke(failing(KeyboardInterrupt()), ["work"])
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")


def test_a_program_that_is_interrupted_says_so_and_nothing_else(cli: CommandLine, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    started = subprocess.Popen(
        [sys.executable, "-m", "memagent", "add", "--file", str(pipe), "--user", "ann", "--store", str(cli.store)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pipe.open("w"):  # opens when the program has opened its end, and waits for a line
        started.send_signal(signal.SIGINT)
        said = started.communicate(timeout=300)
    assert (started.returncode, said) == (130, ("", "interrupted\n"))
    assert not cli.store.exists()


def test_a_fault_of_the_program_is_not_hidden() -> None:
    done = RUNNER.invoke(failing(ZeroDivisionError()), ["work"])
    assert isinstance(done.exception, ZeroDivisionError)


NO_HOME = (
    *((command, "--store", "~nobody-has-this-name/x") for command in ("users", "stats", "doctor", "verify")),
    ("search", "q", "--user", "ann", "--store", "~nobody-has-this-name/x"),
    ("export", "~nobody-has-this-name/x", "--user", "ann"),
    ("backup", "~nobody-has-this-name/x", "--user", "ann"),
    ("import", "~nobody-has-this-name/x"),
)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "q", "--user", "nobody"), "nothing is stored for user 'nobody'"),
        (("search", "q", "--user", ""), "error: "),
        (("search", " ", "--user", "ann"), "the query is empty"),
        (("search", "q", "--user", "ann", "--top-k", "0"), "top_k is 0"),
        (("search", "q", "--user", "ann", "--top-k", "many"), "--top-k"),
        (("search", "q", "--user", "ann", "--retriever", "none"), "'bm25'"),
        (("search", "q", "--user", "ann", "--retriever", "dense[x=1]"), "no parameter 'x'"),
        (("search", "q", "--user", "ann", "--granularity", "word"), "summary"),
        (("search", "q", "--user", "ann", "--filter", "{"), "--filter is not JSON"),
        (("search", "q", "--user", "ann", "--filter", "[]"), "no object"),
        (("search", "q", "--user", "ann", "--filter", '{"a": {"like": 1}}'), "icontains"),
        (("search", "q", "--user", "ann", "--as-of", "yesterday"), "2025-03-01T10:00:00+01:00"),
        (("search", "q"), "--user"),
        (("add", "x", "--user", "ann", "--timestamp", "2025-03-01"), "has no time zone"),
        (("add", "x", "--user", "ann", "--metadata", "topic"), "key=value"),
        (("add", "x", "--user", "ann", "--metadata", "a=1", "--metadata", "a=2"), "each key once"),
        (("add", "x", "--user", "ann", "--metadata", "a=NaN"), "JSON"),
        (("add", " ", "--user", "ann"), "nothing to remember"),
        (("add", "x" * (1 << 20) + "y", "--user", "ann"), "more than the limit"),
        (("add", "x", "--user", "ann", "--precision", "int4"), "int8"),
        (("get", "nonsense"), "no memory has the id"),
        (("export", "missing/folder/x.jsonl", "--user", "nobody"), "nothing is stored"),
        (("verify", "--user", "nobody"), "nothing is stored"),
        (("nonsense",), "nonsense"),
        *((command, "home is unknown") for command in NO_HOME),
    ],
)
def test_bad_input_is_refused_with_what_is_valid(cli: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    cli.add("I keep bees.")
    assert says in plain(cli.refused(*arguments))


@pytest.mark.parametrize("command", [("search", "q", "--user", "ann"), ("users",), ("reindex", "--all"), ("verify",)])
def test_a_store_that_is_not_there_is_not_taken_for_an_empty_one(cli: CommandLine, command: tuple[str, ...]) -> None:
    said = cli.refused(*command)
    assert f"there is no store at {cli.store}" in said
    assert "MEMAGENT_STORE" in said
    assert not cli.store.exists()


def test_a_damaged_store_is_a_failure_of_the_store(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    (file,) = cli.store.rglob("*.db")
    file.write_bytes(b"not a database")
    assert cli.refused("search", "bees", "--user", "ann", status=1).startswith("error: ")


def test_nothing_that_is_stored_can_command_the_terminal(cli: CommandLine) -> None:
    bad = "I \x1b[2J\x9b2Jkeep \u202ebees\x07 [bold]here[/bold]."
    identifier = cli.add(bad)
    for command in (("list", "--user", "ann"), ("search", "bees", "--user", "ann"), ("history", identifier)):
        shown = cli(*command).stdout
        assert not set(shown) & set("\x1b\x9b\u202e\x07"), command
    assert cli.json("get", identifier)["memory"] == bad
    assert "\x1b" not in cli.refused("search", "q", "--user", "ann", "--retriever", "\x1b[2J")


def test_tables_keep_to_the_width_of_the_terminal_and_leave_ids_whole(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli.add("I keep bees. " * 50).rpartition("-")[2]
    for width in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        for command in (("list", "--user", "ann"), ("search", "bees", "--user", "ann")):
            shown = cli(*command).stdout
            assert max(map(len, shown.splitlines())) <= max(width, 66)
            if width >= 80:
                assert identifier in shown
                assert "…" in shown


def test_json_is_readable_and_in_ascii_where_it_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_json({"a": "ë"})
    assert capsys.readouterr().out == '{\n  "a": "ë"\n}\n'
    output.write_json({"a": "\ud800"})
    assert json.loads(capsys.readouterr().out) == {"a": "\ud800"}


def test_dates_are_those_of_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "NZST-12NZDT,M9.5.0,M4.1.0/3")  # Auckland, where no time zones are installed too
    time.tzset()
    try:
        assert output.local_date("2025-05-03T20:00:00+00:00") == "2025-05-04"
        assert output.local_time("2025-05-03T20:00:00.5+00:00") == "2025-05-04 08:00:00+12:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_numbers_and_nouns_agree() -> None:
    assert [output.plural(n, "memory") for n in (0, 1, 2000)] == ["0 memories", "1 memory", "2,000 memories"]
    assert output.plural(2, "summary") == "2 summaries"


# whole processes


def process(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_package_runs_as_a_program() -> None:
    assert process("-m", "memagent", "--version").stdout == f"memagent {memagent.__version__}\n"


def test_a_search_imports_neither_torch_nor_what_comes_with_it(cli: CommandLine) -> None:
    cli.add("I moved to Lisbon in May.")
    code = (
        "import sys; from memagent.cli import main\n"
        "sys.argv = ['memagent', 'search', 'Where does she live?', '--user', 'ann', '--json']\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = process("-W", "default", "-c", code, env={"MEMAGENT_STORE": str(cli.store)})
    assert json.loads(done.stdout)["results"][0]["memory"] == "I moved to Lisbon in May."
    imported = set(json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"')))
    assert "onnxruntime" in imported
    assert not imported & {
        "torch",
        "transformers",
        "sentence_transformers",
        "sklearn",
        "yake",
        "langchain_core",
        "rich",
    }
