"""The cloud as the device reaches it over HTTP: ``POST /guideline`` of ``memagent serve lsrp-cloud``.

The request is written out here byte by byte, so that what leaves can be read in one place: the three fields of the
message, and the headers named in ``HEADERS``, none of which says anything about the user or the device.
"""

from __future__ import annotations

import io
import json
import math
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from memagent.agents.lsrp.deadline import seconds_above_zero
from memagent.agents.lsrp.messages import Guideline, GuidelineRequest
from memagent.agents.lsrp.wire import WireLog
from memagent.errors import DataError, InvalidInput, MalformedReply, ModelError, ModelTimeout, ModelUnavailable
from memagent.llm.failures import of_status

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATH = "/guideline"
HEADERS = (
    "Host",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Content-Length",
    "Connection",
    "Authorization",
)
"""All headers that are ever sent; the last one only where there is a token."""
TIMEOUT = 30.0
"""Seconds for a guideline, where nothing else is said: all attempts, and whatever they wait for."""
LONGEST_ANSWER = 256 * 1024
"""Bytes of an answer, head included, at most."""
_WAIT = 0.5  # seconds before the second attempt
_LEAST = 0.05  # seconds that are worth an attempt
_LONGEST_WAIT = 86_400.0  # seconds; a socket does not take an endless time
_MOST_PADDING = 65_536
_HINT = "see whether `memagent serve lsrp-cloud` runs there"


@dataclass(frozen=True, slots=True)
class _Place:
    secure: bool
    host: str
    port: int
    path: str

    @property
    def named(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.named}{self.path}"


class RemoteLeader:
    """A :class:`~memagent.agents.lsrp.ports.Leader` behind a URL. Safe from several threads.

    ``timeout``: seconds for the whole call, the second attempt included (None: no limit); only looking up the host's
    name takes as long as the system lets it (a :class:`~memagent.agents.lsrp.Device` does not wait for that either).
    There is one second attempt where nothing, or an error of the server, came back. ``token`` is sent as
    ``Authorization: Bearer``. ``wire`` logs every byte. ``pad``: a body is filled up with spaces to a multiple of so
    many bytes, so that who watches a line that is encrypted learns less of the task from its length (0: it is not).

    Raises ModelUnavailable, ModelTimeout, ModelRefused, ModelDenied, or MalformedReply for an answer that is no
    guideline, is empty, or is longer than ``LONGEST_ANSWER``; and what the log raises if it cannot be written.
    Proxies of the environment are not used, and no redirection is followed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float | None = TIMEOUT,
        wire: WireLog | None = None,
        pad: int = 0,
    ) -> None:
        seconds = seconds_above_zero(timeout, "timeout")
        if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
            raise InvalidInput("the token cannot be sent", hint="printable ASCII without spaces")
        if type(pad) is not int or not 0 <= pad <= _MOST_PADDING:
            raise InvalidInput(f"pad is {pad!r}", hint=f"bytes, 0 to {_MOST_PADDING:,}")
        self._place = _place(url)
        self._pad = pad
        self._token = token
        self._timeout = math.inf if seconds is None else seconds
        self.wire = wire if wire is not None else WireLog()
        """The log of all that crossed."""

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._place.url

    @property
    def timeout(self) -> float:
        """Seconds for a whole call."""
        return self._timeout

    def guideline(self, request: GuidelineRequest) -> Guideline:
        """The guideline for a request."""
        deadline = time.monotonic() + self._timeout
        raw = self._request(request)
        try:
            return self._asked(raw, deadline)
        except (ModelUnavailable, ModelTimeout):
            if deadline - time.monotonic() < _WAIT + _LEAST:
                raise
        time.sleep(_WAIT)
        return self._asked(raw, deadline)

    def _request(self, request: GuidelineRequest) -> tuple[bytes, bytes]:
        try:
            body = json.dumps(request.to_json(), ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidInput("the task holds a lone surrogate", hint="decode it as UTF-8 first") from None
        if self._pad:
            body += b" " * (-len(body) % self._pad)
        lines = [
            f"POST {self._place.path} HTTP/1.1",
            f"Host: {self._place.named}",
            "User-Agent: memagent",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        if self._token is not None:
            lines.append(f"Authorization: Bearer {self._token}")
        return "\r\n".join((*lines, "", "")).encode("ascii"), body

    def _asked(self, raw: tuple[bytes, bytes], deadline: float) -> Guideline:
        try:
            status, body = self._exchanged(raw, deadline)
        except TimeoutError:
            raise ModelTimeout(f"{self.url} did not answer within {self._timeout:g} s", hint=_HINT) from None
        except (OSError, HTTPException) as error:
            said = str(error) or type(error).__name__
            raise ModelUnavailable(f"{self.url} cannot be reached: {said}", hint=_HINT) from error
        if status != 200:
            raise _refusal(self.url, status, body)
        return _read(body)

    def _exchanged(self, raw: tuple[bytes, bytes], deadline: float) -> tuple[int, bytes]:
        """The status and the body of one exchange, all of it in the log."""
        head, body = raw
        with _connected(self._place, deadline) as sock:
            self.wire.record("up", body, head=head, token=self._token)
            _send(sock, head + body, deadline)
            tap = _Tap(sock, deadline)
            response = HTTPResponse(cast(socket.socket, tap), method="POST")
            try:
                response.begin()
                return response.status, response.read()
            finally:
                response.close()
                if tap.got:
                    came, end, rest = bytes(tap.got).partition(b"\r\n\r\n")
                    self.wire.record("down", rest, head=came + end)


class _Tap(io.RawIOBase):
    """Reads a socket until a deadline, and keeps all that it has read: in place of a socket for HTTPResponse."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self.got = bytearray()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The reader that HTTPResponse asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what has come; raises TimeoutError at the deadline, MalformedReply for too much."""
        self._sock.settimeout(_left(self._deadline))
        view = memoryview(buffer).cast("B")
        count = self._sock.recv_into(view)
        self.got += view[:count]
        if len(self.got) > LONGEST_ANSWER:
            raise MalformedReply(
                f"the cloud sent more than {LONGEST_ANSWER:,} bytes", hint="is it memagent's?", reason="too long"
            )
        return count


def _place(url: str) -> _Place:
    hint = "for example https://leader.example.org or http://127.0.0.1:8010"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{url!r} is no URL of a server: {error}", hint=hint) from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or not host.isascii() or not parts.path.isascii():
        raise InvalidInput(f"{url!r} is no URL of a server", hint=hint)
    if parts.username is not None or parts.query or parts.fragment or any(c <= " " for c in parts.path + host):
        raise InvalidInput("the cloud's URL holds more than an address", hint="no user, query or fragment; " + hint)
    try:
        host.encode("idna")  # as looking it up does
    except UnicodeError:
        raise InvalidInput(f"{url!r} is no URL of a server: {host} can be no host", hint=hint) from None
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/").removesuffix(PATH) + PATH
    return _Place(secure, host, port or (443 if secure else 80), path)


def _connected(place: _Place, deadline: float) -> socket.socket:
    sock = _first_connected(place, deadline)
    if not place.secure:
        return sock
    try:
        sock.settimeout(_left(deadline))  # for the handshake as a whole
        return ssl.create_default_context().wrap_socket(sock, server_hostname=place.host)
    except BaseException:
        sock.close()
        raise


def _first_connected(place: _Place, deadline: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one; they share what is left until the deadline, so
    that one that is silent leaves time for the others.
    """
    failed: OSError | None = None
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            seconds = _left(deadline) / left
            return _to_address(socket.socket(family, kind, protocol), address, seconds)
        except OSError as error:  # also a family that this machine does not have
            failed = error
    raise failed or OSError("the host has no address")


def _to_address(sock: socket.socket, address: Any, seconds: float) -> socket.socket:
    try:
        sock.settimeout(seconds)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _send(sock: socket.socket, content: bytes, deadline: float) -> None:
    """Send all of it; the time limit of a socket is for one piece."""
    left = memoryview(content)
    while left:
        sock.settimeout(_left(deadline))
        left = left[sock.send(left) :]


def _left(deadline: float) -> float:
    """Seconds until the deadline; raises TimeoutError at it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, _LONGEST_WAIT)


def _refusal(url: str, status: int, body: bytes) -> ModelError:
    said = body[:2_000].decode("utf-8", "replace")
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    detail = found.get("detail") if isinstance(found, dict) else None
    if 300 <= status < 400:
        return MalformedReply(f"{url} leads elsewhere ({status})", hint="give its own address", reason="redirection")
    error = of_status(status, str(detail or said)).error
    error.hint = error.hint or _HINT
    return error


def _read(body: bytes) -> Guideline:
    parse: Callable[[bytes], Any] = json.loads
    try:
        guideline = Guideline.from_json(parse(body))
        guideline.text.encode("utf-8")
    except (DataError, ValueError, RecursionError) as error:
        said = error.message if isinstance(error, DataError) else str(error)
        raise MalformedReply(
            f"the cloud's answer is no guideline: {said}", hint=_HINT, reason="no guideline", text=repr(body[:500])
        ) from None
    if not guideline.text.strip():
        raise MalformedReply("the cloud's guideline is empty", hint="ask again", reason="empty")
    return guideline
