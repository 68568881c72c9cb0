"""``python -m memagent`` is the command ``memagent``."""

from __future__ import annotations

from memagent.cli import main

if __name__ == "__main__":
    main()
