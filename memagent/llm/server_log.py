"""The end of a log that another process writes."""

from __future__ import annotations

import re
from pathlib import Path

_READ = 64_000  # bytes from the end
# Who says it, how bad it is, when, and where: all that stands before vLLM's words.
_PREFIX = re.compile(r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ )?(?:\d\d-\d\d )?(?:\d\d:\d\d:\d\d )?(?:\[[^\]]*\]\s*)?")


def tail(log: Path | None, lines: int) -> str:
    """Its last lines; "" if there is none."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _READ))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def last_words(log: Path | None) -> str:
    """What was said last, in short."""
    lines = [line for line in tail(log, 5).replace("\r", "\n").splitlines() if line.strip()]
    return _PREFIX.sub("", lines[-1].strip())[:100] if lines else "waiting"
