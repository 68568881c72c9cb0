"""Runs the command line in this process, with one loaded encoder for all commands."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import memagent.encoders
from memagent.cli import app

RUNNER = CliRunner()
LOADED = cache(memagent.encoders.load_encoder)


class CommandLine:
    """``memagent`` on one store."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def __call__(self, *args: str, typed: str | bytes | None = None) -> Result:
        """What a command did."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memagent.encoders, "load_encoder", LOADED)
            patch.setenv("MEMAGENT_STORE", str(self.store))
            return RUNNER.invoke(app, args, input=typed, catch_exceptions=False)

    def json(self, *args: str, typed: str | bytes | None = None) -> Any:
        """What a command that succeeds writes with ``--json``."""
        done = self(*args, "--json", typed=typed)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def add(self, text: str, *options: str, user: str = "ann") -> str:
        """Store a text; its id."""
        identifier: str = self.json("add", text, "--user", user, *options)["results"][0]["id"]
        return identifier

    def refused(self, *args: str, status: int = 2, typed: str | bytes | None = None) -> str:
        """What a command that fails writes to stderr; it writes nothing to stdout."""
        done = self(*args, typed=typed)
        assert (done.exit_code, done.stdout) == (status, ""), done.output
        return done.stderr
