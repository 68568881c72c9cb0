"""The configurations for MCP clients that the pages show start a server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

import memagent
from memagent.encoders.files import default_cache_dir
from memagent.server.mcp_tools import TOOLS

ROOT = Path(memagent.__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "integrations" / "mcp.md"
READERS: dict[str, Any] = {"json": json.loads, "toml": tomllib.loads}


def configured() -> list[dict[str, Any]]:
    """The servers that the snippets of the page and of the README configure."""
    found: list[dict[str, Any]] = []
    for page in (PAGE, ROOT / "README.md"):
        for kind, body in re.findall(r"^```(json|toml)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
            named = [servers for servers in READERS[kind](body).values() if isinstance(servers, dict)]
            found += [servers["memagent"] for servers in named if "memagent" in servers]
    return found


def test_the_configurations_of_the_page_start_a_server_that_remembers(tmp_path: Path) -> None:
    started = {json.dumps(server["args"]) for server in configured() if server.get("command") == "memagent"}
    assert started
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),  # the store of the page is below it
        "MEMAGENT_CACHE": os.environ.get("MEMAGENT_CACHE") or str(default_cache_dir()),
    }

    async def start(arguments: list[str]) -> list[str]:
        command = ["-m", "memagent", *arguments]
        async with Client(StdioServerParameters(command=sys.executable, args=command, env=environment)) as client:
            await client.call_tool("remember", {"text": "I moved to Lisbon in May."})
            return [tool.name for tool in (await client.list_tools()).tools]

    for arguments in started:
        assert asyncio.run(start(json.loads(arguments))) == list(TOOLS)
    assert list((tmp_path / "memagent").iterdir())


def test_the_page_has_every_tool() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.M) == list(TOOLS)
