"""Programs of the README, for the tests that run them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def program(of: str) -> str:
    """The program that mentions ``of``, among those that need something that is not there in a test."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    programs: list[str] = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    [found] = [body for body in programs if of in body]
    return found


def chat_with_a_server() -> str:
    """The program that starts a vLLM server and chats."""
    return program("VLLMServer")
