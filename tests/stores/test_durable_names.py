from __future__ import annotations

from pathlib import Path

import pytest

from memagent import files
from memagent.stores import locks, sqlite, sqlite_user
from memagent.stores.sqlite import SQLiteStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The directories whose names were made durable."""
    found: set[Path] = set()

    def sync(path: Path) -> None:
        found.add(path)
        files.sync_directory(path)

    for module in (locks, sqlite, sqlite_user):
        monkeypatch.setattr(module, "sync_directory", sync)
    return found


@pytest.mark.parametrize("made", ["", "made", "made/store", "made/store/users"])
def test_the_first_commit_makes_the_way_to_the_file_durable(tmp_path: Path, synced: set[Path], made: str) -> None:
    (tmp_path / made).mkdir(parents=True, exist_ok=True)  # perhaps by a process that was killed before it synced
    root = tmp_path / "made" / "store"
    ann = SQLiteStore(root).open("ann", create=True)
    with ann.write() as writer:
        writer.set_encoder("test", 4)
    ann.close()
    folder = next(root.rglob("*.db")).parent
    assert synced >= {folder, folder.parent, root, root.parent}
    if not made:
        assert tmp_path in synced
