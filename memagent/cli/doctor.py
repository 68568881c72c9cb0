"""What ``memagent doctor`` looks at: the installation, the encoder, the store, and whether they fit each other."""

from __future__ import annotations

import platform
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from memagent._version import __version__
from memagent.cli.opening import exports, exports_folder, load, opened_with
from memagent.cli.output import plural
from memagent.cli.words import Missed, missed
from memagent.errors import MemagentError, StoreCorrupt

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.memory import Memory

State: TypeAlias = Literal["ok", "warning", "problem"]

MULTILINGUAL = "paraphrase-multilingual-MiniLM-L12-v2"
_PACKAGES = (
    *("apsw", "faiss-cpu", "numpy", "onnxruntime", "tokenizers"),
    *("sentence-transformers", "transformers", "torch"),
)
_SAMPLE = 200  # texts of a user that are looked at, spread evenly
_LITTLE_ROOM = 1 << 29  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, and what was seen; ``hint`` says what to do about a warning or problem."""

    what: str
    detail: str
    state: State = "ok"
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def examine(
    store: Path,
    model: str | None,
    precision: Literal["float32", "int8"],
    long_text: Literal["windows", "truncate"],
    *,
    user: str | None = None,
) -> list[Finding]:
    """Look at everything; what cannot be looked at is itself a finding."""
    found = [*_versions(), _sqlite(), *_place(store)]
    try:
        encoder = load(model, precision, long_text)
        found += _encoder(encoder)
    except MemagentError as error:
        return [*found, Finding(what="encoder", state="problem", detail=error.message, hint=error.hint)]
    if store.is_dir():
        try:
            with opened_with(store, encoder) as memory:
                found += _users(memory, encoder, user)
        except MemagentError as error:
            found.append(Finding(what="users", state="problem", detail=error.message, hint=error.hint))
    return found


def _versions() -> Iterator[Finding]:
    yield Finding(what="memagent", detail=f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    missing = []
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    yield Finding(what="packages", detail=", ".join(versions))
    if missing:
        yield Finding(
            what="packages",
            state="problem",
            detail=f"not installed: {', '.join(missing)}",
            hint="install memagent again",
        )


def _sqlite() -> Finding:
    import apsw

    return Finding(what="SQLite", detail=f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})")


def _place(store: Path) -> Iterator[Finding]:
    """Whether the store's folder can be written, and how much room is left there."""
    there = store if store.exists() else next(parent for parent in store.absolute().parents if parent.exists())
    try:
        # Asking for permission is not enough: a read-only mount and a full disk refuse only the attempt.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        yield Finding(
            what="store",
            state="problem",
            detail=f"{store} cannot be written: {error.strerror}",
            hint="check the path, its permissions and the disk",
        )
    else:
        yield Finding(what="store", detail=f"{store} {'' if store.exists() else 'is not there yet; it '}can be written")
    free = shutil.disk_usage(there).free
    little = free < _LITTLE_ROOM
    yield Finding(
        what="disk",
        state="warning" if little else "ok",
        detail=f"{free / 1e9:,.1f} GB free",
        hint="make room before the store needs it" if little else "",
    )


def _encoder(encoder: Encoder) -> Iterator[Finding]:
    """Whether the encoder works (a sentence is embedded; that makes the ONNX export if there is none), and how fast."""
    before = exports()
    began = time.perf_counter()
    encoder.encode_queries(["Where does she live?"])
    ready = time.perf_counter()
    encoder.encode_queries(["What does she like?"])
    took = f"ready in {ready - began:.1f} s, a sentence takes {(time.perf_counter() - ready) * 1000:.1f} ms"
    yield Finding(what="encoder", detail=f"{encoder.name}, {encoder.dim} dimensions, {encoder.fingerprint}; {took}")
    after = exports()
    made = f", {plural(len(after) - len(before), 'file')} made now" if len(after) > len(before) else ""
    yield Finding(what="ONNX exports", detail=f"{plural(len(after), 'file')} in {exports_folder()}{made}")


def _users(memory: Memory, encoder: Encoder, only: str | None) -> Iterator[Finding]:
    """Whether each user's vectors are this encoder's, and whether it knows the words of the user's texts."""
    users = memory.users() if only is None else [only]
    yield Finding(what="users", detail=plural(len(users), "user") + (" looked at" if only else ""))
    for user in users:
        try:
            made_with = memory.stats(user_id=user)["encoder"]
            if made_with not in (None, encoder.fingerprint):
                yield _other_encoder(user, made_with)
            elif (lost := missed(encoder, _sample(memory, user))).much:
                yield _unread(user, lost)
        except StoreCorrupt as error:
            yield Finding(what=f"user {user!r}", state="problem", detail=error.message, hint="run `memagent verify`")


def _other_encoder(user: str, made_with: str) -> Finding:
    return Finding(
        what=f"user {user!r}",
        state="problem",
        detail=f"the vectors come from another encoder, {made_with}",
        hint=f"name that encoder with --encoder, or embed again: memagent reindex --user {shlex.quote(user)}",
    )


def _sample(memory: Memory, user: str) -> Sequence[str]:
    texts = [found["memory"] for found in memory.get_all(user_id=user, top_k=None)["results"]]
    return texts[:: max(1, len(texts) // _SAMPLE)]


def _unread(user: str, lost: Missed) -> Finding:
    return Finding(
        what=f"user {user!r}",
        state="warning",
        detail=f"the encoder cannot read what is said: {lost.unknown:.0%} of the tokens are unknown to it, "
        f"{lost.spelled:.0%} of the words it knows by their letters only",
        hint="embed again with a multilingual model: "
        f"memagent reindex --user {shlex.quote(user)} --encoder {MULTILINGUAL}",
    )
