"""The group of all commands: some are loaded only when used, and every error ends in an exit status."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from memagent.cli.failures import INTERRUPTED, exit_status, show_error
from memagent.errors import MemagentError


class Lazy(NamedTuple):
    """A command elsewhere: ``package.module:attribute`` (a ``typer.Typer`` or a function), and its line of help."""

    place: str
    help: str
    panel: str = "Measurement"


LAZY = {
    "demo": Lazy("memagent.evals.demo.command:app", "Store example histories, compare retrievers, write a report."),
    "eval": Lazy("memagent.evals.cli:app", "Measure retrieval on public data sets."),
    "calibrate": Lazy("memagent.cli.calibrate:app", "Fit RF-Mem's thresholds to an encoder."),
    "bench": Lazy("memagent.bench.cli:bench", "Measure latency, throughput and memory."),
    "import-from": Lazy("memagent.cli.import_from:app", "Take memories over from mem0 or LangGraph.", "Files"),
    "mcp": Lazy("memagent.cli.mcp:mcp", "Serve the memory to MCP clients.", "Servers"),
    "mcp-token": Lazy("memagent.cli.mcp:mcp_token", "Make a token for a user of the MCP server.", "Servers"),
    "tune": Lazy("memagent.cli.tune:app", "Make training data by tree search, and tune models on it.", "Models"),
    "serve": Lazy("memagent.cli.serve:app", "Serve what memagent can search to other programs.", "Servers"),
    "llm": Lazy("memagent.cli.llm:app", "Serve language models, and see what a server can do.", "Models"),
}


class Group(TyperGroup):
    """Commands, with those of ``LAZY`` imported only when they run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        return [*super().list_commands(ctx), *LAZY]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command; of a lazy one only what the list of commands shows."""
        if cmd_name in LAZY:
            found = LAZY[cmd_name]
            return TyperCommand(name=cmd_name, help=found.help, rich_help_panel=found.panel)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded, and what is left of them."""
        name, *rest = args
        if name in LAZY:
            return name, _loaded(name), rest
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. An error of ours becomes a line on stderr and an exit status; others pass."""
        try:
            return super().invoke(ctx)
        except MemagentError as error:
            show_error(error)
            raise typer.Exit(exit_status(error)) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _loaded(name: str) -> Any:
    module, _, attribute = LAZY[name].place.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command
