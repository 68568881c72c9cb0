from __future__ import annotations

from pathlib import Path

import pytest

from memagent.stores.port import MemoryStore
from memagent.stores.sqlite import MemoryOnlyStore, SQLiteStore
from memagent.testing.store_contract import MemoryStoreContract


class TestSQLiteStore(MemoryStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> MemoryStore:
        return SQLiteStore(tmp_path / "memory", timeout=10)


class TestMemoryOnlyStore(MemoryStoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryOnlyStore(timeout=10)
