"""What is optional is imported when it is used, and its absence names the extra."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from memagent.errors import MissingExtra

HEAVY = ("langchain", "langchain_core", "langgraph", "mcp", "starlette", "uvicorn", "pydantic", "torch", "faiss")


def test_the_package_loads_none_of_the_frameworks() -> None:
    code = f"import memagent.integrations, memagent.server, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    package = import_module("memagent.integrations")
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="magic"):
        _ = package.magic


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("memagent.server.mcp_server", "mcp_types", "mcp"),
        ("memagent.integrations.middleware", "langchain", "providers"),
    ],
)
def test_a_package_that_is_not_installed_names_the_extra(
    module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [module, *(name for name in sys.modules if name.partition(".")[0] == package)]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf'memagent\[{extra}\]"'):
        import_module(module)
