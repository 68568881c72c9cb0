"""Every snippet of the README and the documentation runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("git ", "make ", "cd ", "pip ", "python ")  # set-up, done by whoever runs this test


def snippets(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    code = snippets(page, "python")
    if not code:
        pytest.skip("no Python on this page")
    script = tmp_path / "page.py"
    script.write_text("\n".join(code), encoding="utf-8")
    run([sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_console_lines_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    lines = [
        line
        for body in snippets(page, "console")
        for line in body.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith(("#", *ELSEWHERE))
    ]
    if not lines:
        pytest.skip("no console lines on this page")
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "memagent", f"{page.name}: what is {program!r}?"
        if any("FILE" in argument or argument.startswith("<") for argument in arguments):
            continue  # a placeholder for data that is not shipped
        run([sys.executable, "-m", "memagent", *arguments], tmp_path)


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            place = page.parent / target if target else page
            assert place.exists(), f"{page.name} links to {target}"
            assert not heading or heading in headings(place), f"{page.name} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The names by which the headings of a page are linked to."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}
