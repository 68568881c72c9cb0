"""What a user may ask for: a copy of everything that is remembered, then its erasure.

python examples/export_and_erase.py STORE USER COPY.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

from memagent import Memory
from memagent.memory.replies import Erased


def hand_over_and_forget(store: Path, user: str, copy: Path) -> Erased:
    """Export a user's memory to ``copy``, check the copy, and erase the user."""
    with Memory(store) as memory:
        exported = memory.export(copy, user_id=user)
        with Memory(":memory:") as trial:  # a copy that cannot be read back is no copy
            imported = trial.import_(copy)
        if imported["units"] != exported["units"]:
            raise SystemExit(f"{copy} holds {imported['units']} of {exported['units']} memories; nothing was erased")
        return memory.forget_user(user_id=user)


def main() -> None:
    store, user, copy = sys.argv[1:4]
    erased = hand_over_and_forget(Path(store), user, Path(copy))
    print(f"{erased['units']} memories of {user} erased; the copy is {copy}")


if __name__ == "__main__":
    main()
