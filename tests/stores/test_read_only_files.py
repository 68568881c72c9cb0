"""Files that cannot be written, made so by a patch; real mounts are in tests/durability/test_odd_disks.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memagent.errors import StoreReadOnly, StoreUnavailable
from memagent.stores import sqlite_open
from memagent.stores.sqlite import SQLiteStore
from memagent.stores.sqlite_user import SQLiteUser
from memagent.stores.user_file import Stamp


@pytest.fixture
def file(tmp_path: Path) -> Path:
    user = SQLiteStore(tmp_path).open("ann", create=True)
    with user.write() as writer:
        writer.set_encoder("first", 4)
    user.close()
    path = next(tmp_path.rglob("*.db"))
    aged(path)
    return path


def aged(path: Path) -> None:
    """Make a file look as if it had not been changed for a minute."""
    before = time.time() - 60
    os.utime(path, (before, before))


@pytest.fixture
def reader(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteUser]:
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_open, "is_writable", lambda _: False)
        user = SQLiteUser(file, timeout=5)
        yield user
        user.close()


def write(path: Path, fingerprint: str) -> None:
    """Write as another process does, which is closed afterwards and leaves no log."""
    code = (
        "import sys; from pathlib import Path; from memagent.stores.sqlite_user import SQLiteUser\n"
        "user = SQLiteUser(Path(sys.argv[1]), timeout=5)\n"
        "with user.write() as writer: writer.set_encoder(sys.argv[2], 4)\n"
        "user.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(path), fingerprint], check=True)


def test_what_others_write_is_seen_by_the_next_look(reader: SQLiteUser, file: Path) -> None:
    assert reader.encoder() == ("first", 4)
    write(file, "second")
    assert reader.encoder() == ("second", 4)
    write(file, "third")
    with reader.read():
        assert reader.encoder() == ("third", 4)
    with pytest.raises(StoreReadOnly), reader.write():
        pass


def test_a_change_in_the_midst_of_a_look_is_an_error_that_can_be_repeated(reader: SQLiteUser, file: Path) -> None:
    with pytest.raises(StoreUnavailable, match="changed") as caught, reader.read():
        write(file, "second")
    assert caught.value.retryable
    assert reader.encoder() == ("second", 4)


def test_a_file_that_was_changed_just_now_may_change_again_unnoticed(file: Path) -> None:
    before = Stamp.of(file)
    assert before.settled
    assert Stamp.of(file) == before
    soon = time.time() + 60  # just now, however long this test is kept from going on
    os.utime(file, (soon, soon))
    after = Stamp.of(file)
    assert not after.settled
    assert after.files != before.files
    aged(file)
    file.with_name(file.name + "-wal").touch()
    assert not Stamp.of(file).settled
