"""The few requests to a model server that are no chat: health, models, adapters, metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from memagent.errors import InvalidInput, ModelTimeout, ModelUnavailable
from memagent.llm.failures import of_status

_LONGEST = 20_000_000  # bytes of an answer


class Answer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """The words in an OpenAI error body; the body itself if it is something else."""
        said = self.body[:10_000].decode("utf-8", "replace")
        try:
            found = json.loads(said)
        except ValueError:
            return said
        inner = found.get("error", found) if isinstance(found, dict) else found
        return str(inner.get("message", said)) if isinstance(inner, dict) else str(inner)


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections; the key is for the server that was named, and for no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and not _same_server(req.full_url, newurl):
            made.remove_header("Authorization")
        return made

    def http_error_302(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:  # also of the characters in it
            fp.close()
            raise urllib.error.URLError(f"it leads to what is no URL: {error}") from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _same_server(one: str, other: str) -> bool:
    """Whether two URLs are of one server; https in place of http counts as the same."""
    before, after = urlsplit(one), urlsplit(other)
    upgraded = (before.scheme, after.scheme) == ("http", "https") and before.hostname == after.hostname
    return upgraded or (before.scheme, before.netloc) == (after.scheme, after.netloc)


def _readable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        return False
    return True


class ServerHttp:
    """HTTP with one server. Errors are ours: unavailable and timeout (both retryable), or refused.

    ``url``: its address, with or without ``/v1`` at the end.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        stripped = url.strip().rstrip("/").removesuffix("/v1")
        scheme, separator, host = stripped.partition("://")
        spaced = any(mark.isspace() for mark in stripped)
        if scheme not in ("http", "https") or not separator or not host or spaced or not _readable(stripped):
            raise InvalidInput(f"{url!r} is no URL of a server", hint="for example http://127.0.0.1:8000")
        self.url = stripped
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        name = host.partition("/")[0].rpartition("@")[2]
        self.local = name.startswith(("127.", "localhost", "[::1]"))
        """Whether the server is on this machine."""
        # A proxy of the environment is for other machines.
        handlers = [urllib.request.ProxyHandler({})] if self.local else []
        self._opener = urllib.request.build_opener(_Redirections, *handlers)

    def get(self, path: str, *, timeout: float) -> bytes:
        """The body of an answer."""
        return self._checked(self.call(path, None, timeout=timeout))

    def get_json(self, path: str, *, timeout: float) -> Any:
        """The body as JSON."""
        return self._parsed(path, self.get(path, timeout=timeout))

    def post(self, path: str, body: dict[str, Any], *, timeout: float) -> bytes:
        """The body of the answer to JSON."""
        return self._checked(self.call(path, body, timeout=timeout))

    def call(self, path: str, body: dict[str, Any] | None, *, timeout: float) -> Answer:
        """Whatever the server answers. Raises when it does not."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({} if data is None else {"Content-Type": "application/json"})
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with self._answered(request, timeout) as answer:
                return Answer(answer.status, answer.read(_LONGEST))
        except TimeoutError:
            raise ModelTimeout(f"{self.url} did not answer within {timeout:g} s", hint="try again") from None
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise ModelTimeout(f"{self.url} did not answer within {timeout:g} s", hint="try again") from None
            raise ModelUnavailable(
                f"{self.url} cannot be reached: {reason}", hint="see whether the server runs"
            ) from error

    def _answered(self, request: urllib.request.Request, timeout: float) -> Any:
        """The answer, to be read and closed, whatever its status."""
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            return error

    @staticmethod
    def _checked(answer: Answer) -> bytes:
        if not 200 <= answer.status < 300:
            raise of_status(answer.status, answer.message).error
        return answer.body

    def _parsed(self, path: str, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            raise ModelUnavailable(
                f"{self.url}{path} did not answer with JSON: {body[:80]!r}", hint="is it the address of a model server?"
            ) from error
