"""Words that mean much the same, read from a model's own table of word vectors.

A transformer's first layer holds a vector for each entry of its vocabulary. Entries used alike in the text it was
trained on lie close together there, once the mean of all is taken away: that gives neighbours for tens of thousands of
words without running the model. They are found once for each model, kept in the cache folder, and looked up after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from memagent.encoders.files import exclusive, replace_atomically
from memagent.encoders.fingerprint import weight_files
from memagent.encoders.model import ModelFolder
from memagent.errors import EncoderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Raised when the neighbours would be others, so that files of older versions are not used."""

LEAST_COSINE = 0.3
MOST_NEIGHBOURS = 24

_SHORTEST = 3
_MOST_WORDS = 40_000  # the time grows with the square of it; vocabularies list frequent words first
_TABLES = ("word_embeddings.weight", "embed_tokens.weight", "wte.weight")
_WORD_STARTS = "▁Ġ"  # how vocabularies of pieces mark the beginning of a word
_BLOCK = 1024


class RelatedWords:
    """The neighbours of each word of a vocabulary (n words).

    ``words``: in the order of the arrays; ``starts`` (n + 1,) int64: where each word's neighbours begin in ``others``
    (m,) int32, places in ``words``, and ``cosines`` (m,) float32, falling.
    """

    def __init__(
        self,
        words: Sequence[str],
        starts: NDArray[np.int64],
        others: NDArray[np.int32],
        cosines: NDArray[np.float32],
    ) -> None:
        self.words = tuple(words)
        self._starts = starts
        self._others = others
        self._cosines = cosines
        self._places = {word: place for place, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def of(self, word: str) -> tuple[tuple[str, float], ...]:
        """The neighbours of a word in lower case, each with its cosine, closest first; none for an unknown word."""
        place = self._places.get(word, self._places.get(word.partition("'")[0]))
        if place is None:
            return ()
        rows = slice(self._starts[place], self._starts[place + 1])
        pairs = zip(self._others[rows].tolist(), self._cosines[rows].tolist(), strict=True)
        return tuple((self.words[other], cosine) for other, cosine in pairs)

    def whole(self) -> bool:
        """Whether the arrays belong to each other and to the words."""
        bounds = len(self._starts) == len(self.words) + 1 and self._starts[-1] == len(self._others)
        return bool(bounds and len(self._others) == len(self._cosines))

    def save(self, path: Path) -> None:
        """Write the file that :func:`read` reads, as a whole or not at all."""
        text = np.frombuffer("\n".join(self.words).encode(), np.uint8)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, words=text, starts=self._starts, others=self._others, cosines=self._cosines)

        replace_atomically(path, write)


def read(path: Path) -> RelatedWords | None:
    """What :meth:`RelatedWords.save` wrote; None when there is no such file, or it is damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            words = file["words"].tobytes().decode()
            found = RelatedWords(words.split("\n") if words else [], file["starts"], file["others"], file["cosines"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return found if found.whole() else None


def related_words(model: ModelFolder, *, weights: str, cache_dir: Path) -> RelatedWords:
    """The neighbours of a model's words, from the cache folder, else found now (some seconds) and kept there.

    Empty for a model whose word vectors are not in a ``safetensors`` file, or whose vocabulary holds no words.
    ``weights`` is the digest of its weights. A folder that cannot be written is no error: the neighbours are then
    found by each process. Raises :class:`EncoderError` for damaged weights.
    """
    folder = cache_dir / "related-words"
    path = folder / f"{weights[:32]}-{FORMAT}.npz"
    if (known := read(path)) is not None:
        return known
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "lock"):
            found = read(path)
            if found is None:
                found = neighbours(*word_vectors(model))
                found.save(path)
    except OSError:
        return neighbours(*word_vectors(model))
    return found


def word_vectors(model: ModelFolder) -> tuple[list[str], NDArray[np.float32]]:
    """The whole words of a model's vocabulary, in lower case, and their vectors (n, width) as they are stored."""
    table = _table(model)
    words = {} if table is None else _whole_words(_vocabulary(model.folder / "tokenizer.json"), len(table))
    if table is None or not words:
        return [], np.zeros((0, 1), np.float32)
    return list(words), table[list(words.values())].astype(np.float32)


def neighbours(words: Sequence[str], vectors: NDArray[np.float32]) -> RelatedWords:
    """For each word the others whose centred vectors have a cosine of at least 0.3 with its own, 24 at most."""
    centred = vectors - vectors.mean(axis=0) if len(words) else vectors
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
    others: list[NDArray[np.int32]] = []
    cosines: list[NDArray[np.float32]] = []
    for begin in range(0, len(words), _BLOCK):
        block = units[begin : begin + _BLOCK] @ units.T
        block[np.arange(len(block)), begin + np.arange(len(block))] = -1.0
        for row in block:
            close = np.flatnonzero(row >= LEAST_COSINE)
            close = close[np.argsort(-row[close], kind="stable")[:MOST_NEIGHBOURS]]
            others.append(close.astype(np.int32))
            cosines.append(row[close].astype(np.float32))
    starts = np.concatenate([[0], np.cumsum([len(row) for row in others], dtype=np.int64)]).astype(np.int64)
    return RelatedWords(
        words,
        starts,
        np.concatenate([np.zeros(0, np.int32), *others]),
        np.concatenate([np.zeros(0, np.float32), *cosines]),
    )


def _table(model: ModelFolder) -> NDArray[Any] | None:
    """The model's input embeddings, (entries, width); None where they cannot be found."""
    from safetensors import SafetensorError, safe_open

    for path in weight_files(model.folder):
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, framework="numpy") as file:
                name = next((key for key in file.keys() if key.endswith(_TABLES)), None)  # noqa: SIM118 (no mapping)
                if name is not None:
                    return np.asarray(file.get_tensor(name))
        except (SafetensorError, OSError) as error:
            raise EncoderError(f"cannot read {path}: {error}", hint="reinstall or download the model") from error
        except TypeError:  # a number format that NumPy does not have (bfloat16)
            return None
    return None


def _vocabulary(path: Path) -> Iterable[tuple[str, int]]:
    """The entries of a ``tokenizer.json`` and their numbers; nothing when it holds none."""
    try:
        listed = json.loads(path.read_text("utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    if isinstance(listed, dict):
        return listed.items()
    return [(entry[0], number) for number, entry in enumerate(listed or ())]


def _whole_words(vocabulary: Iterable[tuple[str, int]], size: int) -> dict[str, int]:
    """Entries that are words of letters, at least three, in lower case, 40,000 at most; of two spellings the first.

    A vocabulary that marks where words begin holds word ends without the mark: these are left out.
    """
    entries = list(vocabulary)
    marked = any(entry[:1] in _WORD_STARTS for entry, _ in entries if entry)
    words: dict[str, int] = {}
    for entry, number in entries:
        if marked and entry[:1] not in _WORD_STARTS:
            continue
        word = entry.lstrip(_WORD_STARTS).lower()
        if len(word) >= _SHORTEST and word.isalpha() and number < size:
            words.setdefault(word, number)
        if len(words) == _MOST_WORDS:
            break
    return words
