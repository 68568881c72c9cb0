"""Arrays and a header of JSON in one file, which is refused as a whole when it is damaged.

A line that names the format, the SHA-256 of all that follows, then NumPy's npz.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.errors import DataError, InvalidInput
from memagent.files import as_path, file_to_write, replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = b"memagent lsrp index 1\n"
_DIGEST = hashlib.sha256().digest_size
_HEADER = "header"


def write_arrays(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the file, as a whole or not at all, for its owner alone. Raises InvalidInput where that cannot be done."""
    place = file_to_write(path, "the index file")
    text = np.frombuffer(json.dumps(dict(header), ensure_ascii=True).encode(), dtype=np.uint8)
    held = io.BytesIO()
    everything: dict[str, Any] = {_HEADER: text, **arrays}
    np.savez(held, **everything)
    content = held.getvalue()
    try:
        with replacing(place) as temporary:
            temporary.write_bytes(_MAGIC + hashlib.sha256(content).digest() + content)
    except OSError as error:
        raise InvalidInput(f"{place} cannot be written: {error.strerror}", hint="choose another place") from error


def read_arrays(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header and the arrays of a file whose header says this ``kind``.

    Raises InvalidInput where it cannot be read at all, and DataError where it is damaged or something else. Nothing in
    the file is executed (no pickles).
    """
    place = as_path(path, "the index file")
    try:
        content = place.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{place} cannot be read: {error.strerror}", hint="name an index file") from error
    body = content[len(_MAGIC) + _DIGEST :]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) :][:_DIGEST] != hashlib.sha256(body).digest():
        raise damaged(place)
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as loaded:
            arrays = {name: np.array(loaded[name]) for name in loaded.files}
        header = json.loads(arrays.pop(_HEADER).tobytes())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(place) from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else None
        raise DataError(f"{place.name} holds {found or 'no index'}, not {kind}", hint="name the right file")
    return header, arrays


def damaged(place: str | Path) -> DataError:
    """The error for a file whose parts do not fit together."""
    return DataError(f"{Path(place).name} is damaged, or no index file", hint="build the index again")
