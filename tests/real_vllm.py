"""Fixtures for tests against a real vLLM, which tests/conftest.py shows to all of them: one server serves a session.

They need what tests/vllm/prepare.py builds, in the places where it builds it or in those that the variable
MEMAGENT_VLLM_PLACES names (the JSON that prepare.py prints). Where that is missing the tests are skipped with the
reason, or fail if MEMAGENT_REQUIRE_VLLM is set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memagent.llm import Model, VLLMServer

BUILD = Path(__file__).parents[1] / "build"
WHY_NOT = BUILD / "vllm-why-not.txt"
PLACES = {"env": "vllm-env", "model": "vllm-model", "adapter": "vllm-adapter"}
COMPACT = '{"backend": "xgrammar", "disable_any_whitespace": true}'  # a small model may write white space for ever
UNPREPARED = "no vLLM is prepared here: `make test-vllm` does that, where it can be installed"


@pytest.fixture(scope="session")
def vllm_places() -> dict[str, Path]:
    """The environment with vLLM, the folder of a small model, and that of an adapter for it."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("the tests against a real vLLM run alone: make test-vllm")
    given = json.loads(os.environ.get("MEMAGENT_VLLM_PLACES", "{}"))
    found = {name: Path(given.get(name, BUILD / folder)) for name, folder in PLACES.items()}
    if not (found["env"] / ".ready").is_file() or not all(place.is_dir() for place in found.values()):
        reason = WHY_NOT.read_text(encoding="utf-8").strip() if WHY_NOT.is_file() else UNPREPARED
        if os.environ.get("MEMAGENT_REQUIRE_VLLM"):
            pytest.fail(f"vLLM is required (MEMAGENT_REQUIRE_VLLM): {reason}", pytrace=False)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def vllm_server(vllm_places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    """A server with a small model, ``tiny``, to which adapters of rank 8 can be added."""
    from memagent.llm import VLLMServer

    with VLLMServer(
        vllm_places["model"],
        name="tiny",
        lora={},
        max_lora_rank=8,
        max_model_len=4096,
        python=vllm_places["env"],
        log=tmp_path_factory.mktemp("vllm") / "server.log",
        env={"OMP_NUM_THREADS": "1"},  # where others use the cores too, threads wait for each other for seconds
        extra_args=["--enable-prompt-tokens-details", "--structured-outputs-config", COMPACT],
    ) as started:
        yield started


@pytest.fixture
def vllm_model(vllm_server: VLLMServer) -> Model:
    """A new model on that server; what the server can do is asked once a start."""
    return vllm_server.model(timeout=600.0)
