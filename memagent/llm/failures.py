"""From the errors of providers to ours: the one place that knows them.

LangChain's own classes come first, then HTTP status codes (most clients' errors carry ``status_code`` and
``response``), then the names of transport errors. What is none of these is somebody's bug and passes as it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from memagent.errors import ModelDenied, ModelError, ModelRefused, ModelTimeout, ModelUnavailable
from memagent.llm.retry import Failure

_SHOWN = 500  # characters of a provider's message
_TRANSPORTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "aiohttp", "anyio"}
_CLIENTS = {"openai", "langchain_core"}
_CLOSED = ("disconnect", "ConnectionError", "RemoteProtocol", "ReadError", "WriteError", "Closed", "Connect")

_BUSY = "too many requests"
_UNPAID = "insufficient_quota"
_DENIED = (401, 402, 404, 405, 407)
"""Said of whoever asks, and not of the prompt; 403 may be either."""
_HINTS = {
    400: "see what it says; a prompt that is too long, or a parameter it does not know",
    401: "check the API key",
    402: "see the account at the provider",
    403: "check the API key and what it may be used for",
    404: "check the model's name and the server's address",
    413: "the prompt is too long",
    429: "see the account at the provider",
}


def failure_of(error: BaseException) -> Failure | None:
    """What went wrong, as one of our errors; None when it is none of the model's or its server's failures."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        status = _status_of_class(error)
    if status is not None:
        return _of_status(status, error)
    return _of_transport(error)


def of_status(status: int, said: str, headers: Mapping[str, str] | None = None) -> Failure:
    """The failure that an HTTP status stands for; ``said`` is what the server wrote."""
    said = " ".join(said.split())[:_SHOWN]
    kind, error = _kind_and_error(status, said)
    return Failure(error=error, kind=kind, retry_after=retry_after(headers) if error.retryable else None)


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds that a server wants to be left alone: ``Retry-After`` as seconds or as a date, or ``retry-after-ms``."""
    headers = headers or {}
    try:
        if millis := headers.get("retry-after-ms"):
            return max(0.0, float(millis) / 1000)
        value = headers.get("retry-after") or headers.get("Retry-After") or ""
        if not value.strip():
            return None
        if value.strip()[0].isdigit() or value.strip()[0] in "-.":
            return max(0.0, float(value))
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _of_status(status: int, error: BaseException) -> Failure:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return of_status(status, str(error), headers if isinstance(headers, Mapping) else None)


def _kind_and_error(status: int, said: str) -> tuple[str, ModelError]:
    shown = f"the server said {status}: {said}"
    if status == 408:
        return "timeout", ModelTimeout(shown)
    if status == 429 and _UNPAID not in said:
        return "rate limit", ModelUnavailable(f"{_BUSY}: {said}", hint="send fewer at once, or try again later")
    if status in (409, 425) or (status >= 500 and status not in (501, 505)):
        return "server error", ModelUnavailable(shown, hint="try again; if it stays so, see the server's log")
    refusal = ModelDenied if status in _DENIED or status == 429 else ModelRefused
    return "refused", refusal(shown, hint=_HINTS.get(status, ""))


def _status_of_class(error: BaseException) -> int | None:
    """The status for which one of langchain-core's error classes stands."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "langchain_core.exceptions"}
    for name, status in (
        ("ContextOverflowError", 413),
        ("ModelAuthenticationError", 401),
        ("ModelPermissionDeniedError", 403),
        ("ModelInvalidRequestError", 400),
        ("ModelNotFoundError", 404),
        ("ModelRateLimitError", 429),
        ("ModelAPIError", 500),
    ):
        if name in names:
            return status
    return None


def _of_transport(error: BaseException) -> Failure | None:
    """Errors without a status: nobody answered, or not to the end."""
    names = [kind.__name__ for kind in type(error).__mro__]
    said = " ".join(f"{error}".split())[:_SHOWN] or type(error).__name__
    foreign = any(kind.__module__.partition(".")[0] in _TRANSPORTS | _CLIENTS for kind in type(error).__mro__)
    if isinstance(error, TimeoutError) or (foreign and any("Timeout" in name for name in names)):
        timeout = ModelTimeout("the model did not answer in time", hint="allow it more time, or ask for less")
        return Failure(error=timeout, kind="timeout")
    if isinstance(error, ConnectionError) or (foreign and any(part in name for part in _CLOSED for name in names)):
        lost = f"the connection to the model failed: {_root(error, said)}"
        return Failure(error=ModelUnavailable(lost, hint="see whether its server runs"), kind="connection")
    if foreign and "APIError" in names:  # an error event in the middle of a stream
        return of_status(_code_of(error) or 500, said)
    if "OpenAIError" in names:  # the client itself objects: there is no key
        return Failure(error=ModelDenied(said, hint=_HINTS[401]), kind="refused")
    return None


def _code_of(error: BaseException) -> int | None:
    """The HTTP status that an error event names; other codes are words."""
    code = str(getattr(error, "code", None))
    return int(code) if re.fullmatch("[45][0-9]{2}", code) else None


def _root(error: BaseException, said: str) -> str:
    """The innermost cause in words: ``Connection error.`` alone does not help anybody."""
    inner: BaseException | None = error
    while inner is not None:
        said = " ".join(str(inner).split())[:_SHOWN] or said
        inner = inner.__cause__ or inner.__context__
    return said
