"""Small files in the forms of CoGen and MovieExp, about people who do not exist."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILMS = ("The Tin Ferry", "Salt Roads", "A Clock for Ada")


def cogen_record(number: int) -> dict[str, Any]:
    return {
        "tid": f"1_{number}_0",
        "conversations": [
            {"from": "user", "value": f"Write a note about the regatta, part {number}."},
            {"from": "assistant", "value": f"Kim Oduya {number} sails on Sunday."},
        ],
        "profile": [{"title": "A letter", "text": "Dear crew, the mast is mended.", "id": "0"}],
        "additional_profile": f"Age: {30 + number}\nName: Kim Oduya {number}\nOccupation: boat builder",
        "additional_tasks": ["Write another."],
    }


def movie_record(number: int, *, user: int, film: int = 0, style: str = "short") -> dict[str, Any]:
    profile = (
        f"age:{20 + user}\nsex:female\nstyle:Writing style: {style}.\n\nExample: well, hello!\nusername:Heron{user}"
    )
    return {
        "id": number,
        "conversations": [
            {"from": "user", "value": f"Why would the user like '{FILMS[film]}'?"},
            {"from": "assistant", "value": f"Because Heron{user} likes ferries."},
        ],
        "additional_profile": profile,
    }


def file_of(path: Path, records: Sequence[object]) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path
