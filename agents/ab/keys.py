"""Numbers for names, the same on every machine and in every process."""

from __future__ import annotations

import hashlib


def key_of(name: str) -> int:
    """64 bits of the SHA-256 of a name: what random streams of this user or arm begin with."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
