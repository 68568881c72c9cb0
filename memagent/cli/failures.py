"""What a failure looks like on the command line: one line, a hint, an exit status."""

from __future__ import annotations

import os

import typer

from memagent.cli.output import printable
from memagent.errors import DataError, EncoderError, InvalidInput, MemagentError, MissingExtra, NotFound, Stopped

STORE_FAILED = 1
BAD_INPUT = 2
STOPPED = 3
INTERRUPTED = 130

_BAD_INPUT = (InvalidInput, NotFound, DataError, EncoderError, MissingExtra)


def exit_status(error: MemagentError) -> int:
    """The exit status that stands for an error."""
    if isinstance(error, Stopped):
        return STOPPED
    return BAD_INPUT if isinstance(error, _BAD_INPUT) else STORE_FAILED


def show_error(error: MemagentError) -> None:
    """Write ``error: what happened`` in red to stderr, and below it what to do."""
    color = False if os.environ.get("NO_COLOR") else None  # None: where stderr is a terminal
    typer.secho(f"error: {printable(error.message)}", fg="red", err=True, color=color)
    if error.hint:
        typer.echo(f"hint: {printable(error.hint)}", err=True)
