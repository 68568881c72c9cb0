"""The stores that are measured, filled with synthetic conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memagent.bench.encoder import PrecomputedEncoder
from memagent.bench.figures import BenchSettings
from memagent.bench.texts import Grammar
from memagent.memory import Memory

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.records import Vectors

Tell = Callable[[str], None]

_SESSIONS_AT_ONCE = 50


class Workshop:
    """Fills stores under ``root`` when they are first asked for; ``tell`` is told what is being done.

    ``cache_dir`` is where encoders keep what they make of a model (None: the user's cache folder).
    """

    def __init__(self, root: Path, settings: BenchSettings, tell: Tell, cache_dir: Path | None = None) -> None:
        self.root = root
        self.settings = settings
        self.tell = tell
        self.cache_dir = cache_dir
        self.encoder = PrecomputedEncoder(seed=settings.seed)
        self.grammar = Grammar(settings.seed)

    @property
    def store(self) -> Path:
        """The folder of the users of different sizes."""
        return self.root / "sizes"

    def load(self, precision: Literal["float32", "int8"] = "float32") -> Encoder:
        """The default encoder."""
        from memagent.encoders import load_encoder

        return load_encoder(precision=precision, cache_dir=self.cache_dir)

    def user(self, units: int) -> str:
        """A user with this many turns, in :attr:`store`."""
        user_id = f"user-{units}"
        self._fill(self.store, {user_id: units})
        return user_id

    def crowd(self, users: int) -> tuple[Path, list[str]]:
        """A folder of users with ``units_per_user`` turns each, and their ids."""
        folder = self.root / f"crowd-{users}"
        names = [f"user-{number}" for number in range(users)]
        self._fill(folder, dict.fromkeys(names, self.settings.units_per_user))
        return folder, names

    @contextmanager
    def opened(self, folder: Path | None = None, encoder: Encoder | None = None) -> Iterator[Memory]:
        """The memory in a folder, by default :attr:`store`; nothing goes on in its background."""
        with Memory(
            folder or self.store,
            encoder=encoder or self.encoder,
            background=False,
            max_open_users=self.settings.open_users,
        ) as memory:
            yield memory

    def questions(self, count: int) -> list[str]:
        """Questions whose precomputed vectors are ready."""
        texts = [self.grammar.question() for _ in range(count)]
        self.encoder.prepare(texts)
        return texts

    def vectors(self, user_id: str) -> Vectors:
        """The vectors of a user's turns."""
        with self.opened() as memory:
            turns = memory.get_all(user_id=user_id, top_k=None)["results"]
        return self.encoder.encode_documents([turn["memory"] for turn in turns])

    def _fill(self, folder: Path, sizes: dict[str, int]) -> None:
        total = sum(sizes.values())
        stored = 0
        with self.opened(folder) as memory:
            if set(sizes) <= set(memory.users()):
                return
            for user_id, units in sizes.items():
                sessions = self.grammar.sessions(units)
                while batch := list(islice(sessions, _SESSIONS_AT_ONCE)):
                    stored += len(memory.add_many(batch, user_id=user_id)["results"])
                    self.tell(f"storing {stored:,} of {total:,} turns")
