"""Public names that are loaded when they are first used (PEP 562), so that importing a package stays quick."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazily(
    package: str, homes: Mapping[str, str], names: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    ``homes``: the module of each name that is loaded at its first use, in full or, with a period in front, relative to
    the package. ``names``: all public names.
    """

    def load(name: str) -> Any:
        """A public name; it stays in the package."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        """The public names, for ``dir``."""
        return sorted(names)

    return load, listed
