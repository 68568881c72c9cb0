from __future__ import annotations

import errno

import apsw
import pytest

from memagent.errors import (
    MemagentError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from memagent.stores.sqlite_errors import translate, translated, translated_sqlite

CLASSES = sorted(
    (kind for kind in vars(apsw).values() if isinstance(kind, type) and issubclass(kind, apsw.Error)),
    key=lambda kind: kind.__name__,
)
EXPECTED = {
    "BusyError": StoreBusy,
    "CantOpenError": StoreUnavailable,
    "CorruptError": StoreCorrupt,
    "FullError": StoreFull,
    "IOError": StoreUnavailable,
    "LockedError": StoreBusy,
    "NotADBError": StoreCorrupt,
    "PermissionsError": StoreReadOnly,
    "ProtocolError": StoreBusy,
    "ReadOnlyError": StoreReadOnly,
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_of_sqlite_has_one_of_ours(kind: type[apsw.Error]) -> None:
    ours = translate(kind("what happened"), "/somewhere/x.db")
    assert isinstance(ours, StoreError)
    assert type(ours) is EXPECTED.get(kind.__name__, type(ours))
    for part in ("what happened", kind.__name__, "/somewhere/x.db"):
        assert part in str(ours)
    assert ours.hint


def test_the_classes_of_apsw_are_the_known_ones() -> None:
    assert set(EXPECTED) < {kind.__name__ for kind in CLASSES}


NO_ERRORS = {apsw.SQLITE_OK, apsw.SQLITE_ROW, apsw.SQLITE_DONE, apsw.SQLITE_NOTICE, apsw.SQLITE_WARNING}


@pytest.mark.parametrize("code", sorted({c for c in apsw.mapping_result_codes if isinstance(c, int)} - NO_ERRORS))
def test_every_result_code_of_sqlite_has_one_of_our_errors(code: int) -> None:
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    assert isinstance(translate(error, "x.db"), StoreError)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, StoreReadOnly),
        (errno.EPERM, StoreReadOnly),
        (errno.EIO, StoreUnavailable),
        (errno.EMFILE, StoreUnavailable),
    ],
)
def test_errors_of_the_operating_system_have_ours(number: int, kind: type[MemagentError]) -> None:
    with pytest.raises(kind, match=r"x\.db") as caught, translated("/nowhere/x.db"):
        raise OSError(number, "what happened")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_callers_own_errors_pass_a_transaction_unchanged() -> None:
    with pytest.raises(FileNotFoundError), translated_sqlite("x.db"):
        raise FileNotFoundError("something of the caller's")
