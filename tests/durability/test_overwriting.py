from __future__ import annotations

import random

from model import fast_directory
from observer import marked_text, observer

from memagent.stores.port import UserStore
from memagent.stores.sqlite import SQLiteStore
from memagent.testing.store_drafts import AT, added, draft

SEEDS = range(3)
SIZES = (1200, 2000, 2600, 3000, 3300, 200)  # near the size of a page: changing them moves others between pages
ROUNDS = 80


class Texts:
    """Units full of marks in one session of a store."""

    def __init__(self, user: UserStore, rng: random.Random) -> None:
        self.user, self.rng = user, rng
        self.kept: dict[int, list[str]] = {}
        self.gone: list[str] = []
        added(user, "s", ["an old text"])

    def add(self) -> None:
        text = marked_text(self.rng, self.rng.choice(SIZES))
        with self.user.write() as writer:
            (key,) = writer.insert_units([draft(1, f"u{len(self.gone)}-{len(self.kept)}-{self.rng.random()}", text)])
        self.kept[key] = [text]

    def replace(self) -> None:
        key = self.rng.choice(sorted(self.kept))
        text = marked_text(self.rng, self.rng.choice(SIZES))
        with self.user.write() as writer:
            (unit,) = writer.units([key])
            writer.replace_unit(key, draft(1, unit.id, text), old_text=unit.text)
        self.kept[key].append(text)

    def delete(self) -> None:
        key = self.rng.choice(sorted(self.kept))
        with self.user.write() as writer:
            writer.delete_units([key], at=AT)
        self.gone += self.kept.pop(key)


def test_copies_that_moving_texts_between_pages_leaves_behind_are_overwritten_too() -> None:
    for seed in SEEDS:
        with observer() as watcher, fast_directory() as root:
            texts = Texts(SQLiteStore(root).open("ann", create=True), random.Random(seed))
            for _ in range(60):
                texts.add()
            for number in range(ROUNDS):
                texts.replace()
                texts.replace()
                texts.delete()
                texts.add()
                if number % 8 == 7:
                    kept = [text for versions in texts.kept.values() for text in versions]
                    assert watcher.left(root, texts.gone, kept) == {}
            texts.user.close()
