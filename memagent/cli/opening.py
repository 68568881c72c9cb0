"""Opens a store for one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memagent.cli.output import say
from memagent.errors import NotFound
from memagent.files import as_path, directory_to_use

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.memory import Memory


def load(
    model: str | None, precision: Literal["float32", "int8"], long_text: Literal["windows", "truncate"]
) -> Encoder:
    """The encoder that the options name. Says so on stderr when it will have to be exported first."""
    from memagent.encoders import load_encoder

    if not any(path.name == f"{precision}.onnx" for path in exports()):
        say("the encoder is being made ready, once: this takes some seconds")
    return load_encoder(model, precision=precision, long_text=long_text, cache_dir=_cache_dir())


def exports() -> list[Path]:
    """The ONNX exports of models that exist."""
    return sorted(exports_folder().glob("onnx/*/*.onnx"))


def exports_folder() -> Path:
    """Where exports of models are kept."""
    from memagent.encoders.files import default_cache_dir

    return _cache_dir() or default_cache_dir()


def _cache_dir() -> Path | None:
    named = os.environ.get("MEMAGENT_CACHE")
    return as_path(named, "MEMAGENT_CACHE") if named else None


@contextmanager
def opened(
    store: Path,
    model: str | None,
    precision: Literal["float32", "int8"],
    long_text: Literal["windows", "truncate"],
    *,
    create: bool = False,
    llm: str | None = None,
) -> Iterator[Memory]:
    """The memory in a folder, which must be there unless ``create``; ``llm`` names a language model. NotFound."""
    if not create:
        must_exist(store)
    with opened_with(store, load(model, precision, long_text), model=llm) as memory:
        yield memory


@contextmanager
def opened_without_encoder(store: Path) -> Iterator[Memory]:
    """The memory in a folder, for verbs that neither embed nor search: they work whatever encoder it was made with."""
    must_exist(store)
    with opened_with(store, None) as memory:
        yield memory


@contextmanager
def opened_with(store: Path, encoder: Encoder | None, *, model: str | None = None) -> Iterator[Memory]:
    """The memory in a folder, with an encoder that is loaded already, if one will be needed."""
    from memagent.memory import Memory

    # No background work: a command ends as soon as it has answered, and says itself when summaries are due.
    with Memory(store, encoder=encoder, background=False, model=model) as memory:
        yield memory


def must_exist(store: Path) -> None:
    """Raise NotFound if the folder is not there: most likely another one was meant."""
    if not directory_to_use(store, "--store").exists():
        raise NotFound(
            f"there is no store at {store}",
            hint="name its folder with --store or MEMAGENT_STORE; `memagent add` makes one",
        )
