"""Asking before something is lost for good."""

from __future__ import annotations

import sys

import typer

from memagent.cli.output import printable
from memagent.errors import InvalidInput, Stopped


def confirm(question: str, *, yes: bool) -> None:
    """Go on only after a yes, given beforehand or now; raises Stopped after a no, InvalidInput without an answer."""
    if yes:
        return
    # typer.confirm would write a space to stdout, where results go.
    typer.echo(f"{printable(question)} [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline()
    if not answer:
        raise InvalidInput("there was no answer", hint="pass --yes where nobody can be asked")
    if answer.strip().lower() not in ("y", "yes"):
        raise Stopped("nothing was changed")
