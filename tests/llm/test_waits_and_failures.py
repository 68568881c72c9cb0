from __future__ import annotations

import asyncio
import math
import time
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import langchain_core.exceptions
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import InvalidInput, ModelDenied, ModelRefused, ModelTimeout, ModelUnavailable
from memagent.llm import Backoff
from memagent.llm.failures import failure_of, of_status, retry_after
from memagent.llm.wire import Clock


def test_waits_grow_up_to_a_limit() -> None:
    full = Backoff(first=1.0, factor=3.0, longest=10.0, random=lambda: 1.0)
    assert [full.wait(n) for n in range(4)] == [1.0, 3.0, 9.0, 10.0]
    assert full.wait(10_000) == 10.0


@given(st.integers(0, 200), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_half_and_all(repetition: int, chance: float) -> None:
    low = Backoff(random=lambda: 0.0).wait(repetition)
    some = Backoff(random=lambda: chance).wait(repetition)
    assert low is not None
    assert some is not None
    assert low <= some <= 2 * low <= 30.0


def test_waits_of_one_moment_differ() -> None:
    waits = sorted(Backoff().wait(3) or 0.0 for _ in range(50))
    assert all(one < other for one, other in pairwise(waits))


def test_the_servers_own_wait_goes_first_up_to_our_patience() -> None:
    backoff = Backoff(patience=60.0)
    assert backoff.wait(0, 45.0) == 45.0
    assert backoff.wait(9, 0.0) == 0.0
    assert backoff.wait(0, 61.0) is None


@pytest.mark.parametrize("options", [{"first": -1}, {"factor": 0.5}, {"longest": -1}, {"first": math.nan}])
def test_waits_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Backoff(**options)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (None, None),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "12"}, 12.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9999999999999999999999"}, 9999999999999999999999.0),
        ({"retry-after": "Wed, 99 Foo 2026 25:00:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_what_a_server_says_about_waiting(headers: dict[str, str] | None, seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_to_wait_for() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 3000, usegmt=True)})
    assert wait is not None
    assert 2900 < wait <= 3000


RETRYABLE = {
    "ModelRateLimitError": "rate limit",
    "ModelAPIError": "server error",
    "ModelConnectionError": "connection",
    "ModelTimeoutError": "timeout",
}


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in list(vars(langchain_core.exceptions).values())
        if isinstance(kind, type)
        and issubclass(kind, langchain_core.exceptions.ModelError)
        and kind is not langchain_core.exceptions.ModelError
    ],
)
def test_every_error_of_langchains_models_is_one_of_ours(kind: type[Exception]) -> None:
    failure = failure_of(kind("it broke"))
    assert failure is not None
    assert failure.kind == RETRYABLE.get(kind.__name__, "refused")
    assert failure.error.retryable is kind.is_retryable  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for name, kind in list(vars(openai).items())
        if issubclass(type(kind), type) and issubclass(kind, openai.APIError) and not name.startswith("_")
    ],
)
def test_every_error_of_openais_client_is_one_of_ours(kind: type[openai.APIError]) -> None:
    # Made without the constructor: it wants a response of the client's own kind.
    error = kind.__new__(kind)
    Exception.__init__(error, "it broke")
    failure = failure_of(error)
    assert failure is not None, kind
    refused = {"BadRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError", "OAuthError"}
    assert failure.error.retryable is (kind.__name__ not in refused | {"UnprocessableEntityError"})


class ProviderError(Exception):
    """What most providers' clients raise."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} from the provider")
        self.status_code = status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 501, 502, 503, 504, 529])
def test_the_status_of_any_client_decides(status: int) -> None:
    failure = failure_of(ProviderError(status))
    assert failure is not None
    assert failure.error.retryable is (status in {408, 409, 425, 429, 500, 502, 503, 504, 529})
    assert str(status) in str(failure.error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 407, 413, 415, 422, 501])
def test_a_refusal_says_whether_it_is_about_the_prompt_or_about_us(status: int) -> None:
    failure = failure_of(ProviderError(status))
    assert failure is not None
    assert isinstance(failure.error, ModelRefused)
    assert isinstance(failure.error, ModelDenied) is (status in {401, 402, 404, 405, 407})


def test_an_account_that_is_empty_is_about_us_and_too_many_requests_are_not() -> None:
    empty, many = of_status(429, "code: insufficient_quota"), of_status(429, "slow down")
    assert (type(empty.error), type(many.error)) == (ModelDenied, ModelUnavailable)
    assert "account" in empty.error.hint


@pytest.mark.parametrize(
    ("code", "retryable"), [(400, False), ("400", False), (500, True), ("boom", True), (None, True)]
)
def test_an_error_in_the_middle_of_a_stream_goes_by_the_status_it_names(code: object, retryable: bool) -> None:
    error = openai.APIError.__new__(openai.APIError)
    Exception.__init__(error, "the prompt is too long")
    error.code = code  # type: ignore[assignment]
    failure = failure_of(error)
    assert failure is not None
    assert failure.error.retryable is retryable


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), ModelTimeout),
        (ConnectionResetError("reset"), ModelUnavailable),
        (BrokenPipeError(), ModelUnavailable),
        (ValueError("odd"), None),
        (RuntimeError("a bug"), None),
        (AssertionError(), None),
        (OSError("disk"), None),
    ],
)
def test_errors_of_python_itself(error: Exception, kind: type[Exception] | None) -> None:
    failure = failure_of(error)
    assert (None if failure is None else type(failure.error)) is kind


def test_a_refused_connection_says_why() -> None:
    outer = openai.APIConnectionError.__new__(openai.APIConnectionError)
    Exception.__init__(outer, "Connection error.")
    outer.__cause__ = ConnectionRefusedError(111, "Connection refused")
    failure = failure_of(outer)
    assert failure is not None
    assert "Connection refused" in failure.error.message


def test_a_refusal_is_no_failure_that_passes() -> None:
    failure = failure_of(ProviderError(401))
    assert failure is not None
    assert isinstance(failure.error, ModelRefused)
    assert "API key" in failure.error.hint
    assert failure.retry_after is None


def test_the_real_clock_goes_on() -> None:
    clock = Clock()
    before = clock.now()
    clock.sleep(0.01)
    asyncio.run(clock.asleep(0.01))
    assert clock.now() - before >= 0.02
