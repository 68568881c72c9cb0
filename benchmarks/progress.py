"""A line on stderr that says what is being done; nothing where nobody watches."""

from __future__ import annotations

import sys


def tell(doing: str) -> None:
    """Replace the line, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{doing}", end="", file=sys.stderr, flush=True)


def clear() -> None:
    """Remove the line."""
    tell("")
