"""Puts the folder of this file on the import path, for the helpers beside it; settings of property tests; and keeps
tests away from language models unless they ask for one.

Property tests draw the same examples each time, so that a run says the same of the same code;
``--hypothesis-profile=explore`` draws new ones.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from real_vllm import vllm_model, vllm_places, vllm_server  # noqa: F401  # fixtures are found by their names here

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the hub, and each look at it takes a minute to give up

# No limit of time: how long an example takes on a busy machine says nothing about the code.
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("memagent", settings.get_profile("explore"), derandomize=True)
settings.load_profile("memagent")

if hasattr(providers, "_get_local_constants"):  # of this version of Hypothesis, and perhaps of no other
    _constants_of_modules = providers._get_local_constants

    def _same_constants() -> Any:
        """What is drawn now and then beside random values: constants of those of our modules that are imported already.

        Which these are depends on the tests that ran before in the same process, and with it every example would.
        """
        return providers._local_constants if settings().derandomize else _constants_of_modules()

    providers._get_local_constants = _same_constants

# Programs that tests interrupt inherit this, and a shell starts what it runs in the background with SIGINT ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_NOWHERE = "http://127.0.0.1:9/v1"
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY", "LANGSMITH_API_KEY")


@pytest.fixture(autouse=True)
def no_model_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a model server by accident: connections fail, and child processes find no key and no server.

    A test that is marked ``model`` or ``vllm`` has asked for one.
    """
    for name in _KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", _NOWHERE)
    monkeypatch.setenv("OPENAI_API_BASE", _NOWHERE)
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)
    if request.node.get_closest_marker("model") or request.node.get_closest_marker("vllm"):
        return
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise RuntimeError(f"a test tried to connect to {address}; mark it `model` if it should")
        return connect(self, address)

    return guarded
