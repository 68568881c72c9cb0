"""Where the pictures of posters come from: files, and addresses that are downloaded once."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.agent.pictures import shrunk
from memagent.errors import DataError, InvalidInput
from memagent.files import directory_to_use, replacing

if TYPE_CHECKING:
    from os import PathLike

_WEB = ("http://", "https://")
_CHUNK = 65_536  # bytes
_LOCKS = 64
_AGENT = "memagent"
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a later try may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``max_bytes`` of a file or download; ``timeout`` in seconds, for the connection and for all that is received."""

    max_bytes: int = 8_000_000
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or not self.timeout > 0:
            raise InvalidInput(f"posters cannot be read within {self}", hint="both are above 0")


class PosterFiles:
    """Posters as JPEG bytes, no side longer than ``side`` pixels.

    ``base``: the folder that paths begin at; nothing outside of it is read, for who wrote the catalogue need not be who
    may see this machine's pictures, and a model may be elsewhere. Without it any path is read. ``download``: whether
    addresses are fetched; ``cache``: the folder in which what was fetched is kept, under the SHA-256 of its address and
    ``side``. An address that leads to no picture is kept as such and not fetched again; one that could not be reached
    is tried again by the next process.
    Safe from several threads.
    """

    def __init__(
        self,
        *,
        base: str | PathLike[str] | None = None,
        cache: str | PathLike[str] | None = None,
        download: bool = False,
        side: int = 672,
        limits: Limits | None = None,
    ) -> None:
        if side < 1:
            raise InvalidInput(f"a side of {side} pixels", hint="1 or more")
        self._base = Path(base) if base is not None else None
        self._cache = directory_to_use(cache, "the cache of posters") if cache is not None else None
        self._download = download
        self._side = side
        self._limits = limits or Limits()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def read(self, poster: str) -> bytes:
        """The poster at a path or address; raises DataError, saying why, where there is none."""
        if poster.lower().startswith(_WEB):
            return self._of_address(poster)
        return shrunk(self._of_file(self._path(poster)), side=self._side)

    def digest(self, poster: str) -> str:
        """Tells a poster from another at the same path: its bytes, or why there are none.

        Of an address it says only whether it is fetched: what is there is not known before, and does not change after.
        """
        if poster.lower().startswith(_WEB):
            return "fetched" if self._download else "not fetched"
        try:
            return hashlib.sha256(self._of_file(self._path(poster))).hexdigest()
        except DataError as error:
            return error.message

    def _path(self, poster: str) -> Path:
        if self._base is None:
            return Path(poster)
        try:
            path = (self._base / poster).resolve()
            inside = path.is_relative_to(self._base.resolve())
        except (OSError, ValueError, RuntimeError):  # a name that can be none, links in a circle
            raise DataError("there is no such file", hint="see the path, and what it is relative to") from None
        if not inside:
            raise DataError("it lies outside of the folder of posters", hint="name the folder that holds them")
        return path

    def _of_file(self, path: Path) -> bytes:
        most = self._limits.max_bytes
        try:
            if not path.is_file():  # a pipe or a device would be read for ever
                raise DataError("there is no such file", hint="see the path, and what it is relative to")
            with path.open("rb") as file:
                data = file.read(most + 1)
        except (OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the file cannot be read: {type(error).__name__}", hint="see its path") from None
        if len(data) > most:
            raise DataError(f"the file has more than {most:,} bytes", hint="raise max_bytes, or shrink it")
        return data

    def _of_address(self, url: str) -> bytes:
        key = hashlib.sha256(f"{self._side} {url}".encode("utf-8", "surrogatepass")).hexdigest()
        with self._locks[int(key[:8], 16) % _LOCKS]:
            kept = self._kept(key)
            if kept is not None:
                return kept
            if not self._download:
                raise DataError("addresses are not fetched", hint="allow downloads of posters")
            return self._fetched(url, key)

    def _fetched(self, url: str, key: str) -> bytes:
        try:
            made = shrunk(_get(url, self._limits), side=self._side)
        except _Unreachable:
            raise
        except DataError as error:
            self._keep(f"{key}.none", error.message.encode())
            raise
        self._keep(f"{key}.jpg", made)
        return made

    def _kept(self, key: str) -> bytes | None:
        if self._cache is None:
            return None
        found = _bytes_of(self._cache / f"{key}.jpg")
        if found:
            return found
        refused = _bytes_of(self._cache / f"{key}.none")
        if refused is not None:
            raise DataError(refused.decode("utf-8", "replace"), hint="delete it from the cache to try again")
        return None

    def _keep(self, name: str, data: bytes) -> None:
        if self._cache is None:
            return
        self._cache.mkdir(parents=True, exist_ok=True)
        with replacing(self._cache / name, mode=0o666) as temporary:
            temporary.write_bytes(data)


class _Unreachable(DataError):
    """A later try may succeed."""


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTP and HTTPS, and to nothing else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith(_WEB):
            raise urllib.error.HTTPError(newurl, code, "redirected off the web", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(url: str, limits: Limits) -> bytes:
    """What an address answers; raises _Unreachable or DataError."""
    begun = time.monotonic()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept": "image/*"})
        with urllib.request.build_opener(_WebOnly).open(request, timeout=limits.timeout) as answer:
            return _body(answer, limits, begun)
    except urllib.error.HTTPError as error:
        error.close()
        kind = _Unreachable if error.code in _PASSING else DataError
        raise kind(f"the server said {error.code}", hint="see the address") from None
    except DataError:
        raise
    except (OSError, HTTPException) as error:  # URLError and timeouts are among them
        reason = getattr(error, "reason", error)
        raise _Unreachable(f"no answer: {type(reason).__name__}", hint="see the network") from None
    except ValueError:  # of an address that is none
        raise DataError("no address of the web", hint="give http:// or https:// and a host") from None


def _body(answer: HTTPResponse, limits: Limits, begun: float) -> bytes:
    received = bytearray()
    while piece := answer.read1(_CHUNK):
        received += piece
        if len(received) > limits.max_bytes:
            raise DataError(f"more than {limits.max_bytes:,} bytes", hint="raise max_bytes")
        if time.monotonic() - begun > limits.timeout:
            raise _Unreachable(f"not complete within {limits.timeout:g} s", hint="allow more time")
    if answer.length:  # what is left of the length announced, which read1 does not miss
        raise _Unreachable("no answer: it broke off", hint="see the network")
    return bytes(received)
