"""The three notations of time in the data sets. None names a zone; all are read as UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# Month names are spelled out here because strptime reads them in the language of the machine.
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}

_LONGMEMEVAL = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2}) \(\w+\) (\d{1,2}):(\d{2})")
_LOCOMO = re.compile(r"(\d{1,2}):(\d{2}) ?([ap]m) on (\d{1,2}) (\w+),? (\d{4})", re.IGNORECASE)
_PERSONABENCH = re.compile(r"(\d{4})/(\w+)/(\d{1,2})/(\d{1,2}):(\d{2}) ?([ap]m)", re.IGNORECASE)


def longmemeval_time(text: str) -> datetime:
    """``2023/04/20 (Thu) 05:18``. Raises ValueError for anything else."""
    year, month, day, hour, minute = (int(part) for part in _parts(_LONGMEMEVAL, text, "2023/04/20 (Thu) 05:18"))
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def locomo_time(text: str) -> datetime:
    """``1:56 pm on 8 May, 2023``. Raises ValueError for anything else."""
    hour, minute, half, day, month, year = _parts(_LOCOMO, text, "1:56 pm on 8 May, 2023")
    return datetime(int(year), _month(month), int(day), _hour(hour, half), int(minute), tzinfo=UTC)


def personabench_time(text: str) -> datetime:
    """``2024/Oct/14/09:14 AM``. Raises ValueError for anything else."""
    year, month, day, hour, minute, half = _parts(_PERSONABENCH, text, "2024/Oct/14/09:14 AM")
    return datetime(int(year), _month(month), int(day), _hour(hour, half), int(minute), tzinfo=UTC)


def _parts(pattern: re.Pattern[str], text: str, example: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"is not a time like {example!r}")
    return match.groups()


def _month(name: str) -> int:
    number = _MONTHS.get(name[:3].lower())
    if number is None:
        raise ValueError(f"names no month ({name!r})")
    return number


def _hour(hour: str, half: str) -> int:
    """Hours 1 to 12 and their half of the day as 0 to 23."""
    if not 1 <= int(hour) <= 12:
        raise ValueError("has an hour outside 1 to 12")
    return int(hour) % 12 + (12 if half.lower() == "pm" else 0)
