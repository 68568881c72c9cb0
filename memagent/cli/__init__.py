"""The command line, ``memagent``.

Results go to stdout, messages to stderr. Exit status: 0 done, 1 the store could not be read or written or is not
sound, 2 what was asked for cannot be done, 3 stopped, 130 interrupted.
"""

from __future__ import annotations

from typing import Annotated

import typer

from memagent._version import __version__
from memagent.cli import changing, inferring, reading, transfer, upkeep
from memagent.cli.group import Group

# Values of variables do not belong in a traceback: they are what a user said.
app = typer.Typer(cls=Group, no_args_is_help=True, pretty_exceptions_enable=False)

_ID = "01K9GZ4Q8V5T7N2M3R6S8W0XYZ"
_COMMANDS = {
    "Memory": (
        ("add", changing.add, "add 'I moved to Lisbon in May.' --user ann --session may --metadata topic=home"),
        ("search", reading.search, "search 'Where does she live?' --user ann --top-k 3"),
        ("context", reading.context, "context 'Where does she live?' --user ann --max-tokens 500"),
        ("list", reading.list_, "list --user ann --granularity summary"),
        ("get", reading.get, f"get {_ID} --user ann"),
        ("history", reading.history, f"history {_ID} --user ann"),
        ("update", changing.update, f"update {_ID} 'I moved to Porto in May.' --user ann"),
        ("delete", changing.delete, f"delete {_ID} --user ann"),
    ),
    "Files": (
        ("export", transfer.export, "export ann.jsonl.gz --user ann"),
        ("import", transfer.import_, "import ann.jsonl.gz --store other-store"),
        ("backup", transfer.backup, "backup ann.db --user ann"),
        ("forget", transfer.forget, "forget --user ann"),
    ),
    "Models": (
        ("infer", inferring.infer, "infer --user ann --model http://127.0.0.1:8000"),
        ("status", inferring.status, "status --user ann"),
    ),
    "Upkeep": (
        ("users", upkeep.users, "users --store memagent-store"),
        ("stats", upkeep.stats, "stats --user ann"),
        ("verify", upkeep.verify, "verify --store memagent-store"),
        ("reindex", upkeep.reindex, "reindex --all --encoder paraphrase-multilingual-MiniLM-L12-v2"),
        ("doctor", upkeep.doctor, "doctor --store memagent-store"),
    ),
}

for _panel, _listed in _COMMANDS.items():
    for _name, _function, _example in _listed:
        app.command(_name, epilog=f"Example: memagent {_example}", rich_help_panel=_panel)(_function)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memagent {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: memagent add 'I moved to Lisbon in May.' --user ann")
def memagent(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A personal memory of each user, kept in a folder: store, search, measure."""


def main() -> None:
    """Run the command line."""
    app(prog_name="memagent")
